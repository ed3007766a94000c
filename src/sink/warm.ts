import type { Pipeline } from './pipeline.ts'

/** Enough bytes or time for a measurement to mean something. */
const SPAN_BYTES = 1 << 20
const SPAN_MS = 50
/** Read ahead at the very start of a process's work. */
const FIRST_BYTES = 64 << 10
const FIRST_TASKS = 8

/** What a process keeps of the sink between steps: what is in flight, and how fast it went lately. */
export class Warm implements Disposable {
  pipeline: Pipeline | null = null
  #msPerByte = 15 / SPAN_BYTES
  #since: number | null = null
  #bytes = 0
  #appliedBytes = 0
  #appliedTasks = 0

  renew(pipeline: Pipeline): Pipeline {
    this.pipeline?.[Symbol.dispose]()
    this.pipeline = pipeline
    this.#appliedBytes = 0
    this.#appliedTasks = 0
    return pipeline
  }

  /** A step begins: the time since the last one says nothing. */
  begin(): void {
    this.#since = null
    this.#bytes = 0
  }

  /** `bytes` more are done at the moment `now`. */
  note(bytes: number, now: number): void {
    this.#appliedBytes += bytes
    this.#appliedTasks++
    this.#since ??= now
    this.#bytes += bytes
    const ms = now - this.#since
    if (this.#bytes < SPAN_BYTES && (ms < SPAN_MS || this.#bytes < SPAN_BYTES / 16)) return
    this.#msPerByte += (ms / this.#bytes - this.#msPerByte) * 0.3
    this.#since = now
    this.#bytes = 0
  }

  /**
   * How much to read ahead as a pipeline starts: twice what it has given already. Its first results are then there
   * within milliseconds, and a process that is killed soon has committed something.
   */
  get ramp(): { bytes: number; tasks: number } {
    return {
      bytes: Math.max(FIRST_BYTES, 2 * this.#appliedBytes),
      tasks: Math.max(FIRST_TASKS, 2 * this.#appliedTasks),
    }
  }

  /** How much can be done in `ms`. */
  bytesIn(ms: number): number {
    return Math.max(0, ms) / this.#msPerByte
  }

  [Symbol.dispose](): void {
    this.pipeline?.[Symbol.dispose]()
    this.pipeline = null
  }
}
