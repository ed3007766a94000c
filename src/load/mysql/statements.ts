import { BackupError } from '../../lib/errors.ts'
import type { Statement, StatementReader } from '../file-load.ts'
import { refusedTable, wordsOf, type DefinitionKind } from './definition-words.ts'
import { INSERT, insertAt, NotOurs } from './insert.ts'
import { isOurs } from './marker.ts'

export interface MysqlStatement extends Statement {
  readonly what: 'setting' | 'insert' | DefinitionKind
  /** Table or object; empty for a setting. */
  readonly name: string
  readonly sql: string
  readonly line: number
  /** Length of `sql` as it is sent, in bytes. */
  readonly bytes: number
}

interface Found {
  readonly end: number
  /** Null: it was for the reader alone. */
  readonly statement: MysqlStatement | null
}

const code = (c: string): number => c.codePointAt(0) ?? 0
const [LINE, SPACE, TAB, RETURN, SEMICOLON] = [code('\n'), code(' '), code('\t'), code('\r'), code(';')]
/** What may be open at the end of what came: the end of a statement, and of a line. */
const END = Buffer.from(';\n')
const DELIMITER = Buffer.from('DELIMITER ')
/** Under any other mode, what is quoted would end elsewhere. */
const MODE = "sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'"
/** What shares its names with tables. */
const RELATIONS: ReadonlySet<string> = new Set(['table', 'sequence', 'view'])
/** No definition is as long as this. Bytes. */
const LONGEST = 64 << 20

/** Cuts a file of `dump/mysql/` into its statements. */
export class MysqlStatements implements StatementReader<MysqlStatement> {
  readonly #file: string
  readonly #trusted: boolean
  /** What is not complete, as it came. */
  #pieces: Buffer[] = []
  #held = 0
  /** Bytes of the file before what is held. */
  #base: number
  #line = 1
  #delimiter = ';'
  #pinned: boolean

  constructor(file: string, from: number, trusted: boolean) {
    this.#file = file
    this.#base = from
    this.#trusted = trusted
    // Behind the first block of a file, its settings have been said already.
    this.#pinned = from > 0
  }

  get open(): boolean {
    return this.#held > 0
  }

  *add(bytes: Buffer): Generator<MysqlStatement, void, undefined> {
    // What goes on for long is looked at again only when it may have ended.
    const waits = this.#held > 0 && !bytes.includes(END) && bytes[0] !== LINE
    // What came is somebody else's memory: what waits for more of it is copied.
    this.#pieces.push(waits ? Buffer.from(bytes) : bytes)
    this.#held += bytes.length
    if (this.#held > LONGEST + (LONGEST >> 2) && waits) throw this.#refused('a statement without end', this.#line)
    if (waits) return
    const text = this.#pieces.length === 1 ? bytes : Buffer.concat(this.#pieces)
    let at = 0
    for (;;) {
      at = this.#space(text, at)
      const next = at < text.length ? this.#next(text, at) : null
      if (next === null) break
      at = next.end
      if (next.statement !== null) yield next.statement
    }
    this.#base += at
    this.#held = text.length - at
    this.#pieces = this.#held === 0 ? [] : [Buffer.from(text.subarray(at))]
  }

  #space(text: Buffer, from: number): number {
    let at = from
    for (; at < text.length; at++) {
      const c = text[at]
      if (c === LINE) this.#line++
      else if (c !== SPACE && c !== TAB && c !== RETURN) break
    }
    return at
  }

