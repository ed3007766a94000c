import type { BackupError } from '../lib/errors.ts'
import { discarded } from '../lib/scavenge.ts'
import type { ByteSource } from './reader.ts'
import { centralLength, decodeCentral, toEntry, type CentralRecord, type ZipEntry } from './zip-entry.ts'
import type { EndRecord } from './zip-end.ts'
import * as z from './zip-records.ts'

const WINDOW = 1 << 20
/** Largest possible record: three fields of 65,535 bytes. */
const RECORD_MAX = z.CENTRAL_SIZE + 3 * 0xffff
/** A remembered place every so many records, so that starting late does not read from the beginning. */
const MARK_EVERY = 4096
/** What the objects about one record come to. Bytes. */
const ENTRY = 1 << 10

interface Placed {
  readonly record: CentralRecord
  /** Global offset of the local header. */
  readonly offset: number
}

/** The central directory as a stream of entries: one window of it in memory, whatever its length. */
export class Directory {
  readonly #source: ByteSource
  readonly #end: EndRecord
  readonly #marks: number[]
  /** Where each header begins, in order; null while the records themselves come in that order. */
  #starts: Float64Array | null = null

  constructor(source: ByteSource, end: EndRecord) {
    this.#source = source
    this.#end = end
    this.#marks = [end.start]
  }

  get count(): number {
    return this.#end.count
  }

  /** To be told by the proof when records do not come in the order of their headers. */
  useStarts(sorted: Float64Array): void {
    this.#starts = sorted
  }

  /**
   * Entries in the directory's order from index `from`. ARCHIVE_DAMAGED if a record is malformed, or
   * the directory holds another number of records than the end record says.
   */
  *entries(from = 0): Generator<ZipEntry, void, undefined> {
    let index = from
    let held: Placed | null = null
    for (const next of this.#records(from)) {
      if (held !== null) yield this.#entry(held, index++, next.offset)
      held = next
    }
    if (held !== null) yield this.#entry(held, index, this.#end.start)
  }

  #entry({ record, offset }: Placed, index: number, next: number): ZipEntry {
    return toEntry(record, index, offset, this.#starts === null ? next : this.#after(offset))
  }

  /** First header begun behind `offset`, or the directory. */
  #after(offset: number): number {
    const starts = this.#starts ?? new Float64Array(0)
    let low = 0
    let high = starts.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) > offset) high = middle
      else low = middle + 1
    }
    return starts[low] ?? this.#end.start
  }

  *#records(from: number): Generator<Placed, void, undefined> {
    const mark = Math.min(Math.floor(from / MARK_EVERY), this.#marks.length - 1)
    let position = this.#marks[mark] ?? this.#end.start
    let index = mark * MARK_EVERY
    let window: Buffer = Buffer.alloc(0)
    let at = 0
    for (; index < this.#end.count; index++) {
      let length = centralLength(window, at)
      if (length === null) {
        window = this.#source.read(position, Math.min(Math.max(WINDOW, RECORD_MAX), this.#end.end - position))
        at = 0
        length = centralLength(window, at)
      }
      if (length === null || window.readUInt32LE(at) !== z.SIG_CENTRAL) throw this.#malformed(index)
      if (index % MARK_EVERY === 0) discarded(MARK_EVERY * ENTRY)
      if (index % MARK_EVERY === 0 && this.#marks.length === index / MARK_EVERY) this.#marks.push(position)
      if (index >= from) yield this.#place(decodeCentral(window, at), index)
      at += length
      position += length
    }
    if (position !== this.#end.end) throw z.damaged('the directory is longer than its entries')
  }

  #place(record: CentralRecord, index: number): Placed {
    const base = this.#source.partOffsets[record.disk]
    if (base === undefined) throw z.damaged(`entry ${index + 1} lies in part ${record.disk + 1}, which does not exist`)
    const offset = base + record.offset + this.#end.shift
    const least = offset + z.LOCAL_SIZE + record.name.length + record.stored
    if (least > this.#end.start) throw z.damaged(`entry ${index + 1} reaches beyond the archive's data`)
    return { record, offset }
  }

  #malformed(index: number): BackupError {
    return z.damaged(`record ${index + 1} of ${this.#end.count} in the directory is malformed`)
  }
}
