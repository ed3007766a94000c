import { BackupError, errnoOf } from '../lib/errors.ts'
import { createFileOnce, removeTree } from '../lib/durable-file.ts'
import { Events } from '../lib/events.ts'
import type { Catalogue } from './catalogue.ts'
import { House } from './house.ts'
import { JobWatch } from './job-watch.ts'
import { isEnded, type JobView, type Part } from './job.ts'
import { LogReader } from './log-read.ts'
import { checkOrder } from './order.ts'
import { readParts } from './part-list.ts'
import { planOf, specFor } from './plans.ts'
import { preview } from './preview.ts'
import { checkEnded, Removal } from './removal.ts'
import { readPreview, type RestorePreview } from './restore-preview.ts'
import type { StepRunner } from './runner.ts'
import type {
  ArtifactInfo,
  Engine,
  EngineEvents,
  JobQuery,
  LogPage,
  LogQuery,
  Removable,
  RetentionPreview,
  StartRequest,
  StepOptions,
} from './services.ts'
import { Shelf } from './shelf.ts'
import type { RetentionPolicy } from './spec.ts'
import type { JobStore } from './store.ts'

/** Without a step for this long a job counts as stalled (R36): shown so, nothing deleted, resumable. */
const ABANDONED_AFTER = 24 * 3600_000
/** Unfinished jobs older than this are swept: cancelled, with their work files (R36). */
const SWEPT_AFTER = 7 * 24 * 3600_000
const CANCEL_POLL = 100
const KEYS_LOOKED_AT = 50
/** So many of the newest jobs are looked at for what a kill within their clearing up left. */
const ENDED_LOOKED_AT = 100

export interface EngineDeps {
  readonly store: JobStore
  readonly runner: StepRunner
  readonly catalogue: Catalogue
}

/** What facades call. Holds no truth of its own: every answer is a view of a record. */
export class RatchetEngine implements Engine {
  readonly events = new Events<EngineEvents>()
  readonly #deps: EngineDeps
  readonly #watch: JobWatch
  readonly #working = new Map<number, Promise<JobView>>()
  readonly #shelf: Shelf
  readonly #removal: Removal
  readonly #logs: LogReader

  constructor(deps: EngineDeps) {
    this.#deps = deps
    this.#logs = new LogReader(deps.store.deps.disk)
    this.#watch = new JobWatch(deps.store, deps.catalogue, (number) => tryRead(deps.store, number))
    const { disk, clock, paths } = deps.store.deps
    this.#shelf = new Shelf(disk, clock, paths, { reader: deps.store.reader })
    this.#removal = new Removal(deps.store, this.#shelf)
  }

  async start(request: StartRequest): Promise<JobView> {
    const known = request.key === undefined ? null : this.#startedBy(request.key, request.startedBy)
    if (known !== null) return known.steps > 0 ? this.#finish(known) : this.step(known.number)
    this.#deps.runner.prepare?.()
    const spec = await specFor(request, this)
    const job = this.#deps.store.create(spec, planOf(spec), request.key ?? null, request.startedBy)
    return this.step(job.number)
  }

  /** A start whose answer was lost is repeated within minutes: only the newest jobs are looked at. */
  #startedBy(key: string, user: string | undefined): JobView | null {
    for (const number of this.#deps.store.numbers().slice(-KEYS_LOOKED_AT)) {
      const job = tryRead(this.#deps.store, number)
      if (job?.startKey === key && job.startedBy === user) return job
    }
    return null
  }

