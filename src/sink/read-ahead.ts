import zlib from 'node:zlib'
import { escapeName } from '../lib/entry-path.ts'
import { sameIdentity, type Entry, type OpenEntry, type SourceItem } from '../source/source.ts'
import type { Batcher, Underway } from './batcher.ts'
import { pathKey } from './sink-slot.ts'
import { madeFile } from './made-file.ts'
import { fromSource, SourceFault } from './source-fault.ts'
import { BLOCK, blocksOf, provenOrGrown, readBlock, type Begun, type ReadOptions } from './read-blocks.ts'
import type { Task } from './task.ts'

/** A file that changes under our eyes is read this often before it is left out. */
const ATTEMPTS = 3
/** Content that keeps more than this share at level 1 is stored. */
const INCOMPRESSIBLE = 0.98
/** Of each sample, by the size of the file. */
const SAMPLE = { least: 4 << 10, most: 16 << 10, share: 1 / 256 }

/** Turns items into tasks, reading ahead of what is applied. */
export async function* readAhead(
  items: AsyncIterable<SourceItem>,
  options: ReadOptions,
): AsyncGenerator<Task, void, undefined> {
  let { begun } = options
  for await (const given of items) {
    const item = yield* prepared(given, options)
    if (begun !== null && item.type === 'entry') {
      const same = item.kind === 'file' && pathKey(item.path) === begun.path
      if (!same) yield { type: 'abort', why: 'the file begun earlier is gone' }
      yield* same ? goOn(item, options, begun) : tasksOf(item, options)
      begun = null
    } else yield* tasksOf(item, options)
  }
  if (begun !== null) yield { type: 'abort', why: 'the file begun earlier is gone' }
}

async function* goOn(entry: Entry, options: ReadOptions, begun: Begun): AsyncGenerator<Task, void, undefined> {
  yield* entry.made === undefined ? largeFile(entry, options, begun) : madeFile(entry, entry.made, options, begun)
}

/** The item, or what takes its place once it is ready: a database becomes a copy of it. */
async function* prepared(item: SourceItem, options: ReadOptions): AsyncGenerator<Task, SourceItem, undefined> {
  const instead = item.type === 'entry' ? (item.instead?.() ?? null) : null
  if (instead !== null) return instead
  if (item.type !== 'entry' || item.prepare === undefined || refusal(item, options) !== null) return item
  const preparing = item.prepare()
  try {
    for (;;) {
      const next = await preparing.next()
      if (next.done === true) return next.value
      yield { type: 'pass', item: next.value }
    }
  } finally {
    await preparing.return(item)
  }
}

async function* tasksOf(item: SourceItem, options: ReadOptions): AsyncGenerator<Task, void, undefined> {
  if (item.type !== 'entry') return yield { type: 'pass', item }
  const refused = refusal(item, options)
  if (refused !== null) return yield refused
  if (item.kind !== 'file') {
    const content = item.kind === 'symlink' ? packLink(item, options.batcher) : null
    const size = item.link?.length ?? 0
    return yield { type: 'whole', entry: item, size, mtimeNs: item.stat.mtimeNs, content, changed: false }
  }
  if (item.made !== undefined) return yield* madeFile(item, item.made, options, null)
  const small = item.stat.size <= BLOCK ? smallFile(item, options) : null
  if (small === null) yield* largeFile(item, options, null)
  else yield small
}

/** What the format cannot hold. */
function refusal(entry: Entry, { maxName, maxFile }: ReadOptions): Task | null {
  if (Buffer.byteLength(escapeName(entry.path)) + 1 > maxName) {
    return {
      type: 'omit',
      entry,
      reason: 'name_too_long',
      message: `its name is longer than the format holds (${maxName} bytes)`,
    }
  }
  if (entry.kind === 'file' && entry.stat.size > maxFile) {
    return { type: 'omit', entry, reason: 'too_large', message: `larger than the format holds (${maxFile} bytes)` }
  }
  return null
}

function packLink(entry: Entry, batcher: Batcher): Underway {
  const target = entry.link ?? Buffer.alloc(0)
  const bytes = batcher.room(target.length)
  bytes.set(target)
  return batcher.add({ bytes, mode: 'whole', level: 0 })
}

