/**
 * What a process keeps of a job between two steps: open handles, hashes, listings. Valid only while
 * the same process takes one step after the other; everything works without it (law 8).
 */
export class WarmJob implements Disposable {
  readonly #kept = new Map<string, Disposable>()

  keep<T extends Disposable>(key: string, make: () => T): T {
    const present = this.#kept.get(key)
    if (present !== undefined) return present as T
    const made = make()
    this.#kept.set(key, made)
    return made
  }
  forget(key: string): void {
    const present = this.#kept.get(key)
    this.#kept.delete(key)
    present?.[Symbol.dispose]()
  }
  [Symbol.dispose](): void {
    for (const key of this.#kept.keys()) this.forget(key)
  }
}

/** A client that does not come back soon may not come back: handles are not held for it. Milliseconds. */
const IDLE = 60_000
/** At most this many jobs are kept warm; the one not stepped for longest goes first. */
const MOST = 4

export class WarmStore implements Disposable {
  readonly #jobs = new Map<number, { epoch: number; warm: WarmJob; timer: NodeJS.Timeout }>()

  /** What was kept, if the record still is the one this process released; else null. */
  take(number: number, base: number): WarmJob | null {
    const present = this.#jobs.get(number)
    this.#jobs.delete(number)
    clearTimeout(present?.timer)
    if (present !== undefined && present.epoch === base) return present.warm
    present?.warm[Symbol.dispose]()
    return null
  }
  give(number: number, epoch: number, warm: WarmJob): void {
    const timer = setTimeout(() => this.drop(number), IDLE).unref()
    this.#jobs.set(number, { epoch, warm, timer })
    for (const [oldest] of this.#jobs) {
      if (this.#jobs.size <= MOST) break
      this.drop(oldest)
    }
  }
  drop(number: number): void {
    const present = this.#jobs.get(number)
    clearTimeout(present?.timer)
    present?.warm[Symbol.dispose]()
    this.#jobs.delete(number)
  }
  [Symbol.dispose](): void {
    for (const number of this.#jobs.keys()) this.drop(number)
  }
}
