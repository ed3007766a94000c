import { BackupError, errnoOf } from '../lib/errors.ts'
import { removeIfThere, replaceFile } from '../lib/durable-file.ts'
import { isEnded, type Job } from './job.ts'
import { isLeftover } from './paths.ts'
import { encodeRecord, RecordFile } from './record.ts'
import type { JobSpec } from './spec.ts'
import type { JobStore } from './store.ts'

/** A lease lasts for the slice and this much more. Milliseconds. */
export const LEASE_GRACE = 30_000

export interface HeldHow {
  /** The newest record was damaged. */
  readonly recovered: boolean
  /** Epoch of the record this one continues. */
  readonly base: number
}

/** A taken job: the only thing that may write its record. */
export class HeldJob {
  readonly spec: JobSpec
  readonly how: HeldHow
  readonly #store: JobStore
  readonly #file: RecordFile
  readonly #number: number
  readonly #epoch: number
  readonly #ended: boolean
  #told: Job | null = null

  constructor(store: JobStore, job: Job, spec: JobSpec, how: HeldHow) {
    this.#store = store
    this.#number = job.number
    this.#epoch = job.lease.epoch
    this.#ended = isEnded(job)
    this.#file = new RecordFile(store.deps.disk, store.deps.paths.state(job.number, job.lease.epoch), job)
    this.spec = spec
    this.how = how
  }

  /** Mutable: what the next commit writes. */
  get job(): Job {
    return this.#file.job
  }
  get epoch(): number {
    return this.#epoch
  }
  get released(): boolean {
    return this.#told !== null
  }
  /** The record as it was released: the answer to the step. */
  get told(): Job | null {
    return this.#told
  }
  /** Bytes of records written since the job was taken. */
  get written(): number {
    return this.#file.written
  }

  /**
   * The commit point: the rename inside. Everything the record names must be durable already. LEASE_LOST if
   * somebody has taken the job over: then nothing that was written counts.
   */
  commit(ttlMs: number, release = false): void {
    this.#ours()
    // Clearing up after an ended job changes nothing about it: its answer stays the same, to the letter.
    if (!this.#ended) this.job.updatedAt = this.#store.deps.clock.wall()
    const { afterRelease = false } = this.job.lease
    const { clock } = this.#store.deps
    const ends = release ? { until: clock.wall(), untilMono: clock.mono() } : {} // it has ended, at this moment
    this.job.lease = { ...this.#store.lease(this.#epoch, ttlMs), ...ends, released: release, afterRelease }
    this.#file.commit()
    // A reply is only given for a commit that was ours when it was made. After one that releases, the next take may
    // come at once, rightly; it says so.
    this.#ours(release)
    if (release) this.#told = structuredClone(this.job)
  }

  /** Throws LEASE_LOST once a newer epoch exists. Asked before every write once the lease has run out. */
  check(): void {
    if (this.job.lease.untilMono < this.#store.deps.clock.mono()) this.#ours()
  }

  /** Law 10: what is in memory after a throw is poison. Back to what was last committed. */
  reload(): void {
    if (!this.#file.reload())
      throw new BackupError('STATE_DAMAGED', `the record of backup ${this.#number} cannot be read back`)
  }

  /** Removes records older than the one this continues; that one stays for one take, in case ours is damaged. */
  sweep(): void {
    const { disk, paths } = this.#store.deps
    for (const epoch of this.#store.epochs(this.#number)) {
      if (epoch < this.#epoch && epoch !== this.how.base) removeIfThere(disk, paths.state(this.#number, epoch))
    }
    for (const name of disk.readdir(paths.job(this.#number)).map((n) => n.toString('latin1'))) {
      if (isLeftover(name, this.#epoch)) this.#sweepTemporary(`${paths.job(this.#number)}/${name}`)
    }
  }

  /**
   * The job has ended and nothing will be written any more: the record before, which could only lead back into
   * work that is cleared away, becomes a second copy of this one.
   */
  settle(): void {
    const { disk, paths } = this.#store.deps
    const before = paths.state(this.#number, this.how.base)
    if (this.how.base !== this.#epoch) this.#copyTo(before)
    // Whoever took the job from us goes back to our record at most, and may have swept this one already.
    if (this.#store.superseded(this.#number, this.#epoch)) removeIfThere(disk, before)
    this.sweep()
  }

  /**
   * The job is lost to `now`, and a last commit may have come too late: nobody shall go back to our record. If the
   * job has ended, it becomes a second copy of how, as `settle` would have it.
   */
  withdraw(now: Job): void {
    const { disk, paths } = this.#store.deps
    const ours = paths.state(this.#number, this.#epoch)
    const before = this.#store.epochs(this.#number).at(-2)
    if (before === this.#epoch && isEnded(now)) replaceFile(disk, ours, encodeRecord(now))
    else removeIfThere(disk, ours)
  }

  /** The temporary file bears our epoch: the one we took the job from may be sweeping still, up to its own. */
  #copyTo(before: string): void {
    const { disk, paths } = this.#store.deps
    try {
      replaceFile(disk, before, encodeRecord(this.#told ?? this.job), paths.state(this.#number, this.#epoch))
    } catch (error) {
      // Whoever took the job from us has swept the temporary file, and clears up itself.
      if (errnoOf(error) !== 'ENOENT' || !this.#store.superseded(this.#number, this.#epoch)) throw error
    }
  }

  #sweepTemporary(file: string): void {
    try {
      removeIfThere(this.#store.deps.disk, file)
    } catch (error) {
      if (errnoOf(error) === undefined) throw error // a leftover that cannot be removed harms nobody
    }
  }

  #ours(released = false): void {
    if (this.#store.superseded(this.#number, this.#epoch)) {
      if (released && this.#store.followed(this.#number, this.#epoch)) return
      throw new BackupError('LEASE_LOST', `backup ${this.#number} was taken over by another process`, {
        data: { number: this.#number },
      })
    }
  }
}