/** Read whole, proven, and on its way to be packed; null if it is not small any more. */
function smallFile(entry: Entry, { batcher, level, deflateUpTo }: ReadOptions): Task | null {
  for (let attempt = 1; ; attempt++) {
    try {
      const read = readSmall(entry, batcher, attempt === ATTEMPTS)
      if (read === null) return null
      const { bytes, mtimeNs, changed } = read
      const content = batcher.add({ bytes, mode: 'whole', level: bytes.length > deflateUpTo ? 0 : level })
      return { type: 'whole', entry, size: bytes.length, mtimeNs, content, changed }
    } catch (error) {
      if (!(error instanceof SourceFault)) throw error
      const again = error.reason === 'changed' && attempt < ATTEMPTS
      if (!again) return { type: 'omit', entry, reason: error.reason, message: error.message }
    }
  }
}

interface SmallFile {
  readonly bytes: Uint8Array
  readonly mtimeNs: bigint
  readonly changed: boolean
}

function readSmall(entry: Entry, batcher: Batcher, last: boolean): SmallFile | null {
  const open = fromSource(() => entry.open())
  try {
    const { size, mtimeNs } = open.identity
    if (size > BLOCK) return null // it has grown since it was listed
    const bytes = batcher.room(size)
    const got = fromSource(() => open.read(bytes, size, 0))
    if (got < size) throw new SourceFault('changed', 'it shrank while it was read')
    return { bytes, mtimeNs: BigInt(mtimeNs), changed: provenOrGrown(open, last) }
  } finally {
    open.close()
  }
}

/** Blocks of a large file, from the start or from where an earlier step left off. */
async function* largeFile(
  entry: Entry,
  options: ReadOptions,
  begun: Begun | null,
): AsyncGenerator<Task, void, undefined> {
  let from = begun
  for (let attempt = begun?.attempts ?? 1; ; attempt++) {
    let started = from !== null
    try {
      for await (const task of readLarge(entry, options, from)) {
        started = true
        yield task
      }
      return
    } catch (error) {
      if (!(error instanceof SourceFault)) throw error
      if (started) yield { type: 'abort', why: error.message }
      from = null
      if (error.reason !== 'changed' || attempt >= ATTEMPTS) {
        yield { type: 'omit', entry, reason: error.reason, message: error.message }
        return
      }
    }
  }
}

async function* readLarge(
  entry: Entry,
  options: ReadOptions,
  from: Begun | null,
): AsyncGenerator<Task, void, undefined> {
  const open = fromSource(() => (from === null ? entry.open() : entry.open(from.identity)))
  try {
    const { identity } = open
    if (from !== null && !sameIdentity(identity, from.identity))
      throw new SourceFault('changed', 'it changed between two steps')
    if (identity.size <= BLOCK) {
      // It shrank since it was listed: small enough to be taken whole.
      const small = smallFile(entry, options)
      if (small === null) throw new SourceFault('changed', 'it changed its size again and again')
      return yield small
    }
    const method = from?.method ?? methodFor(open, options)
    if (from === null) yield { type: 'begin', entry, identity, method }
    yield* blocksOf(entry, open, { from: from?.at ?? 0, method, options })
  } finally {
    open.close()
  }
}

/** Store what does not shrink: samples from all over the file, deflated as one. */
function methodFor(open: OpenEntry, { level, deflateUpTo }: ReadOptions): 'store' | 'deflate' {
  const { size } = open.identity
  if (level === 0 || size > deflateUpTo) return 'store'
  const length = Math.min(Math.max(SAMPLE.least, Math.floor(size * SAMPLE.share)), SAMPLE.most)
  const samples = Buffer.allocUnsafe(4 * length)
  for (let n = 0; n < 4; n++) {
    const at = Math.floor(((size - length) * n) / 3)
    readBlock(open, samples.subarray(n * length, (n + 1) * length), at)
  }
  const packed = zlib.deflateRawSync(samples, { level: 1, chunkSize: 2 * samples.length })
  return packed.length < samples.length * INCOMPRESSIBLE ? 'deflate' : 'store'
}
