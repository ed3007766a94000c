import type { Clock } from '../lib/clock.ts'

interface Sample {
  readonly at: number
  readonly bytes: number
}

/** The rate is that of the last ten seconds: old speed says nothing about a disk that has become slow. */
const WINDOW_MS = 10_000
/** Before this much has passed, a guess of the time left would only jump about. */
const SETTLE_MS = 1500

/** Rate and time left, from what steps report. */
export class Meter {
  readonly #clock: Clock
  readonly #samples: Sample[] = []
  #first: { at: number; percent: number } | null = null
  #percent = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(bytes: number, percent: number): void {
    const at = this.#clock.mono()
    this.#first ??= { at, percent }
    this.#percent = percent
    this.#samples.push({ at, bytes })
    while (this.#samples.length > 2 && at - (this.#samples[1]?.at ?? at) > WINDOW_MS) this.#samples.shift()
  }

  /** Bytes per second, null until known. */
  get rate(): number | null {
    const from = this.#samples[0]
    const to = this.#samples.at(-1)
    if (from === undefined || to === undefined || to.at - from.at < 200) return null
    return Math.max(0, ((to.bytes - from.bytes) * 1000) / (to.at - from.at))
  }

  /** Milliseconds since the first sample. */
  get elapsed(): number {
    return this.#first === null ? 0 : this.#clock.mono() - this.#first.at
  }

  /** Milliseconds, by the share done since the first sample; null until known. */
  get left(): number | null {
    if (this.#first === null || this.elapsed < SETTLE_MS) return null
    const done = this.#percent - this.#first.percent
    return done < 1 ? null : (this.elapsed * (100 - this.#percent)) / done
  }
}
