import zlib from 'node:zlib'
import { BackupError } from '../lib/errors.ts'
import { release } from '../lib/release.ts'
import { displayName } from '../lib/entry-path.ts'
import { WarmHash, hashStart, type HashPosition } from '../lib/resumable-hash.ts'
import { crcCombine } from '../archive/crc.ts'
import type { Codec } from '../archive/codec.ts'
import type { ArchiveEntry } from '../archive/format.ts'
import type { ArchiveReader, RawBlock, Restart } from '../archive/reader.ts'
import type { PartSource } from '../archive/parts.ts'
import type { StageContext, Steps } from '../engine/stage.ts'
import type { FinishedPart } from './verify.ts'

export interface ProveTools {
  readonly codec: Codec
  /** The parts as one run of bytes, and as an archive. */
  open(ctx: StageContext, parts: readonly FinishedPart[]): { bytes: PartSource; reader: ArchiveReader }
}

interface ProveSlot {
  /** Part being hashed, and where. */
  part: number
  hash: HashPosition
  /** Entry being read, where, and the CRC so far. */
  entry: number
  at: Restart
  crc: number
}

const READ = 1 << 20
const START: Restart = { stored: 0, plain: 0 }

/**
 * Reads finished parts back: the SHA-256 of each, and every entry unpacked against its CRC. The two
 * go side by side, so that one core hashes what the other unpacks.
 */
export async function* proveParts(
  tools: ProveTools,
  ctx: StageContext,
  parts: readonly FinishedPart[],
  done: (sha256: string[]) => void,
): Steps {
  const slot = ctx.slot<ProveSlot>('prove', () => ({ part: 0, hash: hashStart(), entry: 0, at: START, crc: 0 }))
  const open = ctx.keep('prove-open', () => new Opened(tools, ctx, parts))
  const hash = ctx.keep('prove-hash', () => new WarmHash())
  const prover = new Prover(slot, parts, open.bytes, hash, done)
  for (const batch of batches(open.reader, slot)) {
    const unpacked = crcsOf(tools.codec, batch)
    unpacked.catch(() => 'thrown below, where it is awaited')
    const bytes = batch.reduce((sum, { block }) => sum + block.data.length, 0)
    await prover.hashOn(bytes + READ / 4)
    prover.take(batch, await named(unpacked, batch))
    for (const { block } of batch) release(block.data)
    yield prover.progress()
  }
  while (!prover.hashed) {
    await prover.hashOn(4 * READ)
    yield prover.progress()
  }
  ctx.forget('prove-open')
  ctx.forget('prove-hash')
  ctx.clearSlot('prove')
}

interface Work {
  readonly entry: ArchiveEntry
  readonly block: RawBlock
}

/** Blocks in the archive's order from where the slot stands, about 1 MiB at a time. */
function* batches(reader: ArchiveReader, slot: ProveSlot): Generator<Work[], void, undefined> {
  let batch: Work[] = []
  let bytes = 0
  let from = slot.at
  for (const entry of reader.entries(slot.entry)) {
    for (const block of entry.size === 0 ? [] : reader.blocksOf(entry, from)) {
      batch.push({ entry, block })
      bytes += block.plainSize
      if (bytes < READ) continue
      yield batch
      batch = []
      bytes = 0
    }
    from = START
  }
  if (batch.length > 0) yield batch
}

/** Stored blocks cost less to sum up here than to send to a helper. */
async function crcsOf(codec: Codec, batch: readonly Work[]): Promise<{ crc: number }[]> {
  if (batch.every(({ block }) => block.method === 'store')) {
    return batch.map(({ block }) => ({ crc: zlib.crc32(block.data) }))
  }
  return codec.unpack(batch.map(({ block }) => ({ ...block, size: block.plainSize, proof: true as const })))
}

class Prover {
  readonly #slot: ProveSlot
  readonly #parts: readonly FinishedPart[]
  readonly #bytes: PartSource
  readonly #hash: WarmHash
  readonly #done: (sha256: string[]) => void
  readonly #total: number

  constructor(
    slot: ProveSlot,
    parts: readonly FinishedPart[],
    bytes: PartSource,
    hash: WarmHash,
    done: (sha256: string[]) => void,
  ) {
    this.#slot = slot
    this.#parts = parts
    this.#bytes = bytes
    this.#hash = hash
    this.#done = done
    this.#total = parts.reduce((sum, part) => sum + part.size, 0)
  }

  get hashed(): boolean {
    return this.#slot.part >= this.#parts.length
  }

  progress(): { step: string; done: number; total: number } {
    const before = this.#bytes.partOffsets[this.#slot.part] ?? this.#total
    return { step: 'verifying', done: before + this.#slot.hash.offset, total: this.#total }
  }

  /** Hashes about `bytes` more; finished parts are told. */
  async hashOn(bytes: number): Promise<void> {
    const slot = this.#slot
    for (let left = bytes; left > 0 && !this.hashed;) {
      const part = this.#parts[slot.part]
      const start = this.#bytes.partOffsets[slot.part]
      if (part === undefined || start === undefined) return
      await this.#hash.resume(part.name, slot.hash)
      if (slot.hash.offset < part.size) {
        const piece = this.#bytes.peek(start + slot.hash.offset, Math.min(READ, part.size - slot.hash.offset))
        if (piece.length === 0)
          throw new BackupError('VERIFY_FAILED', `${part.path} ends before its ${part.size} bytes`)
        this.#hash.update(slot.hash, piece)
        left -= piece.length
        if (slot.hash.offset < part.size) continue
      }
      this.#done([this.#hash.digest()])
      slot.part++
      slot.hash = hashStart()
    }
  }

  /** Compares each entry's CRC once its last block is there. */
  take(batch: readonly Work[], unpacked: readonly { crc: number }[]): void {
    const slot = this.#slot
    for (const [i, { entry, block }] of batch.entries()) {
      const crc = unpacked[i]?.crc ?? 0
      slot.crc = block.at.plain === 0 ? crc : crcCombine(slot.crc, crc, block.plainSize)
      slot.at = block.next
      slot.entry = entry.index
      if (block.next.plain < entry.size) continue
      if (slot.crc !== entry.crc) throw wrong(entry, 'its CRC is not the one that was written')
      slot.entry = entry.index + 1
      slot.at = START
      slot.crc = 0
    }
  }
}

async function named<T>(unpacked: Promise<T>, batch: readonly Work[]): Promise<T> {
  try {
    return await unpacked
  } catch (error) {
    const first = batch[0]
    if (!(error instanceof BackupError) || error.code !== 'ARCHIVE_DAMAGED' || first === undefined) throw error
    throw wrong(first.entry, error.message)
  }
}

function wrong(entry: ArchiveEntry, why: string): BackupError {
  return new BackupError('VERIFY_FAILED', `${displayName(entry.path)} does not read back as it was written: ${why}`)
}

class Opened implements Disposable {
  readonly bytes: PartSource
  readonly reader: ArchiveReader

  constructor(tools: ProveTools, ctx: StageContext, parts: readonly FinishedPart[]) {
    const { bytes, reader } = tools.open(ctx, parts)
    this.bytes = bytes
    this.reader = reader
  }
  [Symbol.dispose](): void {
    this.reader[Symbol.dispose]()
    this.bytes[Symbol.dispose]()
  }
}