  async step(number: number, options: StepOptions = {}): Promise<JobView> {
    const before = this.#view(number)
    const answered = checkOrder(before, options)
    if (answered) return this.#finish(before)
    if (this.#working.has(number)) throw busy(number)
    const work = this.#work(number, options)
    this.#working.set(number, work)
    try {
      return await work
    } finally {
      this.#working.delete(number)
    }
  }

  async #work(number: number, options: StepOptions): Promise<JobView> {
    const { pacing, key, expect } = options
    const record = await this.#deps.runner.run({
      number,
      ...(pacing ? { pacing } : {}),
      ...(key === undefined ? {} : { key }),
      ...(expect === undefined ? {} : { expect }),
    })
    const job = { ...record, spec: this.#deps.store.spec(number, record.specHash) }
    this.#deps.catalogue.put(job)
    this.#announce(job)
    return job
  }

  /** An ended job answers its last reply again; what a killed process left behind is removed first. */
  async #finish(job: JobView): Promise<JobView> {
    const house = new House(this.#deps.store.deps.disk, this.#deps.store.deps.paths, job.spec)
    if (!isEnded(job) || this.#working.has(job.number)) return job
    try {
      if (house.hasLeftovers(job)) await this.#deps.runner.run({ number: job.number, clear: true })
    } catch (error) {
      // The answer stands, whatever is left lying about: the next look tries again.
      if (!(error instanceof BackupError) && errnoOf(error) === undefined) throw error
    }
    return job
  }

  #announce(job: JobView): void {
    for (const warning of job.warnings.recent) {
      if (warning.step === job.steps) this.events.emit('warning', { job, warning })
    }
    this.events.emit('progress', job)
    if (isEnded(job)) this.events.emit('finished', job)
  }

  async cancel(number: number): Promise<JobView> {
    const { store, runner } = this.#deps
    const before = this.#view(number)
    if (isEnded(before)) return this.#finish(before)
    createFileOnce(store.deps.disk, store.deps.paths.cancel(number), Buffer.alloc(0))
    for (let waited = 0; ; waited += CANCEL_POLL) {
      runner.interrupt(number)
      await this.#working.get(number)?.catch(() => 'its own caller is told; here only its end matters')
      const job = this.#view(number)
      if (isEnded(job)) return this.#finish(job) // too late: the marker goes
      try {
        return await this.step(number)
      } catch (error) {
        const worth = error instanceof BackupError && error.code === 'JOB_BUSY'
        if (!worth || waited > job.spec.pacing.maxMs) throw error
        await store.deps.clock.sleep(CANCEL_POLL)
      }
    }
  }

  async get(number: number): Promise<JobView> {
    return this.#view(number)
  }

  async resolve(id: string): Promise<number> {
    const match = /^\d{8}-\d{6}-(\d{6,15})$/.exec(id)
    const number = match === null ? 0 : Number(match[1])
    if (number > 0 && this.#view(number).id === id) return number
    throw new BackupError('JOB_NOT_FOUND', `there is no backup "${id.slice(0, 64)}"`)
  }

  async list(query: JobQuery = {}): Promise<ReturnType<Catalogue['list']>> {
    this.#watch.refresh()
    const { total, jobs } = this.#deps.catalogue.list(query)
    // The catalogue keeps what never changes any more; this may, at any time and by any process.
    return { total, jobs: jobs.map((job) => ({ ...job, ...this.#shelf.standing(job) })) }
  }

  async remove(number: number, what: Removable = 'both'): Promise<void> {
    this.#removal.sweep()
    const job = this.#view(number)
    checkEnded(job)
    await this.#finish(job) // what a killed process left in the output would have no owner any more
    await this.#removal.remove(job, what, () => this.#unended())
    if (what !== 'files') this.#deps.catalogue.remove(number)
  }

  async freeze(number: number, frozen: boolean): Promise<JobView> {
    this.#removal.freeze(this.#view(number), frozen)
    return this.#view(number)
  }

  async previewRetention(profile: number, policy: RetentionPolicy): Promise<RetentionPreview> {
    return preview(this.#shelf, this.#deps.store.deps.clock, profile, policy)
  }

  /** Jobs that may be at work. */
  #unended(): number[] {
    this.#watch.refresh()
    return [...this.#deps.catalogue.known()].flatMap(([number, seen]) => (seen === 'ended' ? [] : [number]))
  }

  async artifacts(number: number): Promise<ArtifactInfo[]> {
    const job = this.#view(number)
    if (job.standing?.filesRemoved !== undefined) return []
    return this.#shelf.published(job).map(({ name, path, size, sha256 }) => ({ name, path, size, sha256 }))
  }

  async parts(number: number): Promise<readonly Part[]> {
    const { disk, paths } = this.#deps.store.deps
    for (let attempt = 0; attempt < 10; attempt++) {
      const parts = readParts(disk, paths, this.#view(number))
      if (parts !== null) return parts
    }
    throw new BackupError('STATE_DAMAGED', `the list of participants of backup ${number} is missing or cut short`)
  }

  async restorePreview(number: number): Promise<RestorePreview | null> {
    const { disk, paths } = this.#deps.store.deps
    return readPreview(disk, paths, this.#view(number))
  }

  async log(number: number, query: LogQuery = {}): Promise<LogPage> {
    this.#view(number)
    return this.#logs.page(this.#deps.store.deps.paths.log(number), query)
  }

  /** Cancels what nobody has stepped for a week, and clears up after killed processes. Returns the numbers cancelled. */
  async sweep(): Promise<number[]> {
    const { store, catalogue } = this.#deps
    this.#removal.sweep()
    this.#watch.refresh()
    const swept: number[] = []
    for (const [number, seen] of catalogue.known()) {
      const job = seen === 'ended' ? null : tryRead(store, number)
      if (job === null || isEnded(job) || store.idle(job) < SWEPT_AFTER) continue
      try {
        await this.cancel(number)
        swept.push(number)
      } catch (error) {
        // In use, or its output is out of reach: it waits for the next time, and the others do not wait for it.
        if (!(error instanceof BackupError) && errnoOf(error) === undefined) throw error
      }
    }
    for (const { number } of catalogue.list({ limit: ENDED_LOOKED_AT }).jobs) {
      const job = tryRead(store, number)
      if (job === null) continue
      await this.#finish(job)
      await this.#removal.finish(job, () => this.#unended())
    }
    this.#removeUnborn()
    return swept
  }

  /** Folders of jobs whose creator died before their first record: nobody has ever been told of them. */
  #removeUnborn(): void {
    const { store } = this.#deps
    const { disk, paths, clock } = store.deps
    for (const number of store.numbers()) {
      if (store.epochs(number).length > 0) continue
      const age = clock.wall() - Number(disk.lstat(paths.job(number)).mtimeNs / 1_000_000n)
      if (age > ABANDONED_AFTER) removeTree(disk, paths.job(number))
    }
  }

  async close(): Promise<void> {
    for (const number of this.#working.keys()) this.#deps.runner.interrupt(number)
    await Promise.allSettled(this.#working.values())
    await this.#deps.runner.close()
    this.#deps.catalogue[Symbol.dispose]()
  }

  #view(number: number): JobView {
    const job = this.#deps.store.read(number)
    if (job.status === 'running' && this.#deps.store.idle(job) > ABANDONED_AFTER) return { ...job, status: 'stalled' }
    const standing = this.#shelf.standing(job)
    return Object.keys(standing).length > 0 ? { ...job, standing } : job
  }
}

function tryRead(store: JobStore, number: number): JobView | null {
  try {
    return store.read(number)
  } catch (error) {
    if (error instanceof BackupError) return null // damaged ones are named when asked for, and do not hide the rest
    throw error
  }
}

function busy(number: number): BackupError {
  return new BackupError('JOB_BUSY', `backup ${number} is being worked on by another call`, { data: { number } })
}
