import { BackupError } from '../../lib/errors.ts'

export const hostile = (what: string): BackupError =>
  new BackupError('DATABASE_FAILED', `the definitions that were read ${what}`, {
    hint: 'Somebody may have named or written something so that whoever loads the dump runs a command: look at the names and definitions of the database.',
  })

const code = (c: string): number => c.codePointAt(0) ?? 0
const [NEWLINE, SPACE, TAB, RETURN] = [code('\n'), code(' '), code('\t'), code('\r')]
const [SINGLE, DOUBLE, DOLLAR, BACKSLASH] = [code("'"), code('"'), code('$'), code('\\')]
const [MINUS, SLASH, STAR, SEMICOLON] = [code('-'), code('/'), code('*'), code(';')]

type State = 'plain' | 'text' | 'escaped text' | 'name' | 'tag' | 'dollar text' | 'line' | 'comment' | 'command'

const isWord = (c: number): boolean =>
  (c >= 0x61 && c <= 0x7a) || (c >= 0x41 && c <= 0x5a) || (c >= 0x30 && c <= 0x39) || c === 0x5f || c >= 0x80
const isDigit = (c: number): boolean => c >= 0x30 && c <= 0x39

const LONGEST_COMMAND = 200

/** `statement`: one ends here. `command`, `over`: what was `\restrict` begins here, has ended here. */
export type Found = 'statement' | 'command' | 'over' | null

/**
 * Goes through SQL as psql does (PostgreSQL manual, "Lexical Structure"), byte by byte, and knows what is quoted. A
 * statement is taken to end where a semicolon is followed by two empty lines, as pg_dump writes them: the body of a
 * function has semicolons of its own.
 */
export class SqlScanner {
  #state: State = 'plain'
  /** The two bytes before. */
  #before = NEWLINE
  #before2 = NEWLINE
  /** Line ends since a semicolon; -1: something else came. */
  #lines = -1
  #depth = 0
  #tag: number[] = []
  #matched = 0
  #command = ''
  /** The byte belongs to a mark already, and to no other. */
  #spent = false
  /** A text with escapes has ended, and nothing but space came since: it may go on. */
  #afterEscaped = false

  get inCommand(): boolean {
    return this.#state === 'command'
  }

  /** Whether nothing is open. */
  get quiet(): boolean {
    return this.#state === 'plain' || this.#state === 'line'
  }

  next(c: number): Found {
    const found = this.#step(c)
    this.#before2 = this.#before
    this.#before = this.#spent ? 0 : c
    this.#spent = false
    return found
  }

  #step(c: number): Found {
    switch (this.#state) {
      case 'plain':
        return this.#plain(c)
      case 'text':
        if (c === SINGLE) this.#state = 'plain'
        return null
      case 'escaped text':
        // Two of them are one that is meant; a backslash that is meant itself escapes nothing.
        if (this.#depth === 1) this.#depth = 0
        else if (c === BACKSLASH) this.#depth = 1
        else if (c === SINGLE) {
          this.#state = 'plain'
          this.#afterEscaped = true
        }
        return null
      case 'name':
        if (c === DOUBLE) this.#state = 'plain'
        return null
      case 'tag':
        return this.#inTag(c)
      case 'dollar text':
        this.#matched = c === this.#tag[this.#matched] ? this.#matched + 1 : c === DOLLAR ? 1 : 0
        if (this.#matched === this.#tag.length) this.#state = 'plain'
        return null
      case 'line':
        if (c === NEWLINE) this.#state = 'plain'
        return null
      case 'comment':
        return this.#inComment(c)
      case 'command':
        return this.#inCommand(c)
    }
  }

  #plain(c: number): Found {
    if (c === NEWLINE) {
      if (this.#lines === -1 || ++this.#lines < 3) return null
      this.#lines = -1
      return 'statement'
    }
    if (c === SPACE || c === TAB || c === RETURN) return null
    this.#lines = c === SEMICOLON ? 0 : -1
    if (c !== SINGLE && c !== MINUS && c !== SLASH && c !== STAR) this.#afterEscaped = false
    if (c === SINGLE) {
      if (this.#afterEscaped && this.#before !== SINGLE) throw hostile('hold a text in pieces')
      const marked = (this.#before === 0x45 || this.#before === 0x65) && !isWord(this.#before2)
      this.#state = marked || this.#afterEscaped ? 'escaped text' : 'text'
      this.#afterEscaped = false
      this.#depth = 0
    } else if (c === DOUBLE) this.#state = 'name'
    else if (c === DOLLAR && !isWord(this.#before) && this.#before !== DOLLAR) {
      this.#state = 'tag'
      this.#tag = [DOLLAR]
    } else if (c === MINUS && this.#before === MINUS) this.#state = 'line'
    else if (c === STAR && this.#before === SLASH) {
      this.#state = 'comment'
      this.#depth = 1
      this.#spent = true
    } else if (c === BACKSLASH) {
      if (this.#before !== NEWLINE) throw hostile('hold a command for psql')
      this.#state = 'command'
      this.#command = ''
      return 'command'
    }
    return null
  }

  #inTag(c: number): Found {
    if (c === DOLLAR) {
      this.#tag.push(c)
      this.#state = 'dollar text'
      this.#matched = 0
      return null
    }
    if (isWord(c) && !(this.#tag.length === 1 && isDigit(c))) {
      this.#tag.push(c)
      return null
    }
    this.#state = 'plain'
    return this.#plain(c)
  }

  #inComment(c: number): Found {
    if (c === SLASH && this.#before === STAR) this.#depth--
    else if (c === STAR && this.#before === SLASH) this.#depth++
    else return null
    this.#spent = true
    if (this.#depth === 0) this.#state = 'plain'
    return null
  }

  #inCommand(c: number): Found {
    if (c !== NEWLINE) {
      this.#command += String.fromCodePoint(c)
      if (this.#command.length > LONGEST_COMMAND) throw hostile('hold a command for psql')
      return null
    }
    if (!/^(un)?restrict [A-Za-z0-9]+$/.test(this.#command)) throw hostile('hold a command for psql')
    this.#state = 'plain'
    return 'over'
  }
}
