import type { RowMark, SqlBlock } from '../sql-dump.ts'
import { identifier } from './identifier.ts'
import type { RowReading } from './keyset.ts'
import type { RawRow, Span } from './raw-row.ts'
import { SqlText } from './sql-text.ts'

/**
 * An INSERT is ended when it has come to this. Below every server's smallest usual `max_allowed_packet` (1 MiB in old
 * MySQL, 16 MiB now), and long enough to load as fast as longer ones. Bytes.
 */
const STATEMENT = 480 << 10
const END = ';\n'
const NEXT = ',\n'
const SPACE = 0x20
const OPEN = 0x28
const CLOSE = 0x29
const COMMA = 0x2c
const LINE_END = 0x0a

/** Rows as INSERT statements, cut into blocks. */
export async function* rowBlocks(
  table: string,
  reading: RowReading,
  rows: AsyncIterable<readonly RawRow[]>,
  lend: () => Buffer,
): AsyncGenerator<SqlBlock, void, undefined> {
  const filler = new Filler(table, reading)
  let memory: Buffer | null = null
  for await (const batch of rows) {
    for (const row of batch) {
      memory ??= lend()
      if (filler.add(row, memory.length)) continue
      // It does not fit behind the others: they are a block, and it begins the next.
      if (filler.rows > 0) {
        yield filler.block(memory, false)
        memory = lend()
        if (filler.again(memory.length)) continue
      }
      memory = yield* longRow(filler, memory, lend)
    }
  }
  if (filler.rows > 0) yield filler.block(memory ?? lend(), true)
}

/** A row that is longer than a block, over as many as it takes. What is lent then is used up. */
async function* longRow(
  filler: Filler,
  first: Buffer,
  lend: () => Buffer,
): AsyncGenerator<SqlBlock, Buffer | null, undefined> {
  const { bytes, mark } = filler.long()
  let memory = first
  for (let at = 0; ;) {
    const length = bytes.copy(memory, 0, at)
    at += length
    const last = at === bytes.length
    if (last) fillUp(memory, length)
    yield { memory, length: memory.length, safe: last, mark: last ? mark : null, rows: last ? 1 : 0 }
    if (last) return null
    memory = lend()
  }
}

/** Spaces, and a line's end: nothing to a client. */
function fillUp(memory: Buffer, from: number): void {
  if (from >= memory.length) return
  memory.fill(SPACE, from)
  memory[memory.length - 1] = LINE_END
}

/** Gathers rows until a block is full. */
class Filler {
  readonly #reading: RowReading
  readonly #head: Buffer
  readonly #text = new SqlText()
  readonly #span: Span = { from: 0, end: 0 }
  /** Rows in the block. */
  rows = 0
  #last: RawRow | null = null
  /** Where the open INSERT begins. */
  #statement = 0
  /** The row that did not fit. */
  #waiting: { readonly row: RawRow; readonly bytes: Buffer } | null = null

  constructor(table: string, reading: RowReading) {
    this.#reading = reading
    const columns = reading.columns.map(({ name }) => identifier(name)).join(', ')
    this.#head = Buffer.from(`INSERT INTO ${identifier(table)} (${columns}) VALUES\n`)
  }

  /** False: with it, the block would be longer than `room`; it waits for `again` or `long`. */
  add(row: RawRow, room: number): boolean {
    const text = this.#text
    const before = text.length
    this.#separate()
    const begin = text.length
    this.#write(row)
    if (text.length + END.length <= room) {
      this.rows++
      this.#last = row
      return true
    }
    this.#waiting = { row, bytes: Buffer.from(text.bytes.subarray(begin)) }
    text.cut(before)
    return false
  }

  /** What has been gathered, as a block. `end`: it need not be filled up. */
  block(memory: Buffer, end: boolean): SqlBlock {
    this.#text.ascii(END)
    const length = this.#text.bytes.copy(memory)
    const { rows } = this
    const mark = this.#last === null ? null : this.#reading.markOf(this.#last)
    this.#clear()
    if (!end) fillUp(memory, length)
    return { memory, length: end ? length : memory.length, safe: true, mark, rows }
  }

  /** The row that did not fit begins a block. False: it does not fit into a whole one either. */
  again(room: number): boolean {
    if (this.#waiting === null) return true
    const { row, bytes } = this.#waiting
    this.#separate()
    if (this.#text.length + bytes.length + END.length > room) {
      this.#clear()
      return false
    }
    this.#text.raw(bytes)
    this.#waiting = null
    this.rows = 1
    this.#last = row
    return true
  }

  /** That row, as a statement of its own. */
  long(): { readonly bytes: Buffer; readonly mark: RowMark | null } {
    if (this.#waiting === null) throw new RangeError('no row waits')
    const { row, bytes } = this.#waiting
    this.#waiting = null
    this.#clear()
    return { bytes: Buffer.concat([this.#head, bytes, Buffer.from(END)]), mark: this.#reading.markOf(row) }
  }

  /** What stands between this row and the one before. */
  #separate(): void {
    const text = this.#text
    if (text.length > 0 && text.length - this.#statement < STATEMENT) return text.ascii(NEXT)
    if (text.length > 0) text.ascii(END)
    this.#statement = text.length
    text.raw(this.#head)
  }

  #write(row: RawRow): void {
    const text = this.#text
    const span = this.#span
    const { columns } = this.#reading
    span.end = row.from
    for (let i = 0; i < columns.length; i++) {
      text.byte(i === 0 ? OPEN : COMMA)
      row.span(span.end, span)
      if (span.from < 0) text.null()
      else columns[i]?.write(text, row.bytes, span.from, span.end)
    }
    // A table may have nothing but columns that the server computes.
    if (columns.length === 0) text.byte(OPEN)
    text.byte(CLOSE)
  }

  #clear(): void {
    this.#text.clear()
    this.#statement = 0
    this.rows = 0
    this.#last = null
  }
}
