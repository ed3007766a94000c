import { createHash, randomBytes } from 'node:crypto'
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
import { RECORD_FORMAT, isEnded, type Job, type JobView, type Lease } from './job.ts'
import { stateEpoch, type JobPaths } from './paths.ts'
import type { ProcessTable } from './owner.ts'
import { decodeRecord, encodeRecord } from './record.ts'
import type { JobSpec } from './spec.ts'
import type { StageName } from './stage.ts'

/** A lease further ahead than this was written by a clock that has since jumped back (R34). */
const LONGEST_LEASE = 2 * 3600_000

export interface StoreDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly processes: ProcessTable
  readonly paths: JobPaths
}

interface Found {
  job: Job
  /** The newest epoch when the record was read: its successor is the one to create. */
  epoch: number
  /** The newest record was damaged and an older one is used. */
  recovered: boolean
}

/**
 * Jobs on disk. The record's name is the lock: taking a job is the exclusive creation of
 * `state-<epoch+1>.json`; exactly one contender wins, and whoever held it before writes under a
 * name that nobody reads any more.
 */
export class JobStore {
  readonly deps: StoreDeps
  #specs = new Map<string, JobSpec>()

  constructor(deps: StoreDeps) {
    this.deps = deps
  }

  /** Writes the job down; it exists once its first record does. */
  create(spec: JobSpec, plan: readonly StageName[], startKey: string | null = null): Job {
    const { disk, clock, paths } = this.deps
    ensureFolder(disk, paths.jobs)
    const number = this.#allocate()
    const text = JSON.stringify(spec)
    replaceFile(disk, paths.spec(number), Buffer.from(text, 'utf8'))
    const job = newJob(number, clock.wall(), spec, hashOf(text), plan, startKey)
    ensureFolder(disk, paths.side(number, job.house))
    if (!createFileOnce(disk, paths.state(number, job.lease.epoch), encodeRecord(job))) {
      throw new BackupError('INTERNAL', `job ${number} exists already`)
    }
    syncFolder(disk, paths.jobs)
    return job
  }

  /** The newest whole record; takes no lease. JOB_NOT_FOUND, STATE_DAMAGED, STATE_TOO_NEW. */
  read(number: number): JobView {
    const job = this.#newest(number).job
    return { ...job, spec: this.spec(number, job.specHash) }
  }

  /** Numbers of all jobs, ascending. */
  numbers(): number[] {
    return this.#names(this.deps.paths.jobs)
      .filter((name) => /^[1-9]\d{0,14}$/.test(name))
      .map(Number)
      .toSorted((a, b) => a - b)
  }

  /** The highest number ever given, whatever has been removed since. */
  lastNumber(): number {
    const { disk, paths } = this.deps
    const removed = Number(readFileIfThere(disk, paths.last)?.toString('utf8') ?? '0')
    return Math.max(Number.isSafeInteger(removed) ? removed : 0, this.numbers().at(-1) ?? 0)
  }

