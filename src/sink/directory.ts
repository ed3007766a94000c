import { BackupError } from '../lib/errors.ts'
import { discarded } from '../lib/scavenge.ts'
import type { ArchiveTotals, EntryTotals, Format } from '../archive/format.ts'
import type { StageContext, Steps } from '../engine/stage.ts'
import type { PartWriter } from './part-writer.ts'
import type { ClosingSlot, SinkSlot } from './sink-slot.ts'

const COPY = 1 << 20
const LENGTH = 4

/**
 * The archive's trailing directory: records gathered in the work file `directory` (each behind its
 * length), copied to the end of the archive when it is closed.
 */
export class Directory {
  readonly #ctx: StageContext
  readonly #slot: SinkSlot
  readonly #parts: PartWriter
  readonly #format: Format
  readonly #partSize: number

  constructor(ctx: StageContext, slot: SinkSlot, parts: PartWriter, options: { format: Format; partSize: number }) {
    this.#ctx = ctx
    this.#slot = slot
    this.#parts = parts
    this.#format = options.format
    this.#partSize = options.partSize
  }

  add(totals: EntryTotals): void {
    const record = this.#format.writer.record(totals)
    if (record.length === 0) return
    const framed = Buffer.allocUnsafe(LENGTH + record.length)
    framed.writeUInt32LE(record.length, 0)
    record.copy(framed, LENGTH)
    this.#ctx.file('directory').write(framed)
  }

  /** Copies the records, then writes what ends the archive. A kill anywhere goes on from the last safe point. */
  async *close(): Steps {
    const closing = (this.#slot.closing ??= this.#place())
    if (closing.done) return
    const file = this.#ctx.file('directory')
    while (closing.at < file.length) {
      closing.at += this.#copy(closing, file.read(closing.at, COPY + LENGTH))
      discarded(4 * COPY) // each record is an object or two
      yield { step: 'writing the directory', done: closing.at, total: file.length }
    }
    await this.#end(closing)
    // A barrier: what reads the parts next reads them from the disk, whole.
    yield { step: 'the archive is complete', durable: true }
  }

  /** In one part if it fits into one: readers then need only the last. */
  #place(): ClosingSlot {
    // A format without a directory has no records.
    const length = Math.max(0, this.#ctx.file('directory').length - LENGTH * this.#slot.entries)
    const whole = length + this.#format.writer.ending
    const here = whole > this.#parts.free && whole <= this.#partSize ? this.#startPart() : this.#parts.here
    return { at: 0, ...here, length, lastPartRecords: 0, done: false }
  }

  #startPart(): { part: number; offset: number } {
    this.#parts.next()
    return this.#parts.here
  }

  /** Copies the whole records in `bytes`; returns how many bytes of the work file that was. */
  #copy(closing: ClosingSlot, bytes: Buffer): number {
    let at = 0
    while (at + LENGTH <= bytes.length) {
      const length = bytes.readUInt32LE(at)
      if (at + LENGTH + length > bytes.length) break
      const { part } = this.#parts.here
      const place = this.#parts.reserve(length)
      if (closing.at === 0 && at === 0) Object.assign(closing, place) // the first record may have begun a part
      if (place.part !== part) closing.lastPartRecords = 0
      this.#parts.write(bytes.subarray(at + LENGTH, at + LENGTH + length))
      closing.lastPartRecords++
      at += LENGTH + length
    }
    if (at === 0) throw new BackupError('STATE_DAMAGED', 'the list of entries ends within a record')
    return at
  }

  async #end(closing: ClosingSlot): Promise<void> {
    const { writer } = this.#format
    const before = this.#parts.here.part
    const place = this.#parts.reserve(writer.ending)
    if (place.part !== before) closing.lastPartRecords = 0
    const totals: ArchiveTotals = {
      entries: this.#slot.entries,
      parts: place.part + 1,
      uncompressed: this.#slot.uncompressed,
      stored: this.#slot.stored,
      directoryPart: closing.part,
      directoryOffset: closing.offset,
      directoryLength: closing.length,
      lastPartRecords: closing.lastPartRecords,
      epilogueOffset: place.offset,
      split: this.#partSize > 0,
    }
    this.#parts.write(writer.epilogue(totals))
    const patches = writer.finish(totals)
    if (patches.length > 0) await this.#parts.settled({ part: 0, offset: 0 })
    for (const patch of patches) this.#parts.fill({ part: 0, offset: patch.at }, patch.bytes)
    this.#parts.finish()
    this.#ctx.drop('directory')
    closing.done = true
  }
}
