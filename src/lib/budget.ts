import type { Clock } from './clock.ts'

/** 64 MiB: work lost by a kill never exceeds this or a quarter of the slice (R7). */
const COMMIT_BYTES = 64 << 20

/**
 * The time of one slice. `reserve` is what ending costs (the commit, the work in flight), as the
 * engine has measured it, so that a step answers within its slice and not after it.
 */
export class Budget {
  readonly #clock: Clock
  readonly #start: number
  readonly #slice: number
  readonly #reserve: number
  #lastCommit: number

  constructor(clock: Clock, sliceMs: number, reserveMs: number) {
    this.#clock = clock
    this.#start = clock.mono()
    this.#slice = sliceMs
    // A reserve may eat at most half of the slice, or tiny slices would do nothing at all.
    this.#reserve = Math.min(reserveMs, sliceMs / 2)
    this.#lastCommit = this.#start
  }

  /** Milliseconds since the slice began. */
  get used(): number {
    return this.#clock.mono() - this.#start
  }
  /** Milliseconds until `spent`. */
  get left(): number {
    return this.#slice - this.#reserve - this.used
  }
  /** The generator is stopped at its next safe point. */
  get spent(): boolean {
    return this.left <= 0
  }
  /** A quarter of the slice, or 64 MiB, since the last commit. */
  commitDue(bytesSinceCommit: number): boolean {
    return bytesSinceCommit >= COMMIT_BYTES || this.#clock.mono() - this.#lastCommit >= this.#slice / 4
  }
  committed(): void {
    this.#lastCommit = this.#clock.mono()
  }
}
