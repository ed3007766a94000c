/** A word of a statement that stands outside of all parentheses. */
export interface Token {
  /** `escaped`: a text that may mean something else than it says. */
  readonly kind: 'word' | 'name' | 'text' | 'escaped'
  /** As it stands there, without its quotes; cut off after a while. */
  readonly text: string
}

/** What is ended by a byte: a statement, by its semicolon; a line that began with a backslash. */
export type Cut = 'statement' | 'command' | null

const code = (c: string): number => c.codePointAt(0) ?? 0
const [NEWLINE, SPACE, TAB, RETURN] = [code('\n'), code(' '), code('\t'), code('\r')]
const [SINGLE, DOUBLE, DOLLAR, BACKSLASH] = [code("'"), code('"'), code('$'), code('\\')]
const [MINUS, SLASH, STAR, SEMICOLON, OPEN, CLOSE] = [code('-'), code('/'), code('*'), code(';'), code('('), code(')')]

/** Bytes of a token that are kept, and tokens of a statement. */
const LONGEST = 200
const MOST = 400

const isWord = (c: number): boolean =>
  (c >= 0x61 && c <= 0x7a) || (c >= 0x41 && c <= 0x5a) || (c >= 0x30 && c <= 0x39) || c === 0x5f || c >= 0x80
const isSpace = (c: number): boolean => c === SPACE || c === NEWLINE || c === TAB || c === RETURN || c === 0x0c

type State = 'plain' | 'word' | 'text' | 'escaped' | 'name' | 'tag' | 'dollar' | 'line' | 'comment' | 'command'

/**
 * Cuts SQL into statements as psql does (PostgreSQL manual, "Lexical Structure"; psqlscan.l): at a semicolon outside
 * of quotes, parentheses and the body of a function between BEGIN ATOMIC and END. Where it should err, nothing comes of
 * it: the server itself refuses a text of two statements.
 */
export class SqlCut {
  /** Where the statement begins, behind comments; -1: none has begun. */
  start = -1
  /** Lines before this place, and before the statement. */
  line = 0
  startLine = 0
  tokens: Token[] = []
  /** There are more tokens than were kept. */
  cutOff = false
  /** The line behind a backslash. */
  command = ''
  readonly #refuse: (why: string) => Error
  #at: number
  #state: State = 'plain'
  #before = NEWLINE
  #text = ''
  #depth = 0
  /** CASE and BEGIN ATOMIC that are open. */
  #body = 0
  #lastWord = ''
  #level = 0
  #tag = ''
  #matched = 0
  #escape = false
  /** An escaped text has ended, and nothing but space came since. */
  #afterEscaped = false

  constructor(at: number, refuse: (why: string) => Error) {
    this.#at = at
    this.#refuse = refuse
  }

