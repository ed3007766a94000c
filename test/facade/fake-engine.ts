import type { JobStatus, JobView, Warning } from '../../src/engine/job.ts'
import { isEnded, outcome } from '../../src/engine/job.ts'
import { inScope } from '../../src/engine/services.ts'
import type {
  Engine,
  EngineEvents,
  JobQuery,
  JobSummary,
  LogQuery,
  Removable,
  RetentionPreview,
  StartRequest,
  StepOptions,
} from '../../src/engine/services.ts'
import type { JobSpec, RetentionPolicy } from '../../src/engine/spec.ts'
import type { StageName } from '../../src/engine/stage.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { Events } from '../../src/lib/events.ts'

/**
 * An engine in memory with the real one's manners: numbered steps, repeated and stale step numbers,
 * one step at a time, cancel, a log. `executed` lists every step really worked, in order.
 */
export interface FakeOptions {
  /** Steps of a job, the start included. */
  steps?: number
  /** Time source for the record. */
  now?: () => number
  /** Runs inside each step, before it counts: may wait or throw. */
  work?: (job: JobView, step: number) => Promise<void> | void
  sleepMs?: number
  /** false: idempotency keys are not looked at, only step numbers. */
  keys?: boolean
}

const PACING = { minMs: 0, maxMs: 1000, bias: 75 }

export class FakeEngine implements Engine {
  readonly events = new Events<EngineEvents>()
  readonly executed: { job: number; step: number }[] = []
  readonly requests: StartRequest[] = []
  readonly previews: { profile: number; policy: RetentionPolicy }[] = []
  readonly #jobs = new Map<number, JobView>()
  readonly #busy = new Set<number>()
  readonly #options: Required<FakeOptions>

