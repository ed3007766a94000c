import { memoryCatalogue } from '../../src/engine/catalogue.ts'
import { RatchetEngine } from '../../src/engine/engine.ts'
import { isEnded, type JobView } from '../../src/engine/job.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { inlineRunner } from '../../src/engine/runner.ts'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { JobStore } from '../../src/engine/store.ts'
import { WarmStore } from '../../src/engine/warm.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { openStages } from '../../src/step-parts.ts'
import { benchSource, type SourceOptions } from './bench-source.ts'
import { putFile } from './disk-tree.ts'
import { FakeClock } from './fake-clock.ts'
import type { MemoryDisk } from './memory-disk.ts'
import { sampleSpec } from './sample-job.ts'

export const DATA = '/data'
export const OUT = '/out'

/**
 * How time passes. `whole`: it stands still, so that all is one step and only barriers commit.
 * `some`: a step has a few safe points, most with a commit. `each`: every safe point ends a step.
 */
export type Slices = 'whole' | 'some' | 'each'

const LOOKS: Readonly<Record<Slices, { perLook: number; maxMs: number }>> = {
  whole: { perLook: 0, maxMs: 1000 },
  some: { perLook: 40, maxMs: 1200 },
  each: { perLook: 10, maxMs: 5 },
}

export interface BenchOptions {
  readonly slices?: Slices
  readonly partSize?: number
  readonly source?: SourceOptions
  readonly spec?: Partial<BackupSpec>
  /** Replaces the one the slices ask for. */
  readonly clock?: FakeClock
  /** The number the job gets; default 1. */
  readonly number?: number
}

export interface BenchProcess extends AsyncDisposable {
  readonly engine: RatchetEngine
  readonly store: JobStore
}

/** What a client remembers, who outlives every process of the server. */
interface Told {
  readonly number: number
  readonly id: string
  readonly steps: number
  readonly percent: number
  readonly ended: boolean
}

/** A reference backup job on a memory disk, with the client that drives it and remembers what it was told. */
export class BenchJob {
  readonly disk: MemoryDisk
  readonly spec: BackupSpec
  readonly clock: FakeClock
  told: Told | null = null
  /** The last reply in full. */
  last: JobView | null = null
  processes = 0
  /** For the checks: a process died on the way; how often the end was looked at. */
  crashed = false
  checks = 0

  constructor(options: BenchOptions = {}, disk = benchDisk(options)) {
    const { perLook, maxMs } = LOOKS[options.slices ?? 'some']
    this.disk = disk
    this.clock = options.clock ?? new FakeClock({ perLook })
    this.spec = sampleSpec({
      sources: [{ type: 'directory', path: '/source', xattrs: false }],
      pacing: { minMs: 0, maxMs, bias: 100 },
      partSize: options.partSize ?? 0,
      level: 1,
      ...options.spec,
    })
  }

  /** A fresh process on this disk. Every process knows that all earlier ones are dead. */
  boot(disk: Disk = this.disk, clock: Clock = this.clock): BenchProcess {
    return bootProcess(disk, clock, `host|boot|${++this.processes}`)
  }

  /** One call of the client: it awaits the number after the last one it saw, and repeats itself until it sees it. */
  async call({ engine }: BenchProcess): Promise<JobView> {
    const { told } = this
    const job = await (told === null
      ? engine.start({ kind: 'backup', spec: this.spec, key: 'bench' })
      : engine.step(told.number, { expect: told.ended ? told.steps : told.steps + 1 }))
    this.#note(job)
    return job
  }

  #note(job: JobView): void {
    const { told } = this
    const wrong: string[] = []
    if (told !== null && job.id !== told.id) wrong.push(`the id was ${told.id}`)
    if (told !== null && job.percent < told.percent) wrong.push(`the percentage was ${told.percent}`)
    const expected = told === null ? 1 : told.ended ? told.steps : told.steps + 1
    if (job.steps !== expected) wrong.push(`step ${expected} was asked for`)
    if ((job.percent === 100) !== (job.status === 'completed')) wrong.push(`it is ${job.status}`)
    if (wrong.length > 0)
      throw new Error(`the reply says ${job.id}, step ${job.steps}, ${job.percent} %: ${wrong.join(', ')}`)
    const { number, id, steps, percent } = job
    this.told = { number, id, steps, percent, ended: isEnded(job) }
    this.last = job
  }

  /** One process that works until the job has ended. */
  async drive(disk: Disk = this.disk): Promise<JobView> {
    await using process = this.boot(disk)
    for (let calls = 0; calls < 2000; calls++) {
      const job = await this.call(process)
      if (isEnded(job)) return job
      this.clock.advance(job.sleepMs)
    }
    throw new Error('no end after 2000 steps')
  }

  /** Like `drive`, by a client that calls again after an error, `patience` times in all. */
  async insist(disk: Disk, patience: number, wait: (failures: number) => void = () => {}): Promise<JobView> {
    await using process = this.boot(disk)
    for (let failures = 0; ;) {
      try {
        const job = await this.call(process)
        if (isEnded(job)) return job
        if (job.attempts === 0) continue
        if (++failures > patience) throw new Error(`still failing: ${job.warnings.recent.at(-1)?.message ?? ''}`)
        this.clock.advance(job.sleepMs)
      } catch (error) {
        if (!(error instanceof Error) || ++failures > patience) throw error
      }
      wait(failures)
    }
  }
}

export function bootProcess(disk: Disk, clock: Clock, self: string): BenchProcess {
  const processes = {
    self,
    boot: 'boot',
    state: (owner: string) => (owner === self ? ('ours' as const) : ('gone' as const)),
  }
  const store = new JobStore({ disk, clock, processes, paths: jobPaths(DATA) })
  const parts = openStages({ dataDir: DATA, threads: 0 })
  const runner = inlineRunner({ store, stages: parts.stages, warm: new WarmStore() })
  const engine = new RatchetEngine({ store, runner, catalogue: memoryCatalogue() })
  return {
    engine,
    store,
    async [Symbol.asyncDispose]() {
      await engine.close()
      parts[Symbol.dispose]()
    },
  }
}

const prepared = new Map<string, MemoryDisk>()

/** A copy of the prepared disk: cheap, contents are shared until they are written to. */
export function benchDisk(options: BenchOptions): MemoryDisk {
  const key = JSON.stringify([options.source ?? {}, options.number ?? 1])
  let disk = prepared.get(key)
  if (disk === undefined) {
    disk = benchSource(options.source)
    if (options.number !== undefined && options.number > 1) {
      disk.mkdir('/data/jobs', 0o700)
      putFile(disk, '/data/jobs/last', String(options.number - 1))
      disk.settle()
    }
    prepared.set(key, disk)
  }
  return disk.clone()
}

/** Whether an error is one the engine itself named. */
export const codeOf = (error: unknown): string => (error instanceof BackupError ? error.code : String(error))