  #next(text: Buffer, at: number): Found | null {
    if (startsWith(text, at, DELIMITER)) {
      const end = text.indexOf(LINE, at)
      if (end === -1) return null
      this.#delimiter = text.toString('latin1', at + DELIMITER.length, end).trim()
      if (!/^;+\d*$/.test(this.#delimiter)) throw this.#refused('a command for the client', this.#line)
      return { end, statement: null }
    }
    return startsWith(text, at, INSERT) ? this.#insert(text, at) : this.#definition(text, at)
  }

  #insert(text: Buffer, at: number): Found | null {
    const line = this.#line
    try {
      const found = insertAt(text, at)
      if (found === null) return null
      if (!this.#pinned || this.#delimiter !== ';') throw new NotOurs(at)
      const { end, table: name, rows } = found
      this.#line += rows
      if (isOurs(name)) return { end, statement: null }
      const sql = text.toString('utf8', at, end - 1)
      const statement = {
        kind: 'rows',
        what: 'insert',
        name,
        sql,
        line,
        bytes: end - 1 - at,
        end: this.#base + end,
      } as const
      return { end, statement }
    } catch (error) {
      if (!(error instanceof NotOurs)) throw error
      throw this.#refused('rows that are no literals', line + linesIn(text, at, error.at))
    }
  }

  #definition(text: Buffer, at: number): Found | null {
    const close =
      this.#delimiter === ';' ? endOfStatement(text, at) : text.indexOf(`\n${this.#delimiter}\n`, at, 'latin1')
    if (close === -1) return null
    const end = this.#delimiter === ';' ? close + 1 : close + this.#delimiter.length + 1
    const line = this.#line
    this.#line += linesIn(text, at, end)
    const words = wordsOf(text.toString('utf8', at, close))
    if (words === null) throw this.#refused(`a statement that is none of a dump: ${shown(text, at, close)}`, line)
    const { kind: what, name, sql, on = '' } = words
    if (isOurs(what === 'trigger' ? on : RELATIONS.has(what) ? name : '')) return { end, statement: null }
    if (what === 'setting') this.#noteMode(sql)
    else if (what === 'table') {
      const why = this.#pinned ? refusedTable(sql, this.#trusted) : 'its mode is not set'
      if (why !== null) throw this.#refused(`the table ${JSON.stringify(name)}: ${why}`, line)
    }
    const kind = what === 'setting' ? 'setting' : 'definition'
    const statement = { kind, what, name, sql, line, bytes: close - at, end: this.#base + end } as const
    return { end, statement }
  }

  /** A dump says it first; objects that came to be under another mode say it again around themselves. */
  #noteMode(sql: string): void {
    if (sql.includes(MODE)) this.#pinned = true
    else if (sql.includes('sql_mode = ')) this.#pinned = false
  }

  #refused(what: string, line: number): BackupError {
    return new BackupError('ENTRY_REFUSED', `${this.#file}, line ${line}: ${what}`, {
      hint: 'Nothing of it was run. Only what a backup of this program holds is loaded; load other SQL by the server’s own client, if you trust it.',
    })
  }
}

const startsWith = (text: Buffer, at: number, word: Buffer): boolean =>
  text.length - at >= word.length && text.compare(word, 0, word.length, at, at + word.length) === 0

const shown = (text: Buffer, at: number, end: number): string =>
  JSON.stringify(text.toString('utf8', at, Math.min(end, at + 60)))

function linesIn(text: Buffer, from: number, end: number): number {
  let lines = 0
  for (let at = text.indexOf(LINE, from); at !== -1 && at < end; at = text.indexOf(LINE, at + 1)) lines++
  return lines
}

const [QUOTE, DOUBLE, BACKTICK, BACKSLASH] = [code("'"), code('"'), code('`'), code('\\')]
const [SLASH, STAR] = [code('/'), code('*')]

/** Where the semicolon is that ends the statement, outside of all that is quoted; -1: not among these bytes. */
function endOfStatement(text: Buffer, from: number): number {
  let quote = 0
  for (let at = from; at < text.length; at++) {
    const c = text[at]
    if (quote !== 0) {
      if (c === BACKSLASH && quote !== BACKTICK) at++
      else if (c === quote) quote = 0
    } else if (c === QUOTE || c === DOUBLE || c === BACKTICK) quote = c
    else if (c === SEMICOLON) return at
    else if (c === SLASH && text[at + 1] === STAR && text[at + 2] !== code('!')) {
      const end = text.indexOf('*/', at + 2)
      if (end === -1) return -1
      at = end + 1
    }
  }
  return -1
}
