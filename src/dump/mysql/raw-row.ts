import { BackupError } from '../../lib/errors.ts'

const malformed = (why: string): BackupError =>
  new BackupError('DATABASE_FAILED', `the server sent a row that is none: ${why}`)

/** Where a value lies; `end` is where the next one begins. `from` -1: NULL. */
export interface Span {
  from: number
  end: number
}

/** Bytes of a length, by the byte before it. */
const LENGTHS: Readonly<Record<number, number>> = { 0xfc: 2, 0xfd: 3, 0xfe: 8 }

/**
 * A row as the server sent it, in memory of the driver's: one value after the other, each behind its length (MySQL
 * client/server protocol, "Text Resultset Row" and "Length-Encoded Integer"). An object for each row, none for each value.
 */
export class RawRow {
  readonly bytes: Buffer
  readonly from: number
  readonly end: number

  constructor(bytes: Buffer, from: number, end: number) {
    this.bytes = bytes
    this.from = from
    this.end = end
  }

  /** The value that begins at `at`, behind its length. DATABASE_FAILED if it does not end within the row. */
  span(at: number, into: Span): void {
    const { bytes } = this
    const first = at < this.end ? (bytes[at] as number) : 0xff
    if (at + 1 + (LENGTHS[first] ?? 0) > this.end) throw malformed('a length is cut off')
    if (first === 0xfb) {
      into.from = -1
      into.end = at + 1
      return
    }
    into.from = at + 1
    if (first < 0xfb) into.end = into.from + first
    else if (first === 0xfc) into.end = (into.from += 2) + bytes.readUInt16LE(at + 1)
    else if (first === 0xfd) into.end = (into.from += 3) + bytes.readUIntLE(at + 1, 3)
    else if (first === 0xfe) into.end = (into.from += 8) + Number(bytes.readBigUInt64LE(at + 1))
    else throw malformed('a value begins with no length')
    if (into.end > this.end) throw malformed('a value is longer than its row')
  }

  /** All of them. */
  values(): (Buffer | null)[] {
    const found: (Buffer | null)[] = []
    const span = { from: 0, end: this.from }
    while (span.end < this.end) {
      this.span(span.end, span)
      found.push(span.from < 0 ? null : this.bytes.subarray(span.from, span.end))
    }
    return found
  }
}
