import { createHash, type Hash } from 'node:crypto'
import type { PackJob } from '../archive/codec.ts'
import type { Entry, Identity, OpenEntry } from '../source/source.ts'
import type { Batcher } from './batcher.ts'
import { fromSource, SourceFault } from './source-fault.ts'
import type { Digest, Task } from './task.ts'

export const BLOCK = 1 << 20
/** Up to here a digest is the SHA-256 of the whole content; above, of the SHA-256s of its blocks. */
export const WHOLE_DIGEST = 16 << 20
/** Up to here all blocks of a file are read before the first one is packed. */
const TOGETHER = 2 * BLOCK

/** A large file that an earlier step has begun. */
export interface Begun {
  /** `pathKey` of it. */
  readonly path: string
  readonly identity: Identity
  readonly at: number
  readonly method: 'store' | 'deflate'
  readonly attempts: number
}

export interface ReadOptions {
  readonly level: number
  readonly batcher: Batcher
  readonly maxFile: number
  readonly maxName: number
  /** Larger files are stored. */
  readonly deflateUpTo: number
  readonly begun: Begun | null
}

/** Which blocks of a large file, and how. */
export interface BlockOrder {
  readonly from: number
  readonly method: 'store' | 'deflate'
  readonly options: ReadOptions
}

/** The blocks of a large file, and its end. */
export async function* blocksOf(
  entry: Entry,
  open: OpenEntry,
  order: BlockOrder,
): AsyncGenerator<Task, void, undefined> {
  const { size } = open.identity
  const digest =
    order.from === 0 && size <= TOGETHER
      ? yield* blocksTogether(entry, open, order)
      : yield* blocksAlone(entry, open, order)
  const changed = provenOrGrown(open, true)
  yield { type: 'end', entry, digest, changed }
}

/** All of a file at once: its digest is taken where its blocks are packed. */
async function* blocksTogether(
  entry: Entry,
  open: OpenEntry,
  order: BlockOrder,
): AsyncGenerator<Task, Digest, undefined> {
  const { batcher } = order.options
  const blocks: { job: PackJob; memory: Buffer }[] = []
  for (let at = 0; at < open.identity.size; at += BLOCK) {
    const { memory, job } = nextBlock(open, at, order)
    blocks.push({ memory, job: { ...job, sha256: 'joined' } })
  }
  const contents = batcher.together(blocks)
  const last = contents.at(-1)?.packed.then(({ sha256 }) => Buffer.from(sha256).toString('hex'))
  if (last === undefined) throw new RangeError('a large file has a block')
  last.catch(() => 'thrown where the block is applied')
  for (const [i, content] of contents.entries()) {
    yield { type: 'block', entry, content, length: blocks[i]?.job.bytes.length ?? 0 }
  }
  return () => last
}

async function* blocksAlone(entry: Entry, open: OpenEntry, order: BlockOrder): AsyncGenerator<Task, Digest, undefined> {
  const { size } = open.identity
  const { batcher } = order.options
  const hash = size <= WHOLE_DIGEST ? prefixHash(open, order.from) : null
  for (let at = order.from; at < size; at += BLOCK) {
    const { memory, job } = nextBlock(open, at, order)
    hash?.update(job.bytes)
    const content = batcher.alone(hash === null ? job : { ...job, sha256: false }, memory)
    content.packed.catch(() => 'thrown where the block is applied')
    yield { type: 'block', entry, content, length: job.bytes.length }
  }
  const sha256 = hash?.digest('hex') ?? null
  return () => Promise.resolve(sha256)
}

function nextBlock(open: OpenEntry, at: number, { method, options }: BlockOrder): { memory: Buffer; job: PackJob } {
  const length = Math.min(BLOCK, open.identity.size - at)
  const memory = options.batcher.block(length)
  const bytes = memory.subarray(0, length)
  readBlock(open, bytes, at)
  const stored = method === 'store'
  return { memory, job: { bytes, mode: stored ? 'whole' : 'block', level: stored ? 0 : options.level } }
}

export function readBlock(open: OpenEntry, bytes: Uint8Array, at: number): void {
  const got = fromSource(() => open.read(bytes, bytes.length, at))
  if (got < bytes.length) throw new SourceFault('changed', 'it shrank while it was read')
}

/** node:crypto cannot save a hash's state; up to 16 MiB reading the beginning again is cheaper than a slower hash. */
function prefixHash(open: OpenEntry, upTo: number): Hash {
  const hash = createHash('sha256')
  if (upTo === 0) return hash
  const buffer = Buffer.allocUnsafe(BLOCK)
  for (let at = 0; at < upTo; at += BLOCK) {
    const piece = buffer.subarray(0, Math.min(BLOCK, upTo - at))
    readBlock(open, piece, at)
    hash.update(piece)
  }
  return hash
}

/** False if nothing changed; true if it only grew and we may take what was there; else throws. */
export function provenOrGrown(open: OpenEntry, acceptGrowth: boolean): boolean {
  try {
    fromSource(() => open.prove())
    return false
  } catch (error) {
    if (acceptGrowth && error instanceof SourceFault && fromSource(() => open.grown())) return true
    throw error
  }
}
