/** Buffers kept for the next use at most. */
const KEPT = 64

/**
 * Memory of one size that all threads see, used again and again: a helper reads what lies here without a copy. It
 * cannot be given back by hand, so what was lent once is kept.
 */
export class SharedPool implements Disposable {
  readonly #size: number
  readonly #free: Buffer[] = []
  #closed = false

  constructor(size: number) {
    this.#size = size
  }
  /** At least `length` bytes; beyond the pool's size it is made for this once. */
  take(length: number): Buffer {
    if (length > this.#size) return shared(length)
    return this.#free.pop() ?? shared(this.#size)
  }
  /** Nobody may touch it any more. */
  give(buffer: Buffer): void {
    if (!this.#closed && buffer.length === this.#size && this.#free.length < KEPT) this.#free.push(buffer)
  }
  /** What is lent still may be used until it is given back. */
  [Symbol.dispose](): void {
    this.#closed = true
    this.#free.length = 0
  }
}

const shared = (length: number): Buffer => Buffer.from(new SharedArrayBuffer(length))
