import { BackupError } from '../../lib/errors.ts'
import { LONGEST_ROW, type RowMark, type SqlBlock } from '../sql-dump.ts'
import type { RowTaker } from './copy-out.ts'

const NEWLINE = 0x0a
const SPACE = 0x20
const BACKSLASH = 0x5c
const POINT = 0x2e
/** What ends the rows behind COPY … FROM stdin. */
const END = Buffer.from('\\.\n')
/** So much of a long row is kept to find its key in. */
const HEAD = 16 << 10

export interface RowBlocksOptions {
  readonly lend: () => Buffer
  /** `COPY … FROM stdin;` with its line end. */
  readonly header: Buffer
  /** For messages. */
  readonly table: string
  /** The mark of a row by its bytes, as far as they are there; null: it has none. */
  markOf(row: Buffer): RowMark | null
  /** Whether the section has a key: a block without a mark is no place to go on from then. */
  readonly keyed: boolean
}

/**
 * Rows in COPY's text form, packed into blocks that can each be loaded by themselves: `COPY … FROM stdin`, rows, `\.`.
 * A row that fits in no block goes on through several.
 *
 * What is taken in here is read again by the vendor's client, for which `\.` alone in a line ends the rows and a
 * backslash begins a command. No server writes such a line; one that does is refused (S-RES-6).
 */
export class RowBlocks implements RowTaker<SqlBlock> {
  readonly #o: RowBlocksOptions
  #memory: Buffer | null = null
  #used = 0
  #rows = 0
  /** Rows behind a header, without their end. */
  #open = false
  /** Where the last row begins in this block; -1: not in this block. */
  #start = -1
  /** Bytes of the row that are still to come. */
  #left = 0
  #spanning = false
  /** The beginning of a row that spans blocks. */
  readonly #head = Buffer.alloc(HEAD)
  #headLength = 0
  /** Bytes of `END` that the next block begins with. */
  #carry = 0
  #ready: SqlBlock | null = null
  /** All rows so far. */
  total = 0

  constructor(options: RowBlocksOptions) {
    this.#o = options
  }

  begin(length: number): boolean {
    if (this.#ready !== null) return false
    const { header, table } = this.#o
    if (length > LONGEST_ROW) {
      const what = `a row of ${table} has ${length} bytes, the longest that is taken has ${LONGEST_ROW}`
      throw new BackupError('LIMIT_EXCEEDED', what, { hint: 'Leave the table out, or dump it by itself with pg_dump.' })
    }
    if (length === 0) throw broken(table)
    const memory = this.#lent()
    const needed = (this.#open ? 0 : header.length) + length + END.length
    const fits = this.#used + needed <= memory.length
    if (!fits && this.#used > 0) {
      this.#close()
      return false
    }
    if (!this.#open) this.#used += header.copy(memory, this.#used)
    if (this.#used >= memory.length)
      throw new RangeError(`a block of ${memory.length} bytes cannot hold the columns of ${table}`)
    this.#open = true
    this.#spanning = !fits
    this.#headLength = 0
    this.#start = fits ? this.#used : -1
    this.#left = length
    return true
  }

  take(chunk: Buffer, from: number, to: number): number {
    if (this.#ready !== null) return from
    const line = chunk.indexOf(NEWLINE, from)
    const ends = to - from === this.#left
    if (ends ? line !== to - 1 : line !== -1 && line < to) throw broken(this.#o.table)
    return this.#spanning ? this.#takeLong(chunk, from, to) : this.#takeShort(chunk, from, to)
  }

  #takeShort(chunk: Buffer, from: number, to: number): number {
    const memory = this.#lent()
    chunk.copy(memory, this.#used, from, to)
    this.#used += to - from
    this.#left -= to - from
    if (this.#left > 0) return to
    if (memory[this.#start] === BACKSLASH && memory[this.#start + 1] === POINT) throw broken(this.#o.table)
    this.#rows++
    this.total++
    return to
  }

  #takeLong(chunk: Buffer, from: number, to: number): number {
    const memory = this.#lent()
    const until = Math.min(to, from + memory.length - this.#used)
    this.#headLength += chunk.copy(this.#head, this.#headLength, from, until)
    if (this.#headLength > 1 && this.#head[0] === BACKSLASH && this.#head[1] === POINT) throw broken(this.#o.table)
    this.#used += chunk.copy(memory, this.#used, from, until)
    this.#left -= until - from
    if (this.#left === 0) {
      this.#rows++
      this.total++
      const room = memory.length - this.#used
      if (room >= END.length) return until
      // What ends the rows is cut as well: the next block begins with the rest of it.
      this.#used += END.copy(memory, this.#used, 0, room)
      this.#carry = END.length - room
      this.#open = false
    }
    if (this.#used === memory.length) this.#emit(false, null)
    return until
  }

  fetch(): SqlBlock | null {
    const block = this.#ready
    this.#ready = null
    return block
  }

  /** What is left after the last row. */
  end(): SqlBlock | null {
    if (this.#memory === null && this.#carry === 0) return null
    const memory = this.#lent()
    if (this.#open) this.#used += END.copy(memory, this.#used)
    this.#emit(true, null)
    return this.fetch()
  }

  #lent(): Buffer {
    if (this.#memory !== null) return this.#memory
    this.#memory = this.#o.lend()
    this.#used = END.copy(this.#memory, 0, END.length - this.#carry)
    this.#carry = 0
    this.#rows = 0
    return this.#memory
  }

  #close(): void {
    const memory = this.#lent()
    const mark = this.#o.keyed ? this.#o.markOf(this.#lastRow(memory)) : null
    if (this.#open) this.#used += END.copy(memory, this.#used)
    const size = memory.length
    if (this.#used < size) {
      memory.fill(SPACE, this.#used, size - 1)
      memory[size - 1] = NEWLINE
      this.#used = size
    }
    this.#open = false
    this.#emit(!this.#o.keyed || mark !== null, mark)
  }

  #lastRow(memory: Buffer): Buffer {
    return this.#start === -1 ? this.#head.subarray(0, this.#headLength) : memory.subarray(this.#start, this.#used)
  }

  #emit(safe: boolean, mark: RowMark | null): void {
    const memory = this.#lent()
    this.#ready = { memory, length: this.#used, safe, mark, rows: this.#rows }
    this.#memory = null
    this.#start = -1
  }
}

const broken = (table: string): BackupError =>
  new BackupError('DATABASE_FAILED', `the server sends rows of ${table} that are none`, {
    hint: 'What answers there does not speak like a PostgreSQL server.',
  })
