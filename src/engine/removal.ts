import { setImmediate as turn } from 'node:timers/promises'
import { removeIfThere, removeTree, replaceFile, syncFolder } from '../lib/durable-file.ts'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import { WarmHash } from '../lib/resumable-hash.ts'
import { isFrozen } from './fate.ts'
import { isEnded, type FilesRemoved, type JobView } from './job.ts'
import type { Removable } from './services.ts'
import { isFinished, removalStart, type Shelf } from './shelf.ts'
import type { JobStore } from './store.ts'

type Why = Pick<FilesRemoved, 'by' | 'reason'>

const ON_REQUEST: Why = { by: 'user', reason: 'deleted on request' }

/** Deletes what ended jobs left: the files they published, their records. Killed anywhere, it may be called again. */
export class Removal {
  readonly #store: JobStore
  readonly #shelf: Shelf

  constructor(store: JobStore, shelf: Shelf) {
    this.#store = store
    this.#shelf = shelf
  }

  /** `readers`: jobs that may be reading the files. FROZEN, JOB_RUNNING, ARCHIVE_NOT_FOUND. */
  async remove(job: JobView, what: Removable, readers: () => Iterable<number>): Promise<void> {
    if (this.#shelf.standing(job).frozen) throw isFrozen(job.number)
    if (what === 'files') checkHasFiles(job)
    if (what !== 'record' && isFinished(job)) await this.#files(job, ON_REQUEST, readers, what === 'both')
    if (what !== 'files') this.#record(job.number, job.house)
  }

  /** A frozen backup stays until it is unfrozen. JOB_RUNNING, BAD_REQUEST, ARCHIVE_NOT_FOUND. */
  freeze(job: JobView, frozen: boolean): void {
    checkEnded(job)
    checkHasFiles(job)
    this.#shelf.fates.freeze(job.number, frozen)
  }

  /** Ends a removal of files that was cut short. Out of reach or in use, it waits for retention or the next call. */
  async finish(job: JobView, readers: () => Iterable<number>): Promise<void> {
    try {
      const begun = isFinished(job) && this.#shelf.fates.of(job.number).state === 'going'
      if (begun) await this.#files(job, ON_REQUEST, readers, false)
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
    }
  }

  async #files(job: JobView, why: Why, readers: () => Iterable<number>, whole: boolean): Promise<void> {
    try {
      const { state } = this.#condemn(job, why, readers, whole)
      if (state !== 'going') return
      using warm = new WarmHash()
      for await (const _ of this.#shelf.unlink(job, removalStart(), warm)) await turn() // others are served meanwhile
    } catch (error) {
      throw asBackupError(error, `the files of backup ${job.number} cannot be removed`, 'OUTPUT_UNWRITABLE')
    }
  }

  /** On a full disk the decision itself wants room: of what goes as a whole, the log goes first. */
  #condemn(job: JobView, why: Why, readers: () => Iterable<number>, whole: boolean): { state: string } {
    try {
      return this.#shelf.condemn(job, why, readers)
    } catch (error) {
      if (!whole || !FULL.has(errnoOf(error) ?? '')) throw error
      const { disk, paths } = this.#store.deps
      removeIfThere(disk, paths.log(job.number))
      return this.#shelf.condemn(job, why, readers)
    }
  }

  #record(number: number, house: number): void {
    const { disk, paths } = this.#store.deps
    // What takes room goes first: on a full disk the number could not be noted else.
    for (const file of [paths.log(number), paths.side(number, house)]) removeTree(disk, file)
    // A kill before the rename leaves a record without a log, which can be deleted again; after it the job is gone.
    replaceFile(disk, paths.last, Buffer.from(String(Math.max(number, this.#store.lastNumber()))))
    disk.rename(paths.job(number), paths.removed(number))
    syncFolder(disk, paths.jobs) // its failure is told; that of the sweep is not
    this.sweep()
  }

  /** What is left of deleted records; whatever stays is tried again by the next one who looks. */
  sweep(): void {
    const { disk, paths } = this.#store.deps
    try {
      const removed = this.#store.removed()
      // Whoever renamed them may have died before that was durable, and now they are not found any more.
      if (removed.length > 0) syncFolder(disk, paths.jobs)
      for (const number of removed) removeTree(disk, paths.removed(number))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
  }
}

const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT'])

/** JOB_RUNNING. */
export function checkEnded({ number, status }: JobView): void {
  if (!isEnded({ status })) {
    throw new BackupError('JOB_RUNNING', `backup ${number} has not ended (${status})`, { data: { number } })
  }
}

function checkHasFiles({ number, kind, status }: JobView): void {
  if (kind !== 'backup') throw new BackupError('BAD_REQUEST', `job ${number} is a ${kind}: only backups have files`)
  if (status !== 'completed') {
    throw new BackupError('ARCHIVE_NOT_FOUND', `backup ${number} is ${status}; it has no archive`, { data: { number } })
  }
}
