import { createHash } from 'node:crypto'
import { openArchive } from '../../src/archive/open-archive.ts'
import { DEFAULT_LIMITS } from '../../src/archive/reader.ts'
import { isEnded, type JobStatus, type JobView } from '../../src/engine/job.ts'
import type { JobSummary } from '../../src/engine/services.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { BenchJob, DATA, bootProcess, type BenchProcess, type Slices } from '../helpers/bench-job.ts'
import { leftovers, namesIn } from '../helpers/bench-check.ts'
import { contentOf } from '../helpers/disk-tree.ts'
import { Stopped, faultDisk } from '../helpers/fault-disk.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'

/** What a sequence is made of. `job` picks one of those started so far. */
export type Op =
  | { readonly op: 'start'; readonly key: number }
  | { readonly op: 'step' | 'repeat' | 'stale' | 'future' | 'cancel' | 'delete' | 'get'; readonly job: number }
  /** The process dies at the n-th change of the disk while it does this. */
  | { readonly op: 'die'; readonly job: number; readonly act: 'step' | 'cancel' | 'delete'; readonly at: number }
  /** A process ends between two calls; the next one knows nothing but the disk. */
  | { readonly op: 'kill' }
  | { readonly op: 'list' }
  | { readonly op: 'wait'; readonly ms: number }

/** What a client knows of one job. */
interface Known {
  readonly number: number
  readonly id: string
  readonly key: string
  steps: number
  percent: number
  status: JobStatus
  /** The last reply in full, if nothing has happened to the job since. */
  reply: string | null
  /** A call was lost with its process: what it did is not known. */
  unsure: 'step' | 'cancel' | 'delete' | null
  deleted: boolean
}

/** Where a job may go from each status. */
const NEXT: Readonly<Record<JobStatus, readonly JobStatus[]>> = {
  pending: ['pending', 'running', 'completed', 'cancelled'],
  running: ['running', 'completed', 'cancelled'],
  stalled: ['running', 'stalled', 'completed', 'cancelled'],
  completed: ['completed'],
  failed: ['failed'],
  cancelled: ['cancelled'],
  timeout: ['timeout'],
}

const MOST_JOBS = 3

/** The engine beside a model of it: every answer is compared with what the client may expect. */
export class ModelRun {
  readonly #bench: BenchJob
  readonly #jobs: Known[] = []
  #disk: MemoryDisk
  #process: BenchProcess
  #processes = 0

  constructor(slices: Slices, partSize: number) {
    this.#bench = new BenchJob({ slices, partSize, source: { large: 0, files: 30 } })
    this.#disk = this.#bench.disk
    this.#process = this.#boot()
  }

  async run(ops: readonly Op[]): Promise<void> {
    for (const op of ops) {
      await this.#apply(op)
      await this.#look()
    }
    await this.#finish()
  }

  #boot(): BenchProcess {
    return bootProcess(this.#disk, this.#bench.clock, `host|boot|${++this.#processes}`)
  }

