import { release } from '../lib/release.ts'

/** Buffers kept for the next use at most. */
const KEPT = 8

/**
 * Memory of one size, used again and again: megabytes that live for milliseconds would otherwise
 * wait for the garbage collector by the hundred.
 */
export class BufferPool implements Disposable {
  readonly #size: number
  readonly #free: Buffer[] = []
  #closed = false

  constructor(size: number) {
    this.#size = size
  }
  /** At least `length` bytes; beyond the pool's size it is made for this once. */
  take(length: number): Buffer {
    if (length > this.#size) return Buffer.allocUnsafeSlow(length)
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size)
  }
  /** Nobody may touch it any more. */
  give(buffer: Buffer): void {
    if (!this.#closed && buffer.length === this.#size && this.#free.length < KEPT) this.#free.push(buffer)
    else release(buffer)
  }
  /** What is lent still may be used until it is given back. */
  [Symbol.dispose](): void {
    this.#closed = true
    for (const buffer of this.#free.splice(0)) release(buffer)
  }
}
