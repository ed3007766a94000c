/**
 * INSERT statements as our dumps write them, and nothing else: names in backticks, literals, no word that could mean
 * more. Only under a mode in which a backslash escapes (`dump/mysql/sql-text.ts`).
 */

const code = (c: string): number => c.codePointAt(0) ?? 0
const [QUOTE, BACKTICK, BACKSLASH, OPEN, CLOSE] = [code("'"), code('`'), code('\\'), code('('), code(')')]
const [COMMA, SEMICOLON, SPACE, LINE] = [code(','), code(';'), code(' '), code('\n')]
const [ZERO, X, N] = [code('0'), code('x'), code('N')]

export const INSERT = Buffer.from('INSERT INTO `')
const COLUMNS = Buffer.from(' (')
const VALUES = Buffer.from(' VALUES\n')
const NULL = Buffer.from('NULL')

/** What a number is made of: 1; of hexadecimal digits: 2. */
const KINDS = new Uint8Array(256)
for (const c of '0123456789+-.e') KINDS[code(c)] = 1
for (const c of '0123456789ABCDEF') KINDS[code(c)] = (KINDS[code(c)] ?? 0) | 2

/** It is no statement of ours, from this byte on. */
export class NotOurs extends Error {
  readonly at: number
  constructor(at: number) {
    super('this is not what a dump holds')
    this.at = at
  }
}

export interface Insert {
  readonly table: string
  /** Behind its semicolon. */
  readonly end: number
  readonly rows: number
}

/** The statement that begins at `from`; null: the bytes end before it does. Throws NotOurs. */
export function insertAt(bytes: Buffer, from: number): Insert | null {
  const scan = new Scan(bytes, from)
  if (!scan.word(INSERT)) return null
  const table = scan.name(scan.at - 1)
  if (table === null || !scan.word(COLUMNS) || !scan.columns() || !scan.word(VALUES)) return null
  for (let rows = 1; ; rows++) {
    if (!scan.row()) return null
    const next = bytes[scan.at]
    if (next === undefined) return null
    if (next === SEMICOLON) return { table, end: scan.at + 1, rows }
    if (next !== COMMA) throw new NotOurs(scan.at)
    const line = bytes[++scan.at]
    if (line === undefined) return null
    if (line !== LINE) throw new NotOurs(scan.at)
    scan.at++
  }
}

/** Goes over bytes; each of its methods says false where they end too early. */
class Scan {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  word(word: Buffer): boolean {
    const there = Math.min(word.length, this.#bytes.length - this.at)
    const found = this.#bytes.compare(word, 0, there, this.at, this.at + there) === 0
    if (!found) throw new NotOurs(this.at)
    this.at += there
    return there === word.length
  }

  /** A name whose opening backtick is at `from`. */
  name(from: number): string | null {
    let at = from + 1
    for (;;) {
      const close = this.#bytes.indexOf(BACKTICK, at)
      if (close === -1 || close + 1 >= this.#bytes.length) return null
      at = close + 1
      if (this.#bytes[at] !== BACKTICK) break
      at++
    }
    this.at = at
    return this.#bytes.toString('utf8', from + 1, at - 1).replaceAll('``', '`')
  }

  columns(): boolean {
    const bytes = this.#bytes
    if (bytes[this.at] === CLOSE) {
      this.at++
      return true
    }
    for (;;) {
      if (bytes[this.at] === undefined) return false
      if (bytes[this.at] !== BACKTICK) throw new NotOurs(this.at)
      if (this.name(this.at) === null) return false
      if (bytes[this.at] === CLOSE) {
        this.at++
        return true
      }
      if (bytes[this.at] !== COMMA) throw new NotOurs(this.at)
      if (bytes[this.at + 1] === undefined) return false
      if (bytes[this.at + 1] !== SPACE) throw new NotOurs(this.at + 1)
      this.at += 2
    }
  }

  row(): boolean {
    const bytes = this.#bytes
    if (bytes[this.at] === undefined) return false
    if (bytes[this.at] !== OPEN) throw new NotOurs(this.at)
    this.at++
    if (bytes[this.at] === CLOSE) {
      this.at++
      return true
    }
    for (;;) {
      if (!this.#value()) return false
      const next = bytes[this.at++]
      if (next === CLOSE) return true
      if (next === COMMA) continue
      if (next === undefined) return false
      throw new NotOurs(this.at - 1)
    }
  }

  #value(): boolean {
    const bytes = this.#bytes
    const first = bytes[this.at]
    if (first === QUOTE) return this.#text()
    if (first === N) return this.word(NULL)
    if (first === ZERO && bytes[this.at + 1] === X) return this.#run(this.at + 2, 2)
    return this.#run(this.at, 1)
  }

  #text(): boolean {
    const bytes = this.#bytes
    const end = bytes.length
    for (let at = this.at + 1; at < end; at++) {
      const c = bytes[at]
      if (c === BACKSLASH) at++
      else if (c === QUOTE) {
        this.at = at + 1
        return true
      }
    }
    return false
  }

  /** At least one byte of this kind. */
  #run(from: number, kind: number): boolean {
    const bytes = this.#bytes
    let at = from
    while (((KINDS[bytes[at] ?? 0] ?? 0) & kind) !== 0) at++
    if (at >= bytes.length) return false
    if (at === from) throw new NotOurs(at)
    this.at = at
    return true
  }
}
