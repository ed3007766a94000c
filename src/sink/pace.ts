/** Enough bytes or time for a measurement to mean something. */
const SPAN_BYTES = 1 << 20
const SPAN_MS = 50

/** How long the work in flight will take, as measured lately. Kept between steps. */
export class Pace implements Disposable {
  #msPerByte = 15 / SPAN_BYTES
  #since = 0
  #bytes = 0

  begin(now: number): void {
    this.#since = now
    this.#bytes = 0
  }
  /** `bytes` more are done at the moment `now`. */
  note(bytes: number, now: number): void {
    this.#bytes += bytes
    const ms = now - this.#since
    if (this.#bytes < SPAN_BYTES && (ms < SPAN_MS || this.#bytes < SPAN_BYTES / 16)) return
    this.#msPerByte += (ms / this.#bytes - this.#msPerByte) * 0.3
    this.begin(now)
  }
  /** Milliseconds. */
  timeFor(bytes: number): number {
    return bytes * this.#msPerByte
  }
  [Symbol.dispose](): void {
    this.#bytes = 0
  }
}