  constructor(options: FakeOptions = {}) {
    this.#options = {
      steps: 5,
      now: () => 1_782_727_845_000,
      work: () => undefined,
      sleepMs: 0,
      keys: true,
      ...options,
    }
  }

  async start(request: StartRequest): Promise<JobView> {
    this.requests.push(request)
    const number = Math.max(0, ...this.#jobs.keys()) + 1
    const fresh = newJob(number, specOf(request), this.#options.now())
    const job = request.startedBy === undefined ? fresh : { ...fresh, startedBy: request.startedBy }
    this.#jobs.set(job.number, job)
    await this.#work(job)
    return structuredClone(job)
  }

  async step(number: number, { expect, key }: StepOptions = {}): Promise<JobView> {
    const job = this.#find(number)
    if (this.#options.keys && key !== undefined && job.lastKey?.key === key) return structuredClone(job)
    if (expect === job.steps || (isEnded(job) && expect === undefined)) return structuredClone(job)
    if (expect !== undefined && expect !== job.steps + 1)
      throw new BackupError('STEP_OUT_OF_ORDER', `step ${expect} is not the next one`, {
        data: { next: job.steps + 1 },
      })
    if (isEnded(job)) return structuredClone(job)
    if (this.#busy.has(number)) throw new BackupError('JOB_BUSY', `job ${number} is being stepped`)
    this.#busy.add(number)
    try {
      await this.#work(job)
      job.lastKey = key === undefined ? null : { key, step: job.steps }
    } finally {
      this.#busy.delete(number)
    }
    return structuredClone(job)
  }

  async cancel(number: number): Promise<JobView> {
    const job = this.#find(number)
    if (!isEnded(job)) this.#end(job, 'cancelled')
    return structuredClone(job)
  }

  async get(number: number): Promise<JobView> {
    return structuredClone(this.#find(number))
  }

  async resolve(id: string): Promise<number> {
    for (const job of this.#jobs.values()) if (job.id === id) return job.number
    throw new BackupError('JOB_NOT_FOUND', `there is no job ${id}`)
  }

  async list(query: JobQuery = {}): Promise<{ total: number; jobs: JobSummary[] }> {
    const all = [...this.#jobs.values()]
      .filter((j) => query.kind === undefined || j.kind === query.kind)
      .filter((j) => query.status === undefined || j.status === query.status)
      .filter((j) => query.profile === undefined || j.spec.profile === query.profile)
      .filter((j) => query.since === undefined || j.createdAt >= query.since)
      .filter((j) => query.until === undefined || j.createdAt < query.until)
      .filter((j) => query.seenBy === undefined || inScope({ ...j, profile: j.spec.profile }, query.seenBy))
      .toReversed()
    const from = query.offset ?? 0
    return { total: all.length, jobs: all.slice(from, from + (query.limit ?? 50)).map(summaryOf) }
  }

  async remove(number: number, what: Removable = 'both'): Promise<void> {
    const job = this.#find(number)
    if (!isEnded(job)) throw new BackupError('JOB_RUNNING', `job ${number} has not ended`)
    if (job.standing?.frozen) throw new BackupError('FROZEN', `backup ${number} is frozen`)
    if (what !== 'files') this.#jobs.delete(number)
    else this.#jobs.set(number, { ...job, standing: { filesRemoved: { at: 5, by: 'user', reason: 'a test' } } })
  }

  async freeze(number: number, frozen: boolean): Promise<JobView> {
    const job = this.#find(number)
    if (!isEnded(job)) throw new BackupError('JOB_RUNNING', `job ${number} has not ended`)
    const { standing: _, ...rest } = job
    this.#jobs.set(number, frozen ? { ...rest, standing: { frozen } } : rest)
    return structuredClone(this.#find(number))
  }

  async previewRetention(profile: number, policy: RetentionPolicy): Promise<RetentionPreview> {
    this.previews.push({ profile, policy })
    const backups = [...this.#jobs.values()]
      .filter((job) => job.kind === 'backup' && job.status === 'completed' && job.spec.profile === profile)
      .map((job) => ({ number: job.number, time: job.createdAt, bytes: 1000, complete: true }))
      .map((found) => ({ ...found, keep: true, reasons: ['last' as const] }))
      .toReversed()
    const none = { count: 0, bytes: 0 }
    const kept = { count: backups.length, bytes: backups.length * 1000 }
    return { refused: null, backups, totals: { kept, removed: none, frozen: none } }
  }

  async parts(number: number) {
    return (await this.get(number)).parts
  }
  async restorePreview() {
    return null
  }

  async artifacts(number: number) {
    const job = this.#find(number)
    if (job.status !== 'completed' || job.archive === null) return []
    return [{ name: job.archive, path: `/backups/${job.archive}`, size: 1000, sha256: 'ab'.repeat(32) }]
  }

  async log(number: number, { from = 1, limit = 100 }: LogQuery = {}) {
    const job = this.#find(number)
    const all = Array.from({ length: job.steps }, (_, i) => ({
      line: i + 1,
      time: job.createdAt + i,
      level: 'info' as const,
      message: `step ${i + 1}`,
    }))
    const lines = all.slice(from - 1, from - 1 + limit)
    return { lines, next: from + lines.length, total: all.length }
  }

  async close(): Promise<void> {
    this.#busy.clear()
  }

  /** Steps worked for one job: 1, 2, 3 … when none was lost or doubled. */
  stepsOf(number: number): number[] {
    return this.executed.filter((e) => e.job === number).map((e) => e.step)
  }

  get count(): number {
    return this.#jobs.size
  }

  /** Changes the record as a test needs it. */
  edit(number: number, change: (job: JobView) => void): void {
    change(this.#find(number))
  }

  warn(number: number, ...messages: string[]): void {
    const job = this.#find(number)
    for (const message of messages) job.warnings.recent.push({ step: job.steps, code: 'omitted', message } as Warning)
    job.warnings.total += messages.length
  }

  async #work(job: JobView): Promise<void> {
    const next = job.steps + 1
    await this.#options.work(job, next)
    if (isEnded(job)) return // cancelled meanwhile
    this.executed.push({ job: job.number, step: next })
    job.steps = next
    job.status = 'running'
    job.domain = next === 1 ? 'init' : job.kind === 'backup' ? 'pack' : job.kind
    job.progress = { step: `step ${next}` }
    job.percent = Math.floor((next / this.#options.steps) * 100)
    job.sleepMs = this.#options.sleepMs
    job.updatedAt = this.#options.now()
    if (job.kind === 'backup') job.archive = 'site.zip'
    if (next >= this.#options.steps) this.#end(job, 'completed')
  }

  #end(job: JobView, status: JobStatus): void {
    job.status = status
    job.finishedAt = this.#options.now()
    if (status === 'completed') job.artifacts = { count: 1, bytes: 1000 }
  }

  #find(number: number): JobView {
    const job = this.#jobs.get(number)
    if (job === undefined) throw new BackupError('JOB_NOT_FOUND', `there is no job ${number}`, { data: { number } })
    return job
  }
}

function specOf(request: StartRequest): JobSpec {
  if (request.kind === 'backup') return request.spec
  const common = {
    profile: 0,
    description: request.description ?? '',
    comment: request.comment ?? '',
    pacing: { ...PACING, ...request.pacing },
    archive: String(request.archive),
  }
  if (request.kind === 'verify') return { kind: 'verify', ...common, expected: [] }
  return {
    kind: 'restore',
    ...common,
    target: request.target ?? '',
    mode: request.mode ?? 'new',
    patterns: request.patterns ?? [],
    salvage: request.salvage ?? false,
    owners: request.owners ?? false,
    setuid: request.setuid ?? false,
    outsideLinks: request.outsideLinks ?? false,
    skipInstallation: request.skipInstallation ?? false,
    limits: { ratio: 1000, entries: 1e6, bytes: 1e12, ...request.limits },
    ...(request.dryRun === true ? { dryRun: true as const } : {}),
  }
}

/** A record before its first step. */
export function newJob(number: number, spec: JobSpec, now: number): JobView {
  const plan: StageName[] = ['init', 'pack', 'seal', 'verify', 'publish']
  return {
    format: 1,
    number,
    id: `20260629-121045-${String(number).padStart(6, '0')}`,
    kind: spec.kind,
    spec,
    salt: 'salt',
    specHash: 'hash',
    plan,
    status: 'pending',
    stage: 0,
    steps: 0,
    slots: {},
    house: 1,
    files: {},
    trash: [],
    progress: { step: '' },
    domain: 'init',
    percent: 0,
    totals: { entries: 0, files: 0, bytesRead: 0, bytesWritten: 0, filesExpected: null, bytesExpected: null },
    parts: [],
    shelved: { total: 0, failed: 0, gaps: 0 },
    warnings: { total: 0, before: 0, recent: [] },
    archive: null,
    artifacts: { count: 0, bytes: 0 },
    error: null,
    attempts: 0,
    failingSince: null,
    sleepMs: 0,
    costs: { gap: 0, commit: 0 },
    createdAt: now,
    updatedAt: now,
    finishedAt: null,
    lease: { epoch: 1, owner: '', until: 0, boot: '', untilMono: 0, released: true },
    startKey: null,
    moving: false,
    lastKey: null,
  }
}

function summaryOf(job: JobView): JobSummary {
  const { number, id, kind, status, archive, createdAt, updatedAt, finishedAt } = job
  return {
    number,
    id,
    kind,
    status,
    archive,
    createdAt,
    updatedAt,
    finishedAt,
    outcome: outcome(job),
    profile: job.spec.profile,
    ...(job.startedBy === undefined ? {} : { startedBy: job.startedBy }),
    description: job.spec.description,
    files: job.totals.files,
    bytes: job.totals.bytesRead,
    size: job.artifacts.bytes,
    warnings: job.warnings.total,
    ...job.standing,
  }
}
