import { readFileIfThere } from '../lib/durable-file.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import type { Job } from './job.ts'
import { stateEpoch, type JobPaths } from './paths.ts'
import { decodeRecord } from './record.ts'

export interface Found {
  job: Job
  /** The newest epoch when the record was read: its successor is the one to create. */
  epoch: number
  /** Epoch of the record whose content this is. */
  base: number
  /** That record was its owner's last word. */
  released: boolean
  /** The newest record was damaged and an older one is used. */
  recovered: boolean
}

/** Which of a job's records counts. Takes nothing, changes nothing. */
export class RecordReader {
  readonly #disk: Disk
  readonly #paths: JobPaths

  constructor(disk: Disk, paths: JobPaths) {
    this.#disk = disk
    this.#paths = paths
  }

  /** Epochs on disk, ascending. */
  epochs(number: number): number[] {
    const found: number[] = []
    for (const name of namesIn(this.#disk, this.#paths.job(number))) {
      const epoch = stateEpoch(name)
      if (epoch !== null) found.push(epoch)
    }
    return found.toSorted((a, b) => a - b)
  }

  /** The newest whole record. JOB_NOT_FOUND, STATE_DAMAGED, STATE_TOO_NEW. */
  newest(number: number): Found {
    for (;;) {
      const epochs = this.epochs(number)
      const newest = epochs.at(-1)
      if (newest === undefined)
        throw new BackupError('JOB_NOT_FOUND', `there is no backup ${number}`, { data: { number } })
      const read = this.read(number, newest)
      if (read === 'gone') continue // taken and swept between the listing and the read
      const older = epochs.toReversed().slice(1)
      if (read === 'damaged') return this.#before(number, newest, older)
      return this.#found(number, read, older)
    }
  }

  /** The record before a damaged one: used once (R38). */
  #before(number: number, newest: number, older: readonly number[]): Found {
    const [epoch] = older
    const job = epoch === undefined ? 'gone' : this.read(number, epoch)
    if (epoch === undefined || job === 'gone' || job === 'damaged') {
      const file = this.#paths.state(number, newest)
      throw new BackupError('STATE_DAMAGED', `${file} is damaged and no earlier record is whole`)
    }
    return { ...this.#found(number, job, older.slice(1)), epoch: newest, released: false, recovered: true }
  }

  /** A claim says who has the job; what is true about it stands in the last record that is none. */
  #found(number: number, job: Job, older: readonly number[]): Found {
    const { epoch, released } = job.lease
    const found = { job, epoch, base: epoch, released, recovered: false }
    if (job.lease.claim !== true) return found
    for (const base of older) {
      const last = this.read(number, base)
      if (last === 'gone' || last === 'damaged' || last.lease.claim === true) continue
      return { ...found, job: { ...last, moving: true, lease: job.lease }, base, released: last.lease.released }
    }
    return found
  }

  read(number: number, epoch: number): Job | 'gone' | 'damaged' {
    const file = this.#paths.state(number, epoch)
    const bytes = readFileIfThere(this.#disk, file)
    return bytes === null ? 'gone' : (decodeRecord(bytes, file) ?? 'damaged')
  }
}

/** Names in a folder; none if it is not there. */
export function namesIn(disk: Disk, folder: string): string[] {
  try {
    return disk.readdir(folder).map((name) => name.toString('latin1'))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}
