import { release } from '../lib/release.ts'

/** Results from this length on keep their memory to themselves. Bytes. */
export const GATHER_BELOW = 64 << 10

/**
 * Small results of one batch, put into one piece of memory as they come: each on its own would keep far more alive
 * than it needs, and be handed over by itself.
 */
export class Gather {
  readonly #most: number
  /** Made with the first result: of what is stored there is none. */
  #room: Buffer | null = null
  #used = 0
  readonly #places: { readonly index: number; readonly from: number; readonly to: number }[] = []

  /** `most`: bytes that all of them have together at most; what is beyond it keeps its memory. */
  constructor(most: number) {
    this.#most = most
  }

  /** Takes the bytes of result `index` over if they are few: they must not be used any more then. */
  add(index: number, bytes: Uint8Array): void {
    // A piece of a longer stream can be larger than what it was made of.
    if (bytes.length >= GATHER_BELOW || this.#used + bytes.length > this.#most) return
    const from = this.#used
    this.#room ??= Buffer.allocUnsafeSlow(this.#most)
    this.#room.set(bytes, from)
    this.#used += bytes.length
    this.#places.push({ index, from, to: this.#used })
    release(bytes)
  }

  /** By index, the bytes taken over. */
  end(): Map<number, Uint8Array> {
    const room = this.#room
    if (room === null) return new Map()
    const exact = this.#used < room.length / 2 ? Buffer.from(room.subarray(0, this.#used)) : room
    if (exact !== room) release(room)
    return new Map(this.#places.map(({ index, from, to }) => [index, exact.subarray(from, to)]))
  }
}
