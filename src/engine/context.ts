import type { AppendFile } from '../lib/append-file.ts'
import { Budget } from '../lib/budget.ts'
import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'
import type { LogLevel } from '../lib/log-level.ts'
import type { LogFields } from '../lib/logger.ts'
import { parseArtifacts } from './artifacts.ts'
import type { HeldJob } from './held-job.ts'
import type { House } from './house.ts'
import type { Job, Part, WarningCode } from './job.ts'
import type { Json } from './json.ts'
import type { JobLog } from './log.ts'
import { PartList } from './part-list.ts'
import type { JobPaths } from './paths.ts'
import { noteProgress } from './progress.ts'
import type { PublishedFile } from './published.ts'
import type { PreviewCounts } from './restore-preview.ts'
import type { JobSpec } from './spec.ts'
import type { Place, Progress, Stage, StageContext } from './stage.ts'
import { pushWarning } from './warnings.ts'
import type { WarmJob } from './warm.ts'
import { WorkFiles } from './work-files.ts'

/** How often the cancel marker is looked for. Milliseconds. */
const CANCEL_LOOK = 50
/** Records written by one step stay below this; then commits come only with a quarter of the slice. */
const RECORD_BYTES = 48 << 10

export interface ContextDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly paths: JobPaths
  readonly held: HeldJob
  readonly house: House
  readonly warm: WarmJob
  readonly log: JobLog
  readonly signal: AbortSignal
  readonly stages: readonly Stage[]
  readonly sliceMs: number
}

/**
 * One step's view of its job: slots, work files, warm things, and the commit over all of them. The
 * object itself is kept between the steps of one process (`rebind`), so that what is in flight may
 * hold on to it.
 */
export class JobContext implements StageContext, Disposable {
  readonly spec: JobSpec
  readonly disk: Disk
  readonly clock: Clock
  #deps: ContextDeps
  #budget: Budget
  readonly #files: WorkFiles
  readonly #parts = new PartList(this)
  #lastLook = 0
  #lastYield = 0
  #cancelled = false

  constructor(deps: ContextDeps) {
    this.#deps = deps
    this.spec = deps.held.spec
    this.disk = deps.disk
    this.clock = deps.clock
    this.#files = new WorkFiles(deps.disk, deps.held, deps.house)
    this.#budget = this.#newBudget()
  }

  /** The same job, taken again by the same process. */
  rebind(deps: ContextDeps): void {
    this.#deps = deps
    this.#files.rebind(deps.held, deps.house)
    this.#budget = this.#newBudget()
    this.#cancelled = false
    this.#lastLook = 0
  }

  #newBudget(): Budget {
    const { costs } = this.#deps.held.job
    this.#lastYield = this.#deps.clock.mono()
    return new Budget(this.#deps.clock, this.#deps.sliceMs, costs.commit + costs.gap)
  }

  get signal(): AbortSignal {
    return this.#deps.signal
  }
  get budget(): Budget {
    return this.#budget
  }
  get job(): Job {
    return this.#deps.held.job
  }
  get left(): number {
    return this.budget.left
  }
  get closing(): boolean {
    return this.signal.aborted || this.#cancelled || this.budget.spent
  }
  get stage(): Stage | null {
    return this.#deps.stages[this.job.stage] ?? null
  }

  slot<T extends object>(key: string, initial: () => T): T {
    const present = this.job.slots[key]
    if (present !== undefined) return present as unknown as T
    const made = initial()
    this.job.slots[key] = made as unknown as Json
    return made
  }
  clearSlot(key: string): void {
    delete this.job.slots[key]
  }

  file(name: string, place: Place = 'side'): AppendFile {
    return this.#files.open(name, place)
  }
  adopt(name: string, place: Place = 'side'): AppendFile {
    return this.#files.adopt(name, place)
  }
  release(name: string, place: Place = 'side'): void {
    this.#files.release(name, place)
  }
  drop(name: string, place: Place = 'side'): void {
    this.#files.drop(name, place)
  }
  hand(name: string, place: Place = 'side'): void {
    this.#files.hand(name, place)
  }
  path(name: string, place: Place = 'side'): string {
    return this.#files.path(name, place)
  }
  folder(place: Place): string {
    return this.#files.folder(place)
  }

  keep<T extends Disposable>(key: string, make: () => T): T {
    return this.#deps.warm.keep(key, make)
  }
  forget(key: string): void {
    this.#deps.warm.forget(key)
  }

  part(name: string): Part {
    return this.#parts.get(name)
  }
  parts(): Part[] {
    return this.#parts.all()
  }
  count(delta: Partial<Record<'entries' | 'files' | 'bytesRead' | 'bytesWritten', number>>): void {
    const { totals } = this.job
    totals.entries += delta.entries ?? 0
    totals.files += delta.files ?? 0
    totals.bytesRead += delta.bytesRead ?? 0
    totals.bytesWritten += delta.bytesWritten ?? 0
  }
  expect(files: number, bytes: number): void {
    this.job.totals.filesExpected = files
    this.job.totals.bytesExpected = bytes
  }
  warn(code: WarningCode, message: string, fields: LogFields = {}): void {
    pushWarning(this.job, code, message)
    this.log('warn', message, { ...fields, code })
  }
  log(level: LogLevel, message: string, fields?: LogFields): void {
    this.#deps.log.add(level, message, fields)
  }
  setArchive(name: string): void {
    this.job.archive = name
  }
  setPreview(found: PreviewCounts): void {
    this.job.preview = found
  }
  addArtifact(artifact: PublishedFile): void {
    this.file('artifacts').write(Buffer.from(JSON.stringify(artifact) + '\n', 'utf8'))
    this.job.artifacts.count++
    this.job.artifacts.bytes += artifact.size
  }
  artifacts(): PublishedFile[] {
    const file = this.file('artifacts')
    return parseArtifacts(file.read(0, file.length))
  }

  /** Takes in what a generator said at a safe point. */
  note(progress: Progress): void {
    const now = this.clock.mono()
    this.job.costs.gap = Math.max(this.job.costs.gap * 0.8, now - this.#lastYield)
    this.#lastYield = now
    noteProgress(this.job, this.#deps.stages, this.spec, progress)
  }

  /** Whether the loop should commit now. */
  get commitDue(): boolean {
    const bytes = this.#deps.held.written > RECORD_BYTES ? 0 : this.#files.unsynced
    return this.budget.commitDue(bytes)
  }

  /** Somebody asked for the end; seen within 50 ms at a safe point. */
  get cancelled(): boolean {
    const now = this.clock.mono()
    if (!this.#cancelled && now - this.#lastLook >= CANCEL_LOOK) {
      this.#lastLook = now
      this.#cancelled = exists(this.disk, this.#deps.paths.cancel(this.job.number))
    }
    return this.#cancelled
  }

  /** Bytes first, record last (law 1). */
  async commit(release = false): Promise<void> {
    const before = this.clock.mono()
    await this.#files.sync()
    this.#deps.held.check()
    this.#deps.log.flush()
    if (release) this.job.steps++
    this.#deps.held.commit(this.#deps.sliceMs, release)
    this.#files.committed()
    const now = this.clock.mono()
    this.job.costs.commit = Math.max(this.job.costs.commit * 0.8, now - before)
    this.#lastYield = now
    this.budget.committed()
  }

  /** Until nothing of this step is being written any more: only then may another one begin. Never rejects. */
  settled(): Promise<void> {
    return this.#files.settled()
  }

  [Symbol.dispose](): void {
    this.#files.close()
  }
}

export function exists(disk: Disk, file: string): boolean {
  try {
    disk.lstat(file)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
