import { LONGEST_ROW } from '../../dump/sql-dump.ts'
import { BackupError } from '../../lib/errors.ts'
import type { Statement, StatementReader } from '../file-load.ts'
import { isAboutMarker, judge, type Allowed } from './allowed.ts'
import { SqlCut } from './sql-cut.ts'

/** A statement that may be run. Its bytes are valid until the next piece of the file is taken. */
export interface PgStatement extends Statement {
  readonly allowed: Allowed
  /** For people: `orders.sql, line 12`. */
  readonly place: string
  /** Without comments before it, and without its semicolon. */
  readonly text: Buffer
  /** What COPY reads, in pieces. */
  readonly rows: readonly Buffer[]
}

export interface ReaderOptions {
  /** For errors. */
  readonly name: string
  /** Where in the file its first byte stands, and from where on it is read: what comes before is passed over. */
  readonly from: number
  readonly begin: number
  readonly trusted: boolean
}

const NEWLINE = 0x0a
const SPACE = 0x20
const END_OF_ROWS = Buffer.from('\n\\.\n')
/** The longest row of a dump, with what stands around it. */
const LONGEST = LONGEST_ROW + (4 << 20)
const HINT = 'Only what dumps of databases hold is run. If you trust this one, load it with psql.'

/** Cuts a file into statements, each of which has been looked at. Rows are not: their end is found, and no more. */
export class PgStatements implements StatementReader<PgStatement> {
  readonly #o: ReaderOptions
  readonly #cut: SqlCut
  /** Where in the file the present piece begins. */
  #base: number
  /** What of the open statement came with earlier pieces, and its length. */
  #kept: Buffer[] = []
  #keptLength = 0
  /** The header of the rows that are being read. */
  #copy: {
    readonly text: Buffer
    readonly allowed: Allowed
    readonly place: string
    readonly ignored: boolean
  } | null = null
  /** Behind such a header: the end of its line has to come. */
  #expectsLine = false
  /** Where the rows begin. */
  #rowsAt = 0
  /** The last bytes before the present piece, in case they begin the end of the rows. */
  #tail = Buffer.alloc(0)

  constructor(options: ReaderOptions) {
    this.#o = options
    this.#base = options.from
    this.#cut = new SqlCut(Math.max(options.from, options.begin), (why) => this.#refused(why, this.#here()))
  }

  get open(): boolean {
    return this.#copy !== null || !this.#cut.quiet
  }

  *add(bytes: Buffer): Generator<PgStatement, void, undefined> {
    let at = Math.min(Math.max(this.#o.begin - this.#base, 0), bytes.length)
    while (at < bytes.length) {
      if (this.#copy === null) {
        const found = this.#next(bytes, at)
        at = found.at
        if (found.statement !== null) yield found.statement
      } else {
        const found = this.#throughRows(bytes, at)
        at = found.at
        if (found.statement !== null) yield found.statement
      }
    }
    this.#keep(bytes)
    this.#base += bytes.length
  }

  /** Up to the end of a statement, or of the piece. */
  #next(bytes: Buffer, from: number): { at: number; statement: PgStatement | null } {
    const cut = this.#cut
    for (let at = from; at < bytes.length; at++) {
      const c = bytes[at] ?? 0
      // Blocks are filled up with them.
      if (c === SPACE && cut.start === -1 && bytes[at + 1] === SPACE) {
        const first = at
        while (bytes[at + 1] === SPACE) at++
        cut.skip(at - first)
      }
      const found = cut.step(c)
      if (found === 'command') this.#command()
      else if (found === 'statement') {
        const statement = this.#statement(bytes, at)
        if (this.#copy !== null || statement !== null) return { at: at + 1, statement }
      }
    }
    return { at: bytes.length, statement: null }
  }

  /** The lines by which pg_dump keeps psql from running commands. */
  #command(): void {
    if (!/^(un)?restrict [A-Za-z0-9]+$/.test(this.#cut.command))
      throw this.#refused('a command for psql', this.#here(1))
  }

  /** `at`: of its semicolon. Null: there is none, or its rows are still to come. */
  #statement(bytes: Buffer, at: number): PgStatement | null {
    const { start, startLine, tokens, cutOff } = this.#cut
    const text = this.#taken(bytes, start, at)
    this.#cut.next()
    if (text.length === 0) return null
    const place = this.#place(startLine, start)
    const allowed = judge(text.toString('latin1'), tokens, cutOff, this.#o.trusted)
    if (typeof allowed === 'string') throw this.#refused(allowed, place)
    const ignored = isAboutMarker(tokens)
    if (allowed.kind !== 'rows') {
      if (ignored) return null
      return { kind: allowed.kind, end: this.#base + at + 1, allowed, place, text, rows: [] }
    }
    this.#copy = { text: Buffer.from(text), allowed, place, ignored }
    this.#expectsLine = true
    return null
  }

  /** From `start` in the file up to `until` in this piece. */
  #taken(bytes: Buffer, start: number, until: number): Buffer {
    const here = bytes.subarray(Math.max(start - this.#base, 0), until)
    const text = this.#kept.length === 0 ? here : Buffer.concat([...this.#kept, here])
    this.#drop()
    return text
  }

  #throughRows(bytes: Buffer, from: number): { at: number; statement: PgStatement | null } {
    if (this.#copy === null) throw new RangeError('there are no rows')
    let begin = from
    if (this.#expectsLine) {
      if (bytes[from] !== NEWLINE) throw this.#refused('rows that do not begin with a line', this.#copy.place)
      this.#expectsLine = false
      begin++
      this.#cut.passOver(1, 1)
      this.#rowsAt = this.#base + begin
      this.#tail = END_OF_ROWS.subarray(0, 1)
    }
    const end = this.#endOfRows(bytes, begin)
    if (end === -1) {
      this.#tail = Buffer.concat([this.#tail, bytes.subarray(Math.max(begin, bytes.length - 3))]).subarray(-3)
      this.#cut.passOver(bytes.length - begin, linesIn(bytes, begin, bytes.length))
      return { at: bytes.length, statement: null }
    }
    this.#cut.passOver(end - begin, linesIn(bytes, begin, end))
    const { text, allowed, place, ignored } = this.#copy
    const rows = this.#rows(bytes, begin, end)
    this.#copy = null
    if (ignored) return { at: end, statement: null }
    return { at: end, statement: { kind: 'rows', end: this.#base + end, allowed, place, text, rows } }
  }

  /** Behind what ends the rows; -1: it is still to come. */
  #endOfRows(bytes: Buffer, begin: number): number {
    const seam = Buffer.concat([this.#tail, bytes.subarray(begin, begin + 3)])
    const before = seam.indexOf(END_OF_ROWS)
    if (before !== -1) return begin + before + END_OF_ROWS.length - this.#tail.length
    const found = bytes.indexOf(END_OF_ROWS, begin)
    return found === -1 ? -1 : found + END_OF_ROWS.length
  }

  /** All that COPY reads: up to the line that ends it. */
  #rows(bytes: Buffer, begin: number, end: number): Buffer[] {
    const pieces = [...this.#kept, bytes.subarray(begin, end)]
    this.#drop()
    let left = this.#base + end - 3 - this.#rowsAt
    const rows: Buffer[] = []
    for (const piece of pieces) {
      rows.push(piece.subarray(0, left))
      left -= Math.min(left, piece.length)
    }
    return rows.filter(({ length }) => length > 0)
  }

  /** What of an open statement lies in this piece: it is lent. */
  #keep(bytes: Buffer): void {
    const isRows = this.#copy !== null && !this.#expectsLine
    const start = isRows ? this.#rowsAt : this.#cut.start
    if (this.#copy !== null ? !isRows : start === -1) return this.#drop()
    const piece = Buffer.from(bytes.subarray(Math.min(Math.max(start - this.#base, 0), bytes.length)))
    this.#kept.push(piece)
    this.#keptLength += piece.length
    if (this.#keptLength <= LONGEST) return
    const place = this.#copy?.place ?? this.#place(this.#cut.startLine, start)
    throw new BackupError('LIMIT_EXCEEDED', `${place}: a statement of more than ${LONGEST} bytes`, { hint: HINT })
  }

  #drop(): void {
    this.#kept = []
    this.#keptLength = 0
  }

  #here(back = 0): string {
    return this.#place(this.#cut.line - back, this.#base)
  }

  /** Lines are known only if the file was read from its beginning. */
  #place(line: number, at: number): string {
    const { name, from } = this.#o
    return from === 0 ? `${name}, line ${line + 1}` : `${name}, behind byte ${at}`
  }

  #refused(what: string, place: string): BackupError {
    return new BackupError('ENTRY_REFUSED', `${place}: ${what} is not run`, { hint: HINT })
  }
}

/** For messages. A loop is as fast as it gets, and a tenth of what the server takes for these bytes. */
function linesIn(bytes: Buffer, from: number, to: number): number {
  let lines = 0
  for (let at = from; at < to; at++) if (bytes[at] === NEWLINE) lines++
  return lines
}
