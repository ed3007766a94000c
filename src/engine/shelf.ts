import path from 'node:path'
import type { Clock } from '../lib/clock.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError, errnoOf, type ErrorCode } from '../lib/errors.ts'
import type { WarmHash } from '../lib/resumable-hash.ts'
import { readArtifacts } from './artifacts.ts'
import { Fates, standingOf, type Fate } from './fate.ts'
import { hasFailedParts, isEnded, type FilesRemoved, type Job, type JobView, type Standing } from './job.ts'
import { JobReader } from './job-reader.ts'
import type { JobPaths } from './paths.ts'
import { isThere, removePublished, type PublishedFile, type RemovalPosition } from './published.ts'
import type { Candidate } from './retention.ts'
import type { JobSpec } from './spec.ts'

/** One job as retention sees it. */
export type Finding =
  | { readonly what: 'backup'; readonly candidate: Candidate }
  /** A job that may be reading some backup's files: a restore, a verification. */
  | { readonly what: 'reader'; readonly number: number }
  | { readonly what: 'unreadable'; readonly number: number; readonly why: string }

/** Is told of a removal before it begins, and how it ended. Throws where that cannot be kept: then nothing is removed. */
export type RemovalTrail = (number: number, result: 'begun' | 'ok' | ErrorCode) => void

const isApart = (spec: JobSpec): boolean => spec.kind === 'backup' && spec.apart === true

/** Finished backups as they stand: what lies there, and what becomes of it. Any process may ask and change. */
export class Shelf {
  readonly fates: Fates
  readonly #disk: Disk
  readonly #paths: JobPaths
  readonly #reader: JobReader
  readonly #trail: RemovalTrail

  constructor(
    disk: Disk,
    clock: Clock,
    paths: JobPaths,
    { reader = new JobReader(disk, paths), trail = () => {} }: { reader?: JobReader; trail?: RemovalTrail } = {},
  ) {
    this.#trail = trail
    this.fates = new Fates(disk, clock, paths)
    this.#disk = disk
    this.#paths = paths
    this.#reader = reader
  }

  /** Numbers of all jobs above `after`, ascending. */
  numbers(after = 0): number[] {
    return this.#reader.numbers(after)
  }

  /** JOB_NOT_FOUND, and whatever else makes a record unreadable. */
  read(number: number): JobView {
    return this.#reader.read(number)
  }

  /** What was decided about a job since it ended; nothing is ever decided about others than finished backups. */
  standing(job: Pick<Job, 'number' | 'kind' | 'status'>): Standing {
    return isFinished(job) ? standingOf(this.fates.of(job.number)) : {}
  }

  /** All files that were published, also those that are gone. */
  published(job: JobView): PublishedFile[] {
    return isFinished(job) ? readArtifacts(this.#disk, this.#paths, job) : []
  }

  /** Null: nothing that concerns the retention of this profile. */
  look(number: number, profile: number): Finding | null {
    try {
      const job = this.read(number)
      if (job.kind !== 'backup') return isEnded(job) ? null : { what: 'reader', number }
      if (job.spec.profile !== profile || isApart(job.spec)) return null
      const candidate = this.candidate(job)
      return candidate === null ? null : { what: 'backup', candidate }
    } catch (error) {
      if (error instanceof BackupError && error.code === 'JOB_NOT_FOUND') return null
      if (!(error instanceof BackupError) && errnoOf(error) === undefined) throw error
      return { what: 'unreadable', number, why: error instanceof Error ? error.message : '' }
    }
  }

  /** Null unless it is a finished backup whose files are there, or partly there because their removal was cut short. */
  candidate(job: JobView): Candidate | null {
    if (!isFinished(job)) return null
    const fate = this.fates.of(job.number)
    const going = fate.state === 'going'
    if (fate.state === 'gone' || (!going && !this.#isWhole(job))) return null
    const { number, createdAt: time, artifacts } = job
    const complete = !hasFailedParts(job)
    return { number, time, bytes: artifacts.bytes, complete, frozen: fate.state === 'frozen', going }
  }

  /** The last part stands for all: it came last, and people who move an archive move all of it. */
  #isWhole(job: JobView): boolean {
    const last = this.published(job).at(-1)
    return last !== undefined && isThere(this.#disk, last)
  }

  /**
   * From here on the files of this backup count as removed; `unlink` is what is left to do. FROZEN; JOB_RUNNING while
   * one of the jobs `readers` is reading them: then nothing has changed.
   */
  condemn(job: JobView, why: Pick<FilesRemoved, 'by' | 'reason'>, readers: () => Iterable<number>): Fate {
    if (this.fates.of(job.number).state === 'kept') this.#trail(job.number, 'begun')
    const fate = this.#condemned(job.number, why)
    // Begun before, and some have gone already: there is no way back.
    if (fate.state !== 'going' || !this.#isUntouched(job)) return fate
    // Asked only now: whoever starts to read from here on finds the files removed.
    const reader = this.#readerOf(job, readers())
    if (reader === null) return fate
    this.fates.spare(job.number)
    this.#trail(job.number, 'JOB_RUNNING')
    throw new BackupError('JOB_RUNNING', `backup ${job.number} is in use by ${reader.kind} ${reader.number}`, {
      data: { number: job.number, by: reader.number },
    })
  }

  /** After `condemn`. Yields where it may be left and begun again. */
  async *unlink(job: JobView, position: RemovalPosition, warm: WarmHash): AsyncGenerator<void, void, void> {
    yield* removePublished(this.#disk, this.published(job), position, warm)
  }

  /** After `unlink`. */
  bury(number: number): void {
    this.fates.bury(number)
    this.#trail(number, 'ok')
  }

  #condemned(number: number, why: Pick<FilesRemoved, 'by' | 'reason'>): Fate {
    try {
      return this.fates.condemn(number, why)
    } catch (error) {
      if (error instanceof BackupError) this.#trail(number, error.code)
      throw error
    }
  }

  #isUntouched(job: JobView): boolean {
    return this.published(job).every((file) => isThere(this.#disk, file))
  }

  /** The job, of those named, that may be reading this backup's files. */
  #readerOf(job: JobView, numbers: Iterable<number>): JobView | null {
    const published = this.published(job)
    for (const number of numbers) {
      const reader = this.#tryRead(number)
      if (reader === null || isEnded(reader) || reader.spec.kind === 'backup') continue
      const { archive } = reader.spec
      if (published.some((file) => this.#isSame(file.path, archive))) return reader
    }
    return null
  }

  #isSame(one: string, other: string): boolean {
    if (path.normalize(one) === path.normalize(other)) return true
    const [a, b] = [one, other].map((file) => this.#identity(file))
    return a !== undefined && a !== '' && a === b
  }

  #identity(file: string): string {
    try {
      const { dev, ino } = this.#disk.stat(file)
      return `${dev} ${ino}`
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      return '' // what cannot be reached is not being read
    }
  }

  #tryRead(number: number): JobView | null {
    try {
      return this.read(number)
    } catch (error) {
      if (error instanceof BackupError && error.code === 'JOB_NOT_FOUND') return null
      throw error
    }
  }
}

/** What retention needs of it. */
export type OlderBackups = Pick<Shelf, 'numbers' | 'read' | 'look' | 'candidate' | 'condemn' | 'unlink' | 'bury'>

/** A backup that has files, or had them. */
export const isFinished = ({ kind, status }: Pick<Job, 'kind' | 'status'>): boolean =>
  kind === 'backup' && status === 'completed'

export { removalStart, type RemovalPosition } from './published.ts'
