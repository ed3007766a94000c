import zlib from 'node:zlib'
import { BackupError } from '../lib/errors.ts'
import { release } from '../lib/release.ts'
import { WarmHash, hashStart } from '../lib/resumable-hash.ts'
import { SharedPool } from '../lib/shared-pool.ts'
import type { Codec } from '../archive/codec.ts'
import { unpackEntry } from '../archive/unpack-entry.ts'
import type { ArchiveEntry } from '../archive/format.ts'
import type { ArchiveReader, RawBlock, Restart } from '../archive/reader.ts'
import type { PartSource } from '../archive/parts.ts'
import type { StageContext, Steps } from '../engine/stage.ts'
import { WarmContent } from './restore/warm-content.ts'
import { Expected, Prover, READ, wrong, type ProveSlot } from './prover.ts'
import type { FinishedPart } from './verify.ts'

export interface ProveTools {
  readonly codec: Codec
  /** The parts as one run of bytes, and as an archive. */
  open(ctx: StageContext, parts: readonly FinishedPart[]): { bytes: PartSource; reader: ArchiveReader }
}

/** Blocks read together, however small: what is known of each would come to more than its content. */
const BLOCKS = 1024
const START: Restart = { stored: 0, plain: 0 }

/**
 * Reads finished parts back: the SHA-256 of each, and every entry unpacked against its CRC. The two
 * go side by side, so that one core hashes what the other unpacks. Where the format holds no CRC, header and
 * content are held against those that the sink kept.
 */
export async function* proveParts(
  tools: ProveTools,
  ctx: StageContext,
  parts: readonly FinishedPart[],
  done: (sha256: string[]) => void,
): Steps {
  try {
    yield* prove(tools, ctx, parts, done)
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'ARCHIVE_DAMAGED') throw error
    throw new BackupError('VERIFY_FAILED', `the archive does not read back as it was written: ${error.message}`, {
      cause: error,
    })
  }
}

async function* prove(
  tools: ProveTools,
  ctx: StageContext,
  parts: readonly FinishedPart[],
  done: (sha256: string[]) => void,
): Steps {
  const slot = ctx.slot<ProveSlot>('prove', () => ({ part: 0, hash: hashStart(), entry: 0, at: START, crc: 0 }))
  const open = ctx.keep('prove-open', () => new Opened(tools, ctx, parts))
  const hash = ctx.keep('prove-hash', () => new WarmHash(() => tools.codec.hash(bytesOf(parts))))
  const expected = new Expected(ctx, open.reader)
  const prover = new Prover({ slot, parts, bytes: open.bytes, hash, memory: open.memory, expected, done })
  for (let uncut = inside(open.reader, slot); ;) {
    for (const entry of uncut) yield* proveAlone(tools, ctx, open.reader, entry, slot, prover)
    const failed = yield* proveBatches(tools, open.reader, slot, prover)
    if (failed === null) break
    uncut = [...new Set(failed.map(({ entry }) => entry))]
  }
  while (!prover.hashed) {
    await prover.hashOn(4 * READ)
    yield prover.progress()
  }
  ctx.forget('prove-open')
  ctx.forget('prove-hash')
  ctx.forget('prove-content')
  ctx.clearSlot('prove')
}

interface Work {
  readonly entry: ArchiveEntry
  readonly block: RawBlock
}

/** The entry in which the slot stands where no block begins: it goes on alone. */
function inside(reader: ArchiveReader, { entry: index, at }: ProveSlot): ArchiveEntry[] {
  if (at.stored > 0 || at.plain === 0) return []
  for (const entry of reader.entries(index)) return [entry]
  return []
}

/**
 * All entries from where the slot stands, in batches. Null at the end; or the batch that did not unpack: a block may
 * only have seemed to end there, since compressed bytes can hold what looks like an end. The slot stands before it.
 */
async function* proveBatches(
  tools: ProveTools,
  reader: ArchiveReader,
  slot: ProveSlot,
  prover: Prover,
): Steps<Work[] | null> {
  for (const batch of batches(reader, slot, prover)) {
    const unpacked = crcsOf(tools.codec, batch)
    unpacked.catch(() => 'thrown below, where it is awaited')
    const bytes = batch.reduce((sum, { block }) => sum + block.data.length, 0)
    await prover.hashOn(bytes + READ / 4)
    const crcs = await orNull(unpacked)
    if (crcs === null) return batch
    prover.take(batch, crcs)
    for (const { block } of batch) release(block.data)
    yield prover.progress()
  }
  return null
}

