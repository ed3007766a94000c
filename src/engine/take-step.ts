import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import { createFileOnce, removeIfThere } from '../lib/durable-file.ts'
import { asBackupError, BackupError, errnoOf, type ErrorCode } from '../lib/errors.ts'
import type { Redactor } from '../lib/redact.ts'
import { abandon } from './abandon.ts'
import { exists, JobContext } from './context.ts'
import type { HeldJob } from './held-job.ts'
import { House } from './house.ts'
import { isEnded, type Job, type JobStatus } from './job.ts'
import type { JobLog } from './log.ts'
import { isAnswered, type Wanted } from './order.ts'
import type { Pacing } from './spec.ts'
import type { Stage, StageName } from './stage.ts'
import type { JobStore } from './store.ts'
import { factsOf, stepLog } from './step-log.ts'
import { irrevocable, publishing, runSlice, turner } from './step.ts'
import { takeBack } from './take-back.ts'
import { pushWarning } from './warnings.ts'
import { WarmJob, type WarmStore } from './warm.ts'

/** After this long of nothing but failures a job waits for somebody to look (R33). */
const STALL_AFTER = 15 * 60_000
const LONGEST_WAIT = 60_000
/** What ends a job even while its finished files get their names; all else (read-only, name taken) waits to be put right. */
const HOPELESS: ReadonlySet<ErrorCode> = new Set(['WORK_FILE_LOST', 'STATE_DAMAGED', 'INTERNAL'])
const RESERVE = Buffer.alloc(32 << 10)

export interface StepDeps {
  readonly store: JobStore
  readonly stages: Readonly<Record<StageName, Stage>>
  readonly warm: WarmStore
  /** Takes secrets out of the log; default: one that knows only what secrets look like. */
  readonly redactor?: Redactor
}

export interface StepOrder {
  readonly number: number
  /** The step to take: if it has been taken already, its answer is given again. */
  readonly expect?: number
  readonly pacing?: Partial<Pacing>
  readonly key?: string
  /** Monotonic time at which the step was asked for: waiting for a thread to start counts as part of the slice. Milliseconds. */
  readonly asked?: number
  /** Nothing but removing what an ended job left behind. */
  readonly clear?: true
}

/** Takes the job, works for one slice, releases it; gives the record as it was released. */
export async function takeStep(deps: StepDeps, order: StepOrder, signal: AbortSignal): Promise<Job> {
  const { store } = deps
  const pacing = { ...store.read(order.number).spec.pacing, ...order.pacing }
  const slice = sliceLeft((pacing.maxMs * pacing.bias) / 100, order.asked, store.deps.clock)
  const answers: Job[] = []
  const held = acquire(store, order.number, pacing.maxMs, (job) => {
    if (!isAnswered(job, order)) return true
    answers.push(job)
    return false
  })
  if (held === null) return answers.at(-1) ?? store.read(order.number)
  const run = new StepRun(deps, held, { slice, min: pacing.minMs }, signal)
  if (isEnded(held.job)) run.cleanUp()
  else await run.work(order.key).catch((error: unknown) => run.failed(error))
  return held.told ?? held.job
}

/** What is left of a slice that began when it was asked for; at least half of it, so that a slow start still gets on. */
function sliceLeft(slice: number, asked: number | undefined, clock: Clock): number {
  const waited = asked === undefined ? 0 : Math.max(0, clock.mono() - asked)
  return Math.max(1, slice - waited, slice / 2)
}

/** On a full disk the reserve is given up for the record of whoever takes the job: to pause, or to cancel it (R39). */
function acquire(store: JobStore, number: number, ttlMs: number, wanted: Wanted): HeldJob | null {
  const { disk, paths } = store.deps
  try {
    return store.acquire(number, ttlMs, wanted)
  } catch (error) {
    if (!isDiskFull(error) || !exists(disk, paths.reserve(number))) throw error
    removeIfThere(disk, paths.reserve(number))
    return store.acquire(number, ttlMs, wanted)
  }
}

const isDiskFull = (error: unknown): boolean => errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT'

/** One step from the take to the release. */
class StepRun {
  readonly #deps: StepDeps
  readonly #held: HeldJob
  readonly #slice: number
  readonly #min: number
  readonly #began: number
  readonly #signal: AbortSignal
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #house: House
  readonly #log: JobLog

