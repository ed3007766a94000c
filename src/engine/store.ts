import { BackupError, errnoOf } from '../lib/errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import {
  createFileOnce,
  ensureFolder,
  readFileIfThere,
  removeIfThere,
  replaceFile,
  syncFolder,
} from '../lib/durable-file.ts'
import { HeldJob, LEASE_GRACE } from './held-job.ts'
import { hashOf, JobReader } from './job-reader.ts'
import type { Job, JobView, Lease } from './job.ts'
import { newJob, takenFrom } from './new-job.ts'
import type { Wanted } from './order.ts'
import type { JobPaths } from './paths.ts'
import type { ProcessTable } from './owner.ts'
import { encodeRecord } from './record.ts'
import { namesIn, type Found, type RecordReader } from './record-reader.ts'
import type { JobSpec } from './spec.ts'
import type { StageName } from './stage.ts'

/** A lease further ahead than this was written by a clock that has since jumped back (R34). */
const LONGEST_LEASE = 2 * 3600_000

export interface StoreDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly processes: ProcessTable
  readonly paths: JobPaths
  /** A lease lasts for the slice and this much more. Milliseconds; default `LEASE_GRACE`. */
  readonly graceMs?: number
}

/**
 * Jobs on disk. The record's name is the lock: taking a job is the exclusive creation of
 * `state-<epoch+1>.json`; exactly one contender wins, and whoever held it before writes under a
 * name that nobody reads any more.
 */
export class JobStore {
  readonly deps: StoreDeps
  readonly reader: JobReader
  readonly #records: RecordReader

  constructor(deps: StoreDeps) {
    this.deps = deps
    this.reader = new JobReader(deps.disk, deps.paths)
    this.#records = this.reader.records
  }

  /** Writes the job down; it exists once its first record does. */
  create(spec: JobSpec, plan: readonly StageName[], startKey: string | null = null, startedBy?: string): Job {
    const { disk, clock, paths } = this.deps
    ensureFolder(disk, paths.jobs)
    const number = this.#allocate()
    const text = JSON.stringify(spec)
    replaceFile(disk, paths.spec(number), Buffer.from(text, 'utf8'))
    const fresh = newJob(number, clock.wall(), spec, hashOf(text), plan, startKey)
    const job: Job = startedBy === undefined ? fresh : { ...fresh, startedBy }
    ensureFolder(disk, paths.side(number, job.house))
    if (!createFileOnce(disk, paths.state(number, job.lease.epoch), encodeRecord(job))) {
      throw new BackupError('INTERNAL', `job ${number} exists already`)
    }
    syncFolder(disk, paths.jobs)
    return job
  }

  /** The newest whole record; takes no lease. JOB_NOT_FOUND, STATE_DAMAGED, STATE_TOO_NEW. */
  read(number: number): JobView {
    return this.reader.read(number)
  }

  /** Numbers of all jobs, ascending. */
  numbers(): number[] {
    return this.reader.numbers()
  }

  /** Numbers of deleted jobs whose folders have not wholly gone yet. */
  removed(): number[] {
    return namesIn(this.deps.disk, this.deps.paths.jobs)
      .filter((name) => /^[1-9]\d{0,14}\.removed$/.test(name))
      .map((name) => Number.parseInt(name, 10))
  }

  /** The highest number ever given, whatever has been removed since. */
  lastNumber(): number {
    const { disk, paths } = this.deps
    const removed = Number(readFileIfThere(disk, paths.last)?.toString('utf8') ?? '0')
    return Math.max(Number.isSafeInteger(removed) ? removed : 0, this.numbers().at(-1) ?? 0)
  }

  /** SETTINGS_CHANGED if the file is no longer the one that was hashed into the record (law 11). */
  spec(number: number, hash: string): JobSpec {
    return this.reader.spec(number, hash)
  }

  /**
   * Takes the job for `ttlMs`. JOB_BUSY when somebody has it or was faster. An ended job can be taken too (to
   * remove what it left). The caller must not be working on this job already. `wanted` sees the very record that
   * the take goes on from: if it says no, or throws, the job is left alone (null).
   */
  acquire(number: number, ttlMs: number): HeldJob
  acquire(number: number, ttlMs: number, wanted: Wanted): HeldJob | null
  acquire(number: number, ttlMs: number, wanted: Wanted = () => true): HeldJob | null {
    const { disk, paths } = this.deps
    const { found, claim } = this.#free(number)
    if (!wanted(found.job)) return null
    const spec = this.spec(number, found.job.specHash)
    const epoch = found.epoch + 1
    const afterRelease = !claim && found.base === found.epoch && found.released
    const taken = takenFrom(found.job, { ...this.lease(epoch, ttlMs), afterRelease, ...(claim ? { claim } : {}) })
    if (!createFileOnce(disk, paths.state(number, epoch), encodeRecord(taken))) throw busy(number, 'another process')
    // Look again: a slow contender may have created a name that was used and cleaned up meanwhile.
    const newest = this.#newestEpoch(number)
    if (newest > epoch) {
      // The next one after ours is somebody who went on from it.
      if (newest > epoch + 1) removeIfThere(disk, paths.state(number, epoch))
      throw busy(number, 'another process')
    }
    if (!claim) return new HeldJob(this, taken, spec, found)
    return this.#ifWanted(this.#settled(number, taken, spec), ttlMs, wanted)
  }