  /** Whether nothing is open. */
  get quiet(): boolean {
    return this.start === -1 && (this.#state === 'plain' || this.#state === 'line')
  }

  /** Goes on behind what somebody else read: whole lines. */
  passOver(bytes: number, lines: number): void {
    this.#at += bytes
    this.line += lines
    this.#before = NEWLINE
  }

  /** Spaces between statements. */
  skip(bytes: number): void {
    this.#at += bytes
    if (bytes > 0) this.#before = SPACE
  }

  /** The statement was taken. */
  next(): void {
    this.start = -1
    this.tokens = []
    this.cutOff = false
    this.#depth = 0
    this.#body = 0
    this.#lastWord = ''
    this.#afterEscaped = false
  }

  step(c: number): Cut {
    if (c === 0) throw this.#refuse('a byte that is no text')
    const cut = this.#step(c)
    if (this.#before !== -1) this.#before = c
    else this.#before = 0
    this.#at++
    if (c === NEWLINE) this.line++
    return cut
  }

  #step(c: number): Cut {
    switch (this.#state) {
      case 'plain':
        return this.#plain(c, false)
      case 'word':
        if (isWord(c) || c === DOLLAR) this.#keep(c)
        else {
          const marked = this.#endWord()
          this.#state = 'plain'
          return this.#plain(c, marked)
        }
        return null
      case 'text':
      case 'name':
        if (c === (this.#state === 'text' ? SINGLE : DOUBLE)) this.#endQuoted(this.#state)
        else this.#keep(c)
        return null
      case 'escaped':
        if (this.#escape) this.#escape = false
        else if (c === BACKSLASH) this.#escape = true
        else if (c === SINGLE) {
          this.#endQuoted('escaped')
          this.#afterEscaped = true
        }
        return null
      case 'tag':
        return this.#inTag(c)
      case 'dollar':
        this.#inDollar(c)
        return null
      case 'line':
        if (c === NEWLINE) this.#state = 'plain'
        return null
      case 'comment':
        this.#inComment(c)
        return null
      case 'command':
        if (c === NEWLINE) {
          this.#state = 'plain'
          return 'command'
        }
        if (this.command.length < LONGEST) this.command += String.fromCodePoint(c)
        return null
    }
  }

  /** `marked`: an E stands right before. */
  #plain(c: number, marked: boolean): Cut {
    if (isSpace(c)) return null
    if (c === BACKSLASH) return this.#backslash()
    const wasEscaped = this.#afterEscaped
    if (this.start === -1) {
      this.start = this.#at
      this.startLine = this.line
    }
    if (isWord(c)) {
      this.#begin('word')
      this.#keep(c)
      return null
    }
    if (c === SINGLE) this.#quote(marked, wasEscaped)
    else if (c === DOUBLE) this.#begin('name')
    else if (c === DOLLAR) {
      this.#state = 'tag'
      this.#tag = '$'
    } else if (c === MINUS && this.#before === MINUS) this.#comment('line')
    else if (c === STAR && this.#before === SLASH) this.#comment('comment')
    else return this.#sign(c)
    return null
  }

  #sign(c: number): Cut {
    if (c !== MINUS && c !== SLASH) this.#afterEscaped = false
    this.#lastWord = ''
    if (c === OPEN) this.#depth++
    else if (c === CLOSE) this.#depth = Math.max(this.#depth - 1, 0)
    return c === SEMICOLON && this.#depth === 0 && this.#body === 0 ? 'statement' : null
  }

  #quote(marked: boolean, wasEscaped: boolean): void {
    if (wasEscaped && this.#before !== SINGLE) throw this.#refuse('a text in pieces')
    this.#begin(marked || wasEscaped ? 'escaped' : 'text')
    this.#escape = false
  }

  #begin(state: State): void {
    this.#state = state
    this.#text = ''
    this.#afterEscaped = false
    if (state !== 'word') this.#lastWord = ''
  }

  #comment(state: 'line' | 'comment'): void {
    if (this.start === this.#at - 1) this.start = -1
    this.#state = state
    this.#level = 1
    this.#before = -1
  }

  #backslash(): null {
    if (this.start !== -1 || this.#before !== NEWLINE) throw this.#refuse('a command for psql')
    this.#state = 'command'
    this.command = ''
    return null
  }

  #keep(c: number): void {
    if (this.#text.length < LONGEST) this.#text += String.fromCodePoint(c)
  }

  #push(kind: Token['kind']): void {
    if (this.#depth > 0 || this.#body > 0) return
    if (this.tokens.length < MOST) this.tokens.push({ kind, text: this.#text })
    else this.cutOff = true
  }

  #endQuoted(kind: 'text' | 'name' | 'escaped'): void {
    this.#state = 'plain'
    this.#push(kind)
  }

  /** Whether it was an E. */
  #endWord(): boolean {
    const word = this.#text.toLowerCase()
    this.#push('word')
    if (this.#depth === 0) {
      if (this.#body > 0) this.#body += word === 'case' ? 1 : word === 'end' ? -1 : 0
      else if (word === 'atomic' && this.#lastWord === 'begin' && this.#makesRoutine()) this.#body = 1
    }
    this.#lastWord = word
    return word === 'e'
  }

  #makesRoutine(): boolean {
    const [first, ...rest] = this.tokens.slice(0, 4).map(({ text }) => text.toLowerCase())
    return first === 'create' && (rest.includes('function') || rest.includes('procedure'))
  }

  #inTag(c: number): Cut {
    if (c === DOLLAR) {
      this.#tag += '$'
      this.#begin('dollar')
      this.#matched = 0
      return null
    }
    const isDigit = c >= 0x30 && c <= 0x39
    if (isWord(c) && !(this.#tag.length === 1 && isDigit)) {
      this.#tag += String.fromCodePoint(c)
      return null
    }
    this.#state = 'plain'
    return this.#plain(c, false)
  }

  #inDollar(c: number): void {
    this.#keep(c)
    this.#matched = c === this.#tag.codePointAt(this.#matched) ? this.#matched + 1 : c === DOLLAR ? 1 : 0
    if (this.#matched < this.#tag.length) return
    this.#text = this.#text.slice(0, -this.#tag.length)
    this.#endQuoted('text')
  }

  #inComment(c: number): void {
    if (c === SLASH && this.#before === STAR) this.#level--
    else if (c === STAR && this.#before === SLASH) this.#level++
    else return
    this.#before = -1
    if (this.#level === 0) this.#state = 'plain'
  }
}
