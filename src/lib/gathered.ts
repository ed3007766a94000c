import { release } from './release.ts'

/** What is gathered at most, and at first: most work files are short lists. Bytes. */
export const BUFFER = 1 << 20
const FIRST_BUFFER = 64 << 10

/** Bytes gathered before they are written, in memory that is used again. */
export class Gathered {
  #buffer: Buffer | null = null
  #length = 0
  /** Whole buffers: one may be filled while others are being written. */
  readonly #spare: Buffer[] = []
  #closed = false

  get length(): number {
    return this.#length
  }
  /** Those gathered: valid until the next call. */
  get bytes(): Buffer {
    return this.#buffer?.subarray(0, this.#length) ?? EMPTY
  }
  fits(length: number): boolean {
    return this.#length + length <= BUFFER
  }

  /** Copies them. They have to fit. */
  add(bytes: Uint8Array): void {
    this.#room(this.#length + bytes.length).set(bytes, this.#length)
    this.#length += bytes.length
  }
  /** Over gathered bytes. */
  put(bytes: Uint8Array, at: number): void {
    this.#buffer?.set(bytes, at)
  }
  clear(): void {
    this.#length = 0
  }

  /** The bytes with their memory: nothing is gathered there until `back` is called. */
  lend(): { bytes: Buffer; back: () => void } {
    const { bytes } = this
    const buffer = this.#buffer
    this.#buffer = null
    this.#length = 0
    const back = (): void => {
      if (buffer === null) return
      if (this.#closed || buffer.length < BUFFER) release(buffer)
      else this.#spare.push(buffer)
    }
    return { bytes, back }
  }

  close(): void {
    this.#closed = true
    if (this.#buffer !== null) release(this.#buffer)
    for (const buffer of this.#spare.splice(0)) release(buffer)
    this.#buffer = null
  }

  /** The buffer, with room for `length` bytes. */
  #room(length: number): Buffer {
    const present = this.#buffer
    if (present !== null && present.length >= length) return present
    const spare = present === null ? this.#spare.pop() : undefined
    if (spare !== undefined) return (this.#buffer = spare)
    let size = present?.length ?? FIRST_BUFFER
    while (size < length) size *= 4
    const larger = Buffer.allocUnsafeSlow(size)
    if (present !== null) {
      larger.set(present.subarray(0, this.#length))
      release(present)
    }
    this.#buffer = larger
    return larger
  }
}

const EMPTY = Buffer.alloc(0)