/** One entry by itself, as a restore reads it: where blocks only seem to end, its stream decides. */
async function* proveAlone(
  tools: ProveTools,
  ctx: StageContext,
  reader: ArchiveReader,
  entry: ArchiveEntry,
  slot: ProveSlot,
  prover: Prover,
): Steps {
  if (entry.size === 0) return prover.take([{ entry, block: EMPTY }], [{ crc: 0 }])
  const warm = ctx.keep('prove-content', () => new WarmContent())
  const from = slot.at
  const pieces = warm.take(entry.index, from, () => unpackEntry(reader, entry, tools.codec, from))
  let kept = false
  try {
    for (let at = from; at.plain < entry.size;) {
      const next = await pieces.next()
      if (next.done === true) throw wrong(entry, 'the content is shorter than announced')
      const { bytes, crc, owned, next: after } = next.value
      const size = bytes.length
      if (owned) release(bytes)
      await prover.hashOn(size)
      prover.take([{ entry, block: { at, next: after, plainSize: size } }], [{ crc }])
      at = after
      warm.keep(entry.index, at, pieces)
      kept = true
      yield prover.progress()
      warm.take(entry.index, at, () => pieces)
      kept = false
    }
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== 'ARCHIVE_DAMAGED') throw error
    throw wrong(entry, error.message)
  } finally {
    if (!kept) await pieces.return()
  }
}

const EMPTY: RawBlock = { data: Buffer.alloc(0), method: 'store', plainSize: 0, at: START, next: START }

/** Blocks in the archive's order from where the slot stands, about 1 MiB and no more than `BLOCKS` at a time. */
function* batches(reader: ArchiveReader, slot: ProveSlot, prover: Prover): Generator<Work[], void, undefined> {
  let batch: Work[] = []
  let bytes = 0
  let from = slot.at
  for (const entry of reader.entries(slot.entry)) {
    prover.head(entry)
    for (const block of blocksOf(reader, entry, from)) {
      batch.push({ entry, block })
      bytes += block.plainSize
      if (bytes < READ && batch.length < BLOCKS) continue
      yield batch
      batch = []
      bytes = 0
    }
    from = START
  }
  if (batch.length > 0) yield batch
}

/** At least one: also where there is no content, its header is read and compared with the directory. */
function* blocksOf(reader: ArchiveReader, entry: ArchiveEntry, from: Restart): Generator<RawBlock, void, undefined> {
  yield* reader.blocksOf(entry, from)
  if (entry.size === 0) yield EMPTY
}

/** Stored blocks cost less to sum up here than to send to a helper. */
async function crcsOf(codec: Codec, batch: readonly Work[]): Promise<{ crc: number }[]> {
  if (batch.every(({ block }) => block.method === 'store')) {
    return batch.map(({ block }) => ({ crc: zlib.crc32(block.data) }))
  }
  return codec.unpack(batch.map(({ block }) => ({ ...block, size: block.plainSize, proof: true as const })))
}

/** Null if what was to be unpacked does not. */
async function orNull<T>(unpacked: Promise<T>): Promise<T | null> {
  try {
    return await unpacked
  } catch (error) {
    if (error instanceof BackupError && error.code === 'ARCHIVE_DAMAGED') return null
    throw error
  }
}

class Opened implements Disposable {
  readonly bytes: PartSource
  readonly reader: ArchiveReader
  readonly memory = new SharedPool(READ)

  constructor(tools: ProveTools, ctx: StageContext, parts: readonly FinishedPart[]) {
    const { bytes, reader } = tools.open(ctx, parts)
    this.bytes = bytes
    this.reader = reader
  }
  [Symbol.dispose](): void {
    this.reader[Symbol.dispose]()
    this.bytes[Symbol.dispose]()
    this.memory[Symbol.dispose]()
  }
}

const bytesOf = (parts: readonly FinishedPart[]): number => parts.reduce((sum, { size }) => sum + size, 0)
