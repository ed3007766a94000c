/** Growing bytes that are cheap to copy: two copies share their memory until one of them is written to. */
export class Bytes {
  #buffer: Buffer
  #length: number
  #shared = false

  constructor(buffer: Buffer = Buffer.alloc(0), length = buffer.length) {
    this.#buffer = buffer
    this.#length = length
  }

  get length(): number {
    return this.#length
  }

  clone(): Bytes {
    const copy = new Bytes(this.#buffer, this.#length)
    copy.#shared = true
    this.#shared = true
    return copy
  }

  /** What is there now; not to be written to. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  write(at: number, bytes: Uint8Array): void {
    this.#reserve(Math.max(this.#length, at + bytes.length))
    if (at > this.#length) this.#buffer.fill(0, this.#length, at)
    this.#buffer.set(bytes, at)
    this.#length = Math.max(this.#length, at + bytes.length)
  }

  truncate(length: number): void {
    this.#reserve(length)
    if (length > this.#length) this.#buffer.fill(0, this.#length, length)
    this.#length = length
  }

  #reserve(length: number): void {
    if (!this.#shared && length <= this.#buffer.length) return
    const next = Buffer.alloc(length <= this.#buffer.length ? this.#buffer.length : Math.max(64, length * 2))
    this.#buffer.copy(next, 0, 0, Math.min(this.#length, next.length))
    this.#buffer = next
    this.#shared = false
  }
}