  /** SETTINGS_CHANGED if the file is no longer the one that was hashed into the record (law 11). */
  spec(number: number, hash: string): JobSpec {
    const key = `${number} ${hash}`
    const known = this.#specs.get(key)
    if (known !== undefined) return known
    const file = this.deps.paths.spec(number)
    const bytes = readFileIfThere(this.deps.disk, file)
    if (bytes === null) throw new BackupError('STATE_DAMAGED', `${file} is missing`)
    if (hashOf(bytes) !== hash) throw new BackupError('SETTINGS_CHANGED', `${file} is not the one the job began with`)
    const spec = JSON.parse(bytes.toString('utf8')) as JobSpec
    if (this.#specs.size > 64) this.#specs.clear()
    this.#specs.set(key, spec)
    return spec
  }

  /**
   * Takes the job for `ttlMs`. JOB_BUSY when somebody has it or was faster. An ended job can be taken too (to
   * remove what it left). The caller must not be working on this job already.
   */
  acquire(number: number, ttlMs: number): HeldJob {
    const { disk, paths } = this.deps
    const found = this.#newest(number)
    const { job, recovered } = found
    const how = this.#takeable(job.lease)
    if (how === 'busy') throw busy(number, job.lease.owner)
    const epoch = found.epoch + 1
    const moving = job.moving || how === 'move'
    const taken: Job = { ...job, moving, lease: this.lease(epoch, ttlMs) }
    if (!isEnded(job)) taken.warnings = { ...job.warnings, before: job.warnings.total }
    if (!createFileOnce(disk, paths.state(number, epoch), encodeRecord(taken))) throw busy(number, 'another process')
    // Look again: a slow contender may have created a name that was used and cleaned up meanwhile.
    // Its owner may also have been slow, not dead, and have committed since it was read: that commit was told.
    if (this.#newestEpoch(number) > epoch || !this.#stillStands(found)) {
      removeIfThere(disk, paths.state(number, epoch))
      throw busy(number, 'another process')
    }
    return new HeldJob(this, taken, this.spec(number, job.specHash), {
      recovered,
      base: job.lease.epoch,
    })
  }

  lease(epoch: number, ttlMs: number): Lease {
    const { clock, processes } = this.deps
    return {
      epoch,
      owner: processes.self,
      until: clock.wall() + ttlMs + LEASE_GRACE,
      boot: processes.boot,
      untilMono: clock.mono() + ttlMs + LEASE_GRACE,
      released: false,
    }
  }

  /** Whether somebody took the job after this epoch. */
  superseded(number: number, epoch: number): boolean {
    return this.#newestEpoch(number) > epoch
  }

  /** Epochs on disk, ascending. */
  epochs(number: number): number[] {
    const found: number[] = []
    for (const name of this.#names(this.deps.paths.job(number))) {
      const epoch = stateEpoch(name)
      if (epoch !== null) found.push(epoch)
    }
    return found.toSorted((a, b) => a - b)
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

  #newest(number: number): Found {
    const { disk, paths } = this.deps
    for (;;) {
      const epochs = this.epochs(number)
      const newest = epochs.at(-1)
      if (newest === undefined)
        throw new BackupError('JOB_NOT_FOUND', `there is no backup ${number}`, { data: { number } })
      const bytes = readFileIfThere(disk, paths.state(number, newest))
      if (bytes === null) continue // taken and swept between the listing and the read
      const job = decodeRecord(bytes, paths.state(number, newest))
      if (job !== null) return { job, epoch: newest, recovered: false }
      const older = epochs.at(-2)
      const previous = older === undefined ? null : readFileIfThere(disk, paths.state(number, older))
      const back = previous === null || older === undefined ? null : decodeRecord(previous, paths.state(number, older))
      if (back !== null) return { job: back, epoch: newest, recovered: true }
      throw new BackupError('STATE_DAMAGED', `${paths.state(number, newest)} is damaged and no earlier record is whole`)
    }
  }

  /** Whether the record that a take continues is still the one that was read. */
  #stillStands({ job }: Found): boolean {
    const { disk, paths } = this.deps
    const now = readFileIfThere(disk, paths.state(job.number, job.lease.epoch))
    return now !== null && now.equals(encodeRecord(job))
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

  #names(folder: string): string[] {
    try {
      return this.deps.disk.readdir(folder).map((name) => name.toString('latin1'))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    }
  }
}

const hashOf = (text: string | Uint8Array): string => createHash('sha256').update(text).digest('hex')

function busy(number: number, owner: string): BackupError {
  return new BackupError('JOB_BUSY', `backup ${number} is being worked on by ${owner.split('|')[2] ?? owner}`, {
    data: { number },
  })
}

/** `20260629-121045-000001`, in UTC. */
export function jobId(number: number, wall: number): string {
  const iso = new Date(wall).toISOString()
  return `${iso.slice(0, 10).replaceAll('-', '')}-${iso.slice(11, 19).replaceAll(':', '')}-${String(number).padStart(6, '0')}`
}

function newJob(
  number: number,
  wall: number,
  spec: JobSpec,
  specHash: string,
  plan: readonly StageName[],
  startKey: string | null,
): Job {
  return {
    format: RECORD_FORMAT,
    number,
    id: jobId(number, wall),
    kind: spec.kind,
    salt: spec.kind === 'backup' ? randomBytes(4).toString('hex') : '',
    specHash,
    plan,
    status: 'pending',
    stage: 0,
    steps: 0,
    slots: {},
    house: 1,
    moving: false,
    files: {},
    trash: [],
    progress: { step: '' },
    domain: 'init',
    percent: 0,
    totals: { entries: 0, files: 0, bytesRead: 0, bytesWritten: 0, filesExpected: null, bytesExpected: null },
    parts: [],
    warnings: { total: 0, before: 0, recent: [] },
    archive: null,
    artifacts: { count: 0, bytes: 0 },
    error: null,
    attempts: 0,
    failingSince: null,
    sleepMs: 0,
    costs: { gap: 0, commit: 0 },
    createdAt: wall,
    updatedAt: wall,
    finishedAt: null,
    lease: { epoch: 1, owner: '', until: 0, boot: '', untilMono: 0, released: true },
    startKey,
    lastKey: null,
  }
}