  #kill(): void {
    this.#disk = this.#disk.kill()
    this.#process = this.#boot()
  }

  async #apply(op: Op): Promise<void> {
    if (op.op === 'start') return this.#start(`key ${op.key}`)
    if (op.op === 'kill') return this.#kill()
    if (op.op === 'wait') return this.#bench.clock.advance(op.ms)
    if (op.op === 'list') return this.#list()
    const known = this.#jobs[op.job % Math.max(1, this.#jobs.length)]
    if (known === undefined) return
    if (op.op === 'get') return this.#get(known)
    await this.#sure(known)
    if (known.deleted) return this.#expectCode('JOB_NOT_FOUND', () => this.#process.engine.step(known.number))
    if (op.op === 'die') return this.#die(known, op.act, op.at)
    if (op.op === 'cancel') return this.#cancel(known)
    if (op.op === 'delete') return this.#remove(known)
    return this.#step(known, op.op)
  }

  async #start(key: string): Promise<void> {
    for (const known of this.#jobs) if (known.key === key) await this.#sure(known)
    const again = this.#jobs.find((known) => known.key === key && !known.deleted)
    if (again === undefined && this.#jobs.length >= MOST_JOBS) return
    const job = await this.#process.engine.start({ kind: 'backup', spec: this.#bench.spec, key })
    if (again !== undefined) return this.#same('a start under the same key', job.number, again.number)
    if (this.#jobs.some((known) => known.number === job.number)) throw new Error(`number ${job.number} is used again`)
    const { number, id } = job
    const known: Known = {
      number,
      id,
      key,
      steps: 0,
      percent: 0,
      status: 'pending',
      reply: null,
      unsure: null,
      deleted: false,
    }
    this.#jobs.push(known)
    this.#answered(known, job, 1)
  }

  async #step(known: Known, how: 'step' | 'repeat' | 'stale' | 'future'): Promise<void> {
    const { engine } = this.#process
    const ended = isEnded(known)
    const expect = { step: known.steps + 1, repeat: known.steps, stale: known.steps - 1, future: known.steps + 2 }[how]
    const call = (): Promise<JobView> => engine.step(known.number, { expect })
    if (how === 'stale' || how === 'future' || (how === 'step' && ended)) {
      return this.#expectCode('STEP_OUT_OF_ORDER', call)
    }
    const job = await call()
    if (how === 'step') return this.#answered(known, job, known.steps + 1)
    if (known.reply !== null) this.#same('the repeated answer', text(job), known.reply)
    this.#answered(known, job, known.steps)
  }

  async #cancel(known: Known): Promise<void> {
    const ended = isEnded(known)
    const job = await this.#process.engine.cancel(known.number)
    if (ended && known.reply !== null) return this.#same('cancelling what has ended', text(job), known.reply)
    if (!isEnded(job) && job.slots['publish'] === undefined) throw new Error(`cancelled, it is ${job.status}`)
    this.#answered(known, job, job.steps)
  }

  async #remove(known: Known): Promise<void> {
    const call = (): Promise<void> => this.#process.engine.remove(known.number)
    if (!isEnded(known)) return this.#expectCode('JOB_RUNNING', call)
    await call()
    known.deleted = true
  }

  async #get(known: Known): Promise<void> {
    if (known.deleted || known.unsure === 'delete') return
    const job = await this.#process.engine.get(known.number)
    if (known.unsure === null && known.reply !== null) this.#same('the job', text(job), known.reply)
  }

  async #list(): Promise<void> {
    const { total, jobs } = await this.#process.engine.list()
    const there = this.#jobs.filter((known) => !known.deleted && known.unsure !== 'delete')
    const unsure = this.#jobs.filter((known) => !known.deleted && known.unsure === 'delete').length
    if (total < there.length || total > there.length + unsure) throw new Error(`${total} jobs are listed`)
    for (const known of there) await this.#listed(known, jobs)
  }

  async #listed(known: Known, jobs: readonly JobSummary[]): Promise<void> {
    const listed = jobs.find((job) => job.number === known.number)
    const { status, updatedAt, artifacts, totals } = await this.#process.engine.get(known.number)
    const expected = { status, updatedAt, size: artifacts.bytes, files: totals.files }
    const found = { status: listed?.status, updatedAt: listed?.updatedAt, size: listed?.size, files: listed?.files }
    this.#same('the list', JSON.stringify(found), JSON.stringify(expected))
  }

  async #die(known: Known, act: 'step' | 'cancel' | 'delete', at: number): Promise<void> {
    if (act === 'delete' && !isEnded(known)) return
    const disk = faultDisk(this.#disk, { at, fault: { kind: 'stop', when: at % 2 === 0 ? 'before' : 'after' } })
    const { engine } = bootProcess(disk, this.#bench.clock, `host|boot|${++this.#processes}`)
    try {
      if (act === 'step') await engine.step(known.number, isEnded(known) ? {} : { expect: known.steps + 1 })
      else if (act === 'cancel') await engine.cancel(known.number)
      else await engine.remove(known.number)
    } catch (error) {
      if (!disk.stopped || (!(error instanceof Stopped) && !(error instanceof BackupError))) throw error
    }
    known.unsure = act
    this.#kill()
  }

  /** A client whose call was lost asks again: the awaited step is answered now, or has been taken and is told. */
  async #sure(known: Known): Promise<void> {
    const { unsure } = known
    known.unsure = null
    const { engine } = this.#process
    if (unsure === null) return
    if (unsure === 'delete') {
      await engine.remove(known.number).catch((error: unknown) => this.#onlyIf('JOB_NOT_FOUND', error))
      known.deleted = true
      return
    }
    known.reply = null
    const record = await engine.get(known.number)
    if (record.steps < known.steps || record.steps > known.steps + 2) {
      throw new Error(`step ${known.steps} was told, the record says ${record.steps}`)
    }
    if (unsure === 'cancel') return this.#answered(known, await engine.cancel(known.number), null)
    if (isEnded(known)) return this.#answered(known, await engine.step(known.number), known.steps)
    this.#answered(known, await engine.step(known.number, { expect: known.steps + 1 }), known.steps + 1)
  }

  #answered(known: Known, job: JobView, steps: number | null): void {
    if (job.id !== known.id) throw new Error(`${job.id} answers for ${known.id}`)
    if (steps !== null) this.#same('the step number', job.steps, steps)
    if (job.steps < known.steps) throw new Error('the step number has fallen')
    if (job.percent < known.percent) throw new Error('the percentage has fallen')
    if (!NEXT[known.status].includes(job.status)) throw new Error(`from ${known.status} to ${job.status}`)
    Object.assign(known, { steps: job.steps, percent: job.percent, status: job.status, reply: text(job) })
  }

  /** What must hold at any moment. */
  async #look(): Promise<void> {
    for (const known of this.#jobs) {
      if (known.unsure !== null) continue
      if (known.deleted) await this.#gone(known)
      else await this.#consistent(known)
    }
  }

  async #consistent(known: Known): Promise<void> {
    const { engine } = this.#process
    const job = await engine.get(known.number)
    this.#same('the status', job.status, known.status)
    if ((job.percent === 100) !== (job.status === 'completed')) throw new Error(`${job.percent} % when ${job.status}`)
    const artifacts = await engine.artifacts(known.number)
    if (artifacts.length > 0 !== (job.status === 'completed')) throw new Error(`${job.status} with an archive`)
    for (const { path, size, sha256 } of artifacts) {
      const bytes = contentOf(this.#disk, path)
      this.#same('the size', bytes.length, size)
      this.#same('the digest', createHash('sha256').update(bytes).digest('hex'), sha256)
    }
    const last = artifacts.at(-1)
    if (last !== undefined) this.#readable(last.path, job)
    if (!isEnded(job)) return
    const left = leftovers(this.#disk, job).filter((name) => !name.startsWith('.') || name.includes(job.id))
    this.#same('what is left behind', left.join(), '')
  }

  #readable(path: string, job: JobView): void {
    using archive = openArchive(this.#disk, path, { limits: DEFAULT_LIMITS, salvage: false })
    const files = [...archive.entries()].filter(
      ({ kind, path: name }) => kind === 'file' && !name.toString('latin1').startsWith('installation/'),
    )
    this.#same('files in the archive', files.length, job.totals.files)
  }

  async #gone(known: Known): Promise<void> {
    await this.#expectCode('JOB_NOT_FOUND', () => this.#process.engine.get(known.number))
    if (namesIn(this.#disk, `${DATA}/jobs`).includes(String(known.number))) throw new Error('its folder is still there')
  }

  /** All jobs to their end, by a process that knows nothing. */
  async #finish(): Promise<void> {
    this.#kill()
    for (const known of this.#jobs) {
      if (!known.deleted) await this.#sure(known)
      for (let calls = 0; !known.deleted && !isEnded(known); calls++) {
        if (calls > 2000) throw new Error('no end after 2000 steps')
        await this.#step(known, 'step')
      }
    }
    await this.#look()
    await this.#list()
  }

  async #expectCode(code: string, call: () => Promise<unknown>): Promise<void> {
    try {
      await call()
    } catch (error) {
      return this.#onlyIf(code, error)
    }
    throw new Error(`${code} was expected, an answer came`)
  }

  #onlyIf(code: string, error: unknown): void {
    if (!(error instanceof BackupError) || error.code !== code) throw error
  }

  #same(what: string, found: string | number, expected: string | number): void {
    if (found !== expected) throw new Error(`${what}: ${found}, not ${expected}`)
  }
}

/** An answer as a wire could show it: without what only processes need to know. */
function text(job: JobView): string {
  const { lease: _, costs: __, ...shown } = job
  return JSON.stringify(shown)
}
