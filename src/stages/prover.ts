import { BackupError } from '../lib/errors.ts'
import { displayName } from '../lib/entry-path.ts'
import { discarded } from '../lib/scavenge.ts'
import { hashStart, type HashPosition, type WarmHash } from '../lib/resumable-hash.ts'
import type { SharedPool } from '../lib/shared-pool.ts'
import { crcCombine } from '../archive/crc.ts'
import type { ArchiveEntry } from '../archive/format.ts'
import type { PartSource } from '../archive/parts.ts'
import { ProofList, PROOFS } from '../archive/proofs.ts'
import type { ArchiveReader, RawBlock, Restart } from '../archive/reader.ts'
import { damaged } from '../archive/zip-records.ts'
import type { StageContext } from '../engine/stage.ts'
import type { FinishedPart } from './verify.ts'

/** How much is hashed at a time. Bytes. */
export const READ = 1 << 20
/** What the objects about one entry and its content, if it is small, come to. Bytes. */
const ENTRY = 8 << 10
const START: Restart = { stored: 0, plain: 0 }

export interface ProveSlot {
  /** Part being hashed, and where. */
  part: number
  hash: HashPosition
  /** Entry being read, where, and the CRC so far. */
  entry: number
  at: Restart
  crc: number
}

/** All that counts about a block once it has been unpacked. */
export interface Proven {
  readonly entry: ArchiveEntry
  readonly block: Pick<RawBlock, 'at' | 'next' | 'plainSize'>
}

/** What the archive should hold: by its own word, or by what the sink noted. */
export class Expected {
  readonly #noted: ProofList | null

  constructor(ctx: StageContext, reader: ArchiveReader) {
    this.#noted = PROOFS in ctx.job.files ? new ProofList(ctx.file(PROOFS)) : null
    if (this.#noted !== null && this.#noted.count !== reader.count) {
      throw damaged(`it holds ${reader.count} entries; ${this.#noted.count} were written`)
    }
  }

  head(entry: ArchiveEntry): void {
    const noted = this.#noted?.at(entry.index)?.head
    if (noted !== entry.headCrc) throw wrong(entry, 'its header is not the one that was written')
  }

  crc(entry: ArchiveEntry): number | null {
    return entry.crc ?? this.#noted?.at(entry.index)?.content ?? null
  }
}

interface ProverParts {
  readonly slot: ProveSlot
  readonly parts: readonly FinishedPart[]
  readonly bytes: PartSource
  readonly hash: WarmHash
  /** What is hashed is read into it: pieces of `READ`. */
  readonly memory: SharedPool
  readonly expected: Expected
  readonly done: (sha256: string[]) => void
}

export class Prover {
  readonly #slot: ProveSlot
  readonly #parts: readonly FinishedPart[]
  readonly #bytes: PartSource
  readonly #hash: WarmHash
  readonly #memory: SharedPool
  readonly #expected: Expected
  readonly #done: (sha256: string[]) => void
  readonly #total: number

  constructor({ slot, parts, bytes, hash, memory, expected, done }: ProverParts) {
    this.#slot = slot
    this.#parts = parts
    this.#bytes = bytes
    this.#hash = hash
    this.#memory = memory
    this.#expected = expected
    this.#done = done
    this.#total = parts.reduce((sum, part) => sum + part.size, 0)
  }

  /** Throws unless the entry's header is the one that was written. */
  head(entry: ArchiveEntry): void {
    this.#expected.head(entry)
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
        left -= await this.#hashPiece(part, start)
        if (slot.hash.offset < part.size) continue
      }
      const sha256 = await this.#hash.digest()
      if (sha256 === null) continue // its thread is gone: begun again
      this.#done([sha256])
      slot.part++
      slot.hash = hashStart()
    }
  }

  /** Hashes the next piece of a part that begins at `start`; returns its length. */
  async #hashPiece(part: FinishedPart, start: number): Promise<number> {
    const position = this.#slot.hash
    for (let wait = this.#hash.room; wait !== null; wait = this.#hash.room) await wait
    const memory = this.#memory.take(READ)
    const wanted = memory.subarray(0, Math.min(READ, part.size - position.offset))
    const piece = this.#bytes.readInto(wanted, start + position.offset)
    if (piece.length === 0) throw new BackupError('VERIFY_FAILED', `${part.path} ends before its ${part.size} bytes`)
    this.#hash.update(position, piece, () => this.#memory.give(memory))
    return piece.length
  }

  /** Compares each entry's CRC once its last block is there. */
  take(batch: readonly Proven[], unpacked: readonly { crc: number }[]): void {
    const slot = this.#slot
    for (const [i, { entry, block }] of batch.entries()) {
      const crc = unpacked[i]?.crc ?? 0
      slot.crc = block.at.plain === 0 ? crc : crcCombine(slot.crc, crc, block.plainSize)
      slot.at = block.next
      slot.entry = entry.index
      if (block.next.plain < entry.size) continue
      discarded(ENTRY)
      if (slot.crc !== this.#expected.crc(entry)) throw wrong(entry, 'its CRC is not the one that was written')
      slot.entry = entry.index + 1
      slot.at = START
      slot.crc = 0
    }
  }
}

export function wrong(entry: ArchiveEntry, why: string): BackupError {
  return new BackupError('VERIFY_FAILED', `${displayName(entry.path)} does not read back as it was written: ${why}`)
}
