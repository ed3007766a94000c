import { errnoOf } from '../lib/errors.ts'
import type { Catalogue } from './catalogue.ts'
import { isEnded, type JobView } from './job.ts'
import type { JobStore } from './store.ts'

/** A folder's time says nothing about changes within its own granularity. Milliseconds. */
const SETTLED = 2_000
/** All folders are looked at this often in any case. Milliseconds. */
const WHOLE_EVERY = 10_000

/**
 * Keeps the catalogue up to date with the job folders, which other processes change as well. Which there are is read
 * only when the folder that holds them has changed; of each only its epoch, until the job has ended.
 */
export class JobWatch {
  readonly #store: JobStore
  readonly #catalogue: Catalogue
  readonly #read: (number: number) => JobView | null
  /** Epoch of each job as last seen, or 'ended'. */
  #known = new Map<number, number | 'ended'>()
  /** Those that may still change. */
  #open = new Set<number>()
  #stamp: string | null = null
  #wholeAt = -Infinity

  constructor(store: JobStore, catalogue: Catalogue, read: (number: number) => JobView | null) {
    this.#store = store
    this.#catalogue = catalogue
    this.#read = read
  }

  refresh(): void {
    const { clock } = this.#store.deps
    const stamp = this.#stampNow()
    const same = stamp !== null && stamp === this.#stamp && clock.mono() - this.#wholeAt < WHOLE_EVERY
    if (!same) {
      this.#diff()
      this.#stamp = stamp
      this.#wholeAt = clock.mono()
    }
    for (const number of this.#open) this.#look(number)
  }

  #diff(): void {
    const known = this.#catalogue.known()
    this.#known = known
    const numbers = new Set(this.#store.numbers())
    this.#open = new Set([...numbers].filter((number) => known.get(number) !== 'ended'))
    for (const number of known.keys()) {
      if (numbers.has(number)) continue
      known.delete(number)
      this.#catalogue.remove(number)
    }
  }

  /** Only jobs whose epoch changed are read. */
  #look(number: number): void {
    const newest = this.#store.epochs(number).at(-1)
    if (newest === undefined || newest === this.#known.get(number)) return
    const job = this.#read(number)
    if (job === null) return
    this.#catalogue.put(job)
    const ended = isEnded(job)
    this.#known.set(number, ended ? 'ended' : job.lease.epoch)
    if (ended) this.#open.delete(number)
  }

  /** What changes with every job that comes or goes; null: it cannot be relied on yet. */
  #stampNow(): string | null {
    const { disk, clock, paths } = this.#store.deps
    try {
      const { ino, nlink, mtimeNs } = disk.stat(paths.jobs)
      const age = clock.wall() - Number(mtimeNs / 1_000_000n)
      return age > SETTLED ? `${ino} ${nlink} ${mtimeNs}` : null
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
  }
}