  readonly #steps: number
  #warm: WarmJob = new WarmJob()
  #ctx: JobContext | null = null

  constructor(deps: StepDeps, held: HeldJob, time: { slice: number; min: number }, signal: AbortSignal) {
    this.#deps = deps
    this.#held = held
    this.#steps = held.job.steps
    this.#slice = time.slice
    this.#min = time.min
    this.#began = deps.store.deps.clock.mono()
    this.#signal = signal
    this.#disk = deps.store.deps.disk
    this.#clock = deps.store.deps.clock
    this.#house = new House(this.#disk, deps.store.deps.paths, held.spec)
    this.#log = stepLog(deps, held)
  }

  async work(key: string | undefined): Promise<void> {
    const { job } = this.#held
    this.#prepare(job, key)
    const ctx = (this.#ctx = this.#context(job))
    const turn = turner(() => this.#clock.mono())
    // Asked for before the step began: not even its first piece of work is done, which might be the one without return.
    const end = this.#cancelMarked(job) ? 'cancelled' : await runSlice(ctx, turn)
    if (end === 'ended') this.#complete(job)
    else if (end === 'cancelled' || this.#cancelMarked(job)) {
      await takeBack(ctx, this.#log)
      this.#end(job, 'cancelled', null)
    } else this.#goOn(job)
    await ctx.commit(true)
    if (isEnded(job)) this.cleanUp()
    else this.#deps.warm.give(job.number, this.#held.epoch, this.#warm)
  }

  /** Law 10: what is in memory is poison; the error goes into the committed record. */
  async failed(error: unknown): Promise<void> {
    const { store } = this.#deps
    await this.#ctx?.settled() // whoever goes on cuts these files and writes to the same places
    const { number } = this.#held.job
    const known = asBackupError(error, '')
    this.#warm[Symbol.dispose]()
    if (this.#held.released) return this.#leaveLying(error)
    const lost = known.code === 'LEASE_LOST' || store.superseded(number, this.#held.epoch)
    if (lost) abandon(store, this.#house, this.#held)
    if (known.code === 'LEASE_LOST') throw known
    if (lost) throw new BackupError('LEASE_LOST', `backup ${number} was taken over`, { cause: error })
    this.#held.reload()
    const { job } = this.#held
    if (isEnded(job)) return this.#commitAgain()
    this.#log.add('error', `step ${this.#steps + 1} failed: ${known.message}`, factsOf(known))
    if (this.#cancelMarked(job)) this.#end(job, 'cancelled', null)
    else if (known.retry === 'later' || (publishing(job) && !HOPELESS.has(known.code))) this.#retryLater(job, known)
    else this.#end(job, 'failed', known)
    // Not `+= 1`: the commit that threw may have reached the disk, and no number is skipped.
    job.steps = this.#steps + 1
    this.#log.flush()
    this.#commitDespiteFullDisk()
    if (isEnded(job)) this.cleanUp()
  }

  /** Committed, and the answer stands: what could not be cleared up is for the next look at the job. */
  #leaveLying(error: unknown): void {
    const known = asBackupError(error, '')
    if (!(error instanceof BackupError) && errnoOf(error) === undefined) throw known
    this.#log.add('warn', `clearing up: ${known.message}`, factsOf(known))
    this.#log.flush()
  }

  /** The last commit is on disk but its sync failed: it is written again, never synced again (R6). */
  #commitAgain(): void {
    this.#commitDespiteFullDisk()
    this.cleanUp()
  }

  /** Removes what an ended job leaves behind: all of it unless it completed. */
  cleanUp(): void {
    const { job } = this.#held
    this.#warm[Symbol.dispose]()
    this.#deps.warm.drop(job.number)
    if (!this.#held.released) this.#held.commit(this.#slice, true)
    this.#held.settle()
    this.#house.clear(job)
  }

  #prepare(job: Job, key: string | undefined): void {
    this.#held.check()
    if (job.moving) {
      this.#deps.warm.drop(job.number) // its handles reach files that nobody reads any more
      this.#house.move(job, this.#held.epoch)
      this.#held.commit(this.#slice)
      pushWarning(
        job,
        'taken_over',
        'the process that worked on this backup did not answer in time; another one goes on',
      )
    }
    this.#house.sweep(job)
    this.#held.sweep()
    if (this.#held.how.recovered)
      pushWarning(job, 'state_recovered', 'the newest record was damaged; the one before it is used')
    if (job.status === 'pending' || job.status === 'stalled') job.status = 'running'
    job.sleepMs = 0
    if (key !== undefined) job.lastKey = { key, step: job.steps + 1 }
    this.#log.add(
      'debug',
      `step ${job.steps + 1} begins in ${job.plan[job.stage] ?? 'nothing'} for ${Math.round(this.#slice)} ms`,
    )
    this.#log.flush()
  }

  #context(job: Job): JobContext {
    const { store, stages, warm } = this.#deps
    // After a damaged record others have worked on the files since this process last did.
    const { recovered, base } = this.#held.how
    const kept = warm.take(job.number, recovered ? -1 : base)
    if (kept === null) this.#coldStart(job)
    this.#warm = kept ?? new WarmJob()
    const deps = {
      disk: this.#disk,
      clock: this.#clock,
      paths: store.deps.paths,
      held: this.#held,
      house: this.#house,
      warm: this.#warm,
      log: this.#log,
      signal: this.#signal,
      stages: job.plan.map((name) => stageOf(stages, name)),
      sliceMs: this.#slice,
    }
    if (kept === null) return this.#warm.keep('context', () => new JobContext(deps))
    const ctx = this.#warm.keep('context', () => new JobContext(deps))
    ctx.rebind(deps)
    return ctx
  }

  /** This process has not worked on the job before: what killed ones left is removed, the reserve for a full disk made. */
  #coldStart(job: Job): void {
    this.#held.check()
    this.#house.sweepStrays(job)
    this.#house.sweepOlder(job)
    const reserve = this.#deps.store.deps.paths.reserve(job.number)
    if (!exists(this.#disk, reserve)) createFileOnce(this.#disk, reserve, RESERVE)
  }

  #complete(job: Job): void {
    job.percent = 100
    job.slots = {}
    this.#end(job, 'completed', null)
  }

  #goOn(job: Job): void {
    job.attempts = 0
    job.failingSince = null
    job.error = null
    job.sleepMs = Math.round(Math.max(0, this.#min - (this.#clock.mono() - this.#began)))
  }

  #end(job: Job, status: JobStatus, error: BackupError | null): void {
    job.status = status
    job.error = error?.toRecord() ?? null
    job.finishedAt = this.#clock.wall()
    job.sleepMs = 0
    this.#log.add(error === null ? 'info' : 'error', `the job is ${status}`)
  }

  #retryLater(job: Job, error: BackupError): void {
    const now = this.#clock.wall()
    job.attempts++
    job.failingSince ??= now
    job.sleepMs = Math.min(LONGEST_WAIT, 500 * 2 ** Math.min(10, job.attempts))
    pushWarning(job, 'retry', `${error.message} (${error.code}); ${error.hint}`)
    const failing = now - job.failingSince
    if (failing >= STALL_AFTER || failing < 0) {
      job.status = 'stalled'
      job.error = error.toRecord()
    } else job.status = 'running'
  }

  /** From the barrier before the first published file or database on, there is no way back: the job is about to end anyway. */
  #cancelMarked(job: Job): boolean {
    if (irrevocable(job)) return false
    return exists(this.#disk, this.#deps.store.deps.paths.cancel(job.number))
  }

  /** A full disk must still take the note that it is full (R39): a reserve is given up for that. */
  #commitDespiteFullDisk(): void {
    try {
      this.#held.commit(this.#slice, true)
    } catch (error) {
      if (!isDiskFull(error)) throw error
      removeIfThere(this.#disk, this.#deps.store.deps.paths.reserve(this.#held.job.number))
      this.#held.commit(this.#slice, true)
    }
  }
}

function stageOf(stages: Readonly<Record<StageName, Stage>>, name: StageName): Stage {
  if (!Object.hasOwn(stages, name)) throw new BackupError('STATE_TOO_NEW', `this release knows no stage "${name}"`)
  return stages[name]
}