  /** Asked once more, since a claim may have found a later record than the one it saw first. */
  #ifWanted(held: HeldJob, ttlMs: number, wanted: Wanted): HeldJob | null {
    let go = false
    try {
      go = wanted(held.job)
    } finally {
      if (!go) held.commit(ttlMs, true)
    }
    return go ? held : null
  }

  /**
   * The second half of a take from somebody who may be alive. It may have committed between our look and our
   * claim, and answered; none of its later commits is answered, for it finds the claim. So what stands there now
   * is what we go on from, and from now on nothing that it writes can change that.
   */
  #settled(number: number, claim: Job, spec: JobSpec): HeldJob {
    const { disk, paths } = this.deps
    const { epoch } = claim.lease
    const found = this.#records.newest(number)
    const { claim: _, ...lease } = claim.lease
    const afterRelease = found.base === epoch - 1 && found.released
    const taken = { ...takenFrom(found.job, { ...lease, afterRelease }), moving: true }
    try {
      replaceFile(disk, paths.state(number, epoch), encodeRecord(taken))
    } catch (error) {
      if (!this.superseded(number, epoch)) throw error
    }
    if (this.superseded(number, epoch)) throw busy(number, 'another process')
    return new HeldJob(this, taken, spec, found)
  }

  /** The record as it is to be taken over. JOB_BUSY if somebody has it. */
  #free(number: number): { found: Found; claim: boolean } {
    for (;;) {
      const found = this.#records.newest(number)
      const how = this.#takeable(found.job.lease)
      if (how === 'busy') throw busy(number, found.job.lease.owner)
      if (how === 'move' || found.job.lease.released) return { found, claim: how === 'move' }
      // Read before its owner was known to be dead: it may have written once more in between. Now it cannot.
      const last = this.#records.newest(number)
      if (last.epoch === found.epoch) return { found: last, claim: false }
    }
  }

  lease(epoch: number, ttlMs: number): Lease {
    const { clock, processes, graceMs = LEASE_GRACE } = this.deps
    return {
      epoch,
      owner: processes.self,
      until: clock.wall() + ttlMs + graceMs,
      boot: processes.boot,
      untilMono: clock.mono() + ttlMs + graceMs,
      released: false,
    }
  }

  /**
   * How long nobody has had the job. Milliseconds. Since the same start of the machine by the clock that only runs: a
   * wall clock set forward makes no job old.
   */
  idle({ lease, updatedAt }: Pick<Job, 'lease' | 'updatedAt'>): number {
    const { clock, processes } = this.deps
    const sameBoot = lease.boot !== '' && lease.boot === processes.boot
    return sameBoot ? clock.mono() - lease.untilMono : clock.wall() - updatedAt
  }

  /** Whether somebody took the job after this epoch. */
  superseded(number: number, epoch: number): boolean {
    return this.#newestEpoch(number) > epoch
  }

  /**
   * Whether the take after this epoch, which is the newest, went on from what it released. False if that cannot be
   * told any more: a take that lost to a later one may say so too.
   */
  followed(number: number, epoch: number): boolean {
    const next = this.#records.read(number, epoch + 1)
    if (next === 'gone' || next === 'damaged' || next.lease.afterRelease !== true) return false
    return !this.superseded(number, epoch + 1)
  }

  /** Epochs on disk, ascending. */
  epochs(number: number): number[] {
    return this.#records.epochs(number)
  }

  /** `clean`: nobody can still be writing. `move`: the old owner may be alive but its time is up. */
  #takeable(lease: Lease): 'clean' | 'move' | 'busy' {
    const { clock, processes } = this.deps
    if (lease.released || lease.owner === '') return 'clean'
    const state = processes.state(lease.owner)
    if (state !== 'unknown') return 'clean'
    const sameBoot = lease.boot !== '' && lease.boot === processes.boot
    const left = sameBoot ? lease.untilMono - clock.mono() : lease.until - clock.wall()
    return left > 0 && left <= LONGEST_LEASE ? 'busy' : 'move'
  }

  #newestEpoch(number: number): number {
    return this.epochs(number).at(-1) ?? 0
  }

  /** An exclusive mkdir of the next number; numbers of removed jobs are not used again. */
  #allocate(): number {
    const { disk, paths } = this.deps
    for (let number = this.lastNumber() + 1; ; number++) {
      try {
        disk.mkdir(paths.job(number), 0o700)
        return number
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error
      }
    }
  }
}

function busy(number: number, owner: string): BackupError {
  return new BackupError('JOB_BUSY', `backup ${number} is being worked on by ${owner.split('|')[2] ?? owner}`, {
    data: { number },
  })
}
