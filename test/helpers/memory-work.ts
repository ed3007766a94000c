import path from 'node:path'
import type { Job } from '../../src/engine/job.ts'
import type { JobSpec } from '../../src/engine/spec.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { writeFully, type Disk } from '../../src/lib/disk.ts'
import { ensureFolder, removeIfThere, syncFolder } from '../../src/lib/durable-file.ts'
import { errnoOf } from '../../src/lib/errors.ts'
import { contentOf } from './disk-tree.ts'
import { FakeClock } from './fake-clock.ts'
import { MemoryContext } from './memory-context.ts'
import { MemoryDisk } from './memory-disk.ts'
import { seeded, type Random } from './random.ts'
import { sampleJob, sampleSpec } from './sample-job.ts'

/**
 * What a dead process leaves beyond the committed lengths. `noise`: other bytes, and garbage in
 * files that no record names. `cut`: nothing. `kept`: all of it. `power`: what a power cut leaves
 * (only on a MemoryDisk).
 */
export type Tails = 'noise' | 'cut' | 'kept' | 'power'

export interface WorkOptions {
  readonly spec?: JobSpec
  /** Default: a MemoryDisk. */
  readonly disk?: Disk
  readonly clock?: Clock
  /** Absolute; default `/data/job` and `/out/.ratchet-1`. */
  readonly side?: string
  readonly out?: string
  readonly seed?: number
}

/**
 * A job without an engine: runs one stage, source or sink alone. `open()` is a fresh process's
 * context from the last commit; `commit()` is the engine's commit; `crash()` ends the process.
 */
export class MemoryWork {
  readonly spec: JobSpec
  readonly clock: Clock
  readonly side: string
  readonly out: string
  readonly log: string[] = []
  /** Draws noise and power cuts; a test that repeats a cut sets another. */
  random: Random
  disk: Disk
  /** The last commit. */
  committed: Job
  #context: MemoryContext | null = null
  commits = 0

  constructor(options: WorkOptions = {}) {
    this.spec = options.spec ?? sampleSpec()
    this.clock = options.clock ?? new FakeClock()
    this.disk = options.disk ?? new MemoryDisk()
    this.side = options.side ?? '/data/job'
    this.out = options.out ?? '/out/.ratchet-1'
    this.random = seeded(options.seed ?? 1)
    this.committed = sampleJob(this.spec)
    for (const folder of [this.side, this.out]) ensureFolder(this.disk, folder)
  }

  /** The context of the process that has the job now. */
  get context(): MemoryContext {
    if (this.#context === null) throw new Error('no process has the job: open() it')
    return this.#context
  }

  /** A fresh process takes the job: what was given up is removed, nothing is warm. */
  open(): MemoryContext {
    if (this.#context !== null) throw new Error('a process has the job: crash() it first')
    const job = structuredClone(this.committed)
    for (const key of job.trash) removeIfThere(this.disk, this.pathOf(key))
    job.trash = []
    this.#context = new MemoryContext(this, job)
    return this.#context
  }

  /** Bytes first, record last. */
  async commit(): Promise<void> {
    const { job, files } = this.context
    const lengths = await Promise.all(
      [...files.open].map(async ([key, file]) => [key, await file.sync(), file] as const),
    )
    for (const [key, length, file] of lengths) {
      if (file.created) syncFolder(this.disk, path.dirname(this.pathOf(key)))
      if (length > 0 || file.created || key in job.files) job.files[key] = length
    }
    for (const key of files.handed) delete job.files[key]
    job.steps++
    this.committed = structuredClone(job)
    this.commits++
    files.committed()
  }

  /** The process ends without another word, and leaves its tails as told. */
  crash(tails: Tails = 'noise'): void {
    const { files } = this.context
    const touched = new Set([...files.touched, ...Object.keys(this.committed.files)])
    this.context.die()
    this.#context = null
    if (tails === 'power') {
      if (!(this.disk instanceof MemoryDisk)) throw new TypeError('power cuts need a MemoryDisk')
      this.disk = this.disk.powerCut(this.random.chance(0.3) ? 'lose' : this.random)
      return
    }
    if (this.disk instanceof MemoryDisk) this.disk = this.disk.kill()
    if (tails !== 'kept') for (const key of touched) this.#garble(key, tails)
  }

  /** Committed bytes of a work file. */
  content(name: string, place: 'side' | 'out' = 'side'): Buffer {
    const key = place === 'out' ? `out/${name}` : name
    return contentOf(this.disk, this.pathOf(key)).subarray(0, this.committed.files[key] ?? 0)
  }

  /** What a job says of itself, without what depends on when its steps ended. */
  get summary(): object {
    const { totals, parts, warnings, archive, artifacts, slots, files } = this.committed
    const said = warnings.recent.map(({ code, message }) => `${code}: ${message}`)
    return { totals, parts, warnings: said, archive, artifacts, slots, files }
  }

  pathOf(key: string): string {
    return key.startsWith('out/') ? path.join(this.out, key.slice(4)) : path.join(this.side, key)
  }

  #garble(key: string, tails: 'noise' | 'cut'): void {
    const committed = this.committed.files[key]
    if (committed === undefined && this.#keeps(key)) return
    const at = this.pathOf(key)
    if (committed === undefined && tails === 'cut') return removeIfThere(this.disk, at)
    const fd = this.#openIfThere(at)
    if (fd === null) return
    const noise = this.random.bytes(tails === 'cut' ? 0 : 1 + this.random.int(300))
    this.disk.truncate(fd, committed ?? 0)
    writeFully(this.disk, fd, noise, committed ?? 0)
    this.disk.close(fd)
  }

  /** Files that were handed over or given up by the last commit are nobody's tails. */
  #keeps(key: string): boolean {
    return this.committed.trash.includes(key) || this.#handedOver.has(key)
  }
  readonly #handedOver = new Set<string>()
  /** Told by the context when a commit takes a finished file out of the record. */
  handedOver(key: string): void {
    this.#handedOver.add(key)
  }
  #openIfThere(at: string): number | null {
    try {
      return this.disk.open(at, 'update')
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
  }
}
