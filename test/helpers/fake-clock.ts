import type { Clock } from '../../src/lib/clock.ts'

export interface FakeClockOptions {
  /** Milliseconds since 1970; default 2026-06-29T12:10:45Z. */
  wall?: number
  mono?: number
  /** Milliseconds that pass with every call of `mono`: code driven by a budget then ends after a known number of looks. */
  perLook?: number
  /** `advance` (default): sleeping takes no real time and moves both clocks. `hold`: sleepers wait for `advance()`. */
  sleep?: 'advance' | 'hold'
}

/** A clock that stands still unless told otherwise. The wall may be set or jump; the monotonic one only advances. */
export class FakeClock implements Clock {
  #wall: number
  #mono: number
  readonly #perLook: number
  readonly #hold: boolean
  readonly #sleepers = new Set<{ until: number; wake: () => void }>()
  /** What was slept, in order, milliseconds. */
  readonly slept: number[] = []

  constructor(options: FakeClockOptions = {}) {
    this.#wall = options.wall ?? Date.UTC(2026, 5, 29, 12, 10, 45)
    this.#mono = options.mono ?? 1000
    this.#perLook = options.perLook ?? 0
    this.#hold = options.sleep === 'hold'
  }

  wall(): number {
    return this.#wall
  }
  mono(): number {
    if (this.#perLook > 0) this.advance(this.#perLook)
    return this.#mono
  }
  /** Both clocks go on; whoever slept long enough wakes. */
  advance(ms: number): void {
    this.#wall += ms
    this.#mono += ms
    for (const sleeper of this.#sleepers) if (sleeper.until <= this.#mono) sleeper.wake()
  }
  /** An administrator, or NTP, sets the wall clock. */
  setWall(ms: number): void {
    this.#wall = ms
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return
    this.slept.push(ms)
    if (!this.#hold) return this.advance(ms)
    await new Promise<void>((resolve) => {
      const sleeper = { until: this.#mono + ms, wake: () => wake() }
      const wake = (): void => {
        this.#sleepers.delete(sleeper)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }
}
