import { isUtf8 } from 'node:buffer'

const FIRST = 64 << 10
const HEX = Buffer.from('0123456789ABCDEF', 'latin1')
const NUL_WORD = Buffer.from('NULL', 'latin1')

/**
 * What a backslash sequence of a quoted string stands for (MySQL reference manual, "String Literals"), by byte; 0:
 * the byte stands for itself. NUL, line feed, carriage return and Ctrl-Z would be fine for the server; they are for
 * editors, consoles and the vendor's client.
 */
const ESCAPES = new Uint8Array(256)
for (const [byte, letter] of [
  [0x00, '0'],
  [0x0a, 'n'],
  [0x0d, 'r'],
  [0x1a, 'Z'],
  [0x27, "'"],
  [0x5c, '\\'],
] as const) {
  ESCAPES[byte] = letter.charCodeAt(0)
}

/**
 * SQL for MySQL and MariaDB as bytes, in memory that grows and is used again. Its strings are right in a session whose
 * connection character set is utf8mb4 and whose mode lacks NO_BACKSLASH_ESCAPES.
 */
export class SqlText {
  #bytes = Buffer.allocUnsafeSlow(FIRST)
  #length = 0

  get length(): number {
    return this.#length
  }
  /** Valid until the next call. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }
  clear(): void {
    this.#length = 0
  }
  /** Back to an earlier length. */
  cut(length: number): void {
    this.#length = Math.min(this.#length, length)
  }

  /** As it is. Latin letters and signs only. */
  ascii(text: string): void {
    this.#room(text.length)
    this.#length += this.#bytes.write(text, this.#length, 'latin1')
  }
  /** One sign of ASCII, as it is. */
  byte(code: number): void {
    this.#room(1)
    this.#bytes[this.#length++] = code
  }
  /** As it is. */
  raw(bytes: Buffer, from = 0, end = bytes.length): void {
    this.#room(end - from)
    this.#length += bytes.copy(this.#bytes, this.#length, from, end)
  }
  null(): void {
    this.raw(NUL_WORD)
  }

  /** A string literal where the bytes are valid UTF-8, else the same in hexadecimal. */
  text(bytes: Buffer, from = 0, end = bytes.length): void {
    const begin = this.#length
    this.#room(2 * (end - from) + 2)
    const to = this.#bytes
    let at = begin
    let high = 0
    to[at++] = 0x27
    for (let i = from; i < end; i++) {
      const byte = bytes[i] as number
      const escape = ESCAPES[byte] as number
      high |= byte
      if (escape !== 0) to[at++] = 0x5c
      to[at++] = escape === 0 ? byte : escape
    }
    to[at++] = 0x27
    // Most of what databases hold is ASCII: the others are looked at a second time.
    if (high >= 0x80 && !isUtf8(bytes.subarray(from, end))) return this.hex(bytes, from, end)
    this.#length = at
  }

  /** `0x…`: bytes of no character set, which a column of any takes as they are. */
  hex(bytes: Buffer, from = 0, end = bytes.length): void {
    if (end === from) return this.ascii("''")
    this.#room(2 * (end - from) + 2)
    const to = this.#bytes
    let at = this.#length
    to[at++] = 0x30
    to[at++] = 0x78
    for (let i = from; i < end; i++) {
      const byte = bytes[i] as number
      to[at++] = HEX[byte >> 4] as number
      to[at++] = HEX[byte & 15] as number
    }
    this.#length = at
  }

  #room(more: number): void {
    const wanted = this.#length + more
    if (wanted <= this.#bytes.length) return
    let size = this.#bytes.length
    while (size < wanted) size *= 2
    const larger = Buffer.allocUnsafeSlow(size)
    larger.set(this.bytes)
    this.#bytes = larger
  }
}
