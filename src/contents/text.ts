import { asStream, blockEnds, blockWindow, isLast } from '../archive/blocks.ts'
import { provenBlock, type Located } from '../archive/content.ts'
import { inflateExactly } from '../archive/inflate.ts'
import { BLOCK, damaged } from '../archive/zip-records.ts'
import { BackupError } from '../lib/errors.ts'
import { release } from '../lib/release.ts'

/** A long text of which pieces are read anywhere. */
export interface Text extends Disposable {
  readonly size: number
  /** Pieces that had to be unpacked so far: what reading has cost. */
  readonly cost: number
  /** Valid until the next call; fewer bytes only at the end. */
  read(at: number, length: number): Buffer
}

/** In memory, whole. */
export function textOf(bytes: Buffer): Text {
  return {
    size: bytes.length,
    cost: 0,
    read: (at, length) => bytes.subarray(at, at + length),
    [Symbol.dispose]: () => release(bytes),
  }
}

/** Unpacked blocks held in memory. */
const HELD = 16

/**
 * The content of an entry written by us: any of its blocks of 1 MiB can be unpacked alone. Where each begins is
 * found as far as it is asked for. The CRC of the whole is not asked: a line that makes no sense is refused by
 * whoever reads it.
 */
export class EntryText implements Text {
  readonly size: number
  cost = 0
  readonly #located: Located
  /** Stored offset of each block known so far; of the one behind the last too, in the end. */
  #starts = [0]
  #proven = false
  /** Block → its bytes, least recently used first. */
  readonly #held = new Map<number, Buffer>()

  /** ARCHIVE_DAMAGED for a stream without blocks of ours. */
  constructor(located: Located) {
    this.#located = located
    this.size = located.entry.size
    if (this.size > 0) this.#block(0)
  }

  read(at: number, length: number): Buffer {
    const end = Math.min(this.size, at + length)
    const pieces: Buffer[] = []
    for (let from = at; from < end;) {
      const index = Math.floor(from / BLOCK)
      const base = index * BLOCK
      const block = this.#block(index)
      pieces.push(block.subarray(from - base, Math.min(end - base, BLOCK)))
      from = base + BLOCK
    }
    const [first] = pieces
    return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces)
  }

  [Symbol.dispose](): void {
    for (const block of this.#held.values()) release(block)
    this.#held.clear()
  }

  #block(index: number): Buffer {
    const known = this.#held.get(index)
    if (known !== undefined) this.#held.delete(index)
    const bytes = known ?? this.#load(index)
    this.#held.set(index, bytes)
    for (const [other, old] of this.#held) {
      if (this.#held.size <= HELD) break
      this.#held.delete(other)
      release(old)
    }
    return bytes
  }

  #load(index: number): Buffer {
    this.cost++
    const { entry, source, start } = this.#located
    const plain = index * BLOCK
    if (entry.method === 'store') return source.read(start + plain, Math.min(BLOCK, this.size - plain))
    try {
      return this.#unpack(index)
    } catch (error) {
      if (!(error instanceof BackupError) || error.code !== 'ARCHIVE_DAMAGED' || this.#proven) throw error
    }
    // What looks like the end of a block may be part of one: about once in 4 GB.
    this.#prove()
    return this.#unpack(index)
  }

  #unpack(index: number): Buffer {
    const { source, entry, start } = this.#located
    while (this.#starts.length <= index) this.#starts.push(this.#endOf(this.#starts.length - 1))
    const at = this.#at(index)
    const length = this.#endOf(index) - at.stored
    const last = isLast(entry, at)
    const stream = asStream(blockWindow(source, entry, start, at), length, last)
    try {
      return inflateExactly(stream, last ? this.size - at.plain : BLOCK)
    } finally {
      release(stream)
    }
  }

  #at(index: number): { stored: number; plain: number } {
    return { stored: this.#starts[index] ?? 0, plain: index * BLOCK }
  }

  /** Stored offset at which a block seems to end. */
  #endOf(index: number): number {
    const known = this.#starts[index + 1]
    if (known !== undefined) return known
    const { source, entry, start } = this.#located
    const at = this.#at(index)
    if (isLast(entry, at)) return entry.stored
    const length = blockEnds(blockWindow(source, entry, start, at)).next().value
    if (length === undefined) throw damaged('the manifest is not packed in blocks')
    return at.stored + length
  }

  /** Unpacks everything once, to know for certain where blocks end. */
  #prove(): void {
    this.#proven = true
    this.#starts = [0]
    while (this.#starts.length * BLOCK < this.size) {
      const piece = provenBlock(this.#located, this.#at(this.#starts.length - 1))
      if (piece === null) throw damaged('the manifest is not packed in blocks')
      release(piece.bytes)
      this.#starts.push(piece.next.stored)
    }
  }
}
