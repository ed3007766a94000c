import { createHash } from 'node:crypto'
import { readFileIfThere } from '../lib/durable-file.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'
import type { JobView } from './job.ts'
import type { JobPaths } from './paths.ts'
import { namesIn, RecordReader } from './record-reader.ts'
import type { JobSpec } from './spec.ts'

const SPECS_KEPT = 64

/** Jobs on disk, as whoever only looks sees them: takes nothing, changes nothing. */
export class JobReader {
  readonly records: RecordReader
  readonly #disk: Disk
  readonly #paths: JobPaths
  readonly #specs = new Map<string, JobSpec>()

  constructor(disk: Disk, paths: JobPaths) {
    this.#disk = disk
    this.#paths = paths
    this.records = new RecordReader(disk, paths)
  }

  /** The newest whole record, with what was asked. JOB_NOT_FOUND, STATE_DAMAGED, STATE_TOO_NEW, SETTINGS_CHANGED. */
  read(number: number): JobView {
    const job = this.records.newest(number).job
    return { ...job, spec: this.spec(number, job.specHash) }
  }

  /** Numbers of all jobs above `after`, ascending. */
  numbers(after = 0): number[] {
    return namesIn(this.#disk, this.#paths.jobs)
      .filter((name) => /^[1-9]\d{0,14}$/.test(name))
      .map(Number)
      .filter((number) => number > after)
      .toSorted((a, b) => a - b)
  }

  /** SETTINGS_CHANGED if the file is no longer the one that was hashed into the record (law 11). */
  spec(number: number, hash: string): JobSpec {
    const key = `${number} ${hash}`
    const known = this.#specs.get(key)
    if (known !== undefined) return known
    const file = this.#paths.spec(number)
    const bytes = readFileIfThere(this.#disk, file)
    if (bytes === null) throw new BackupError('STATE_DAMAGED', `${file} is missing`)
    if (hashOf(bytes) !== hash) throw new BackupError('SETTINGS_CHANGED', `${file} is not the one the job began with`)
    const spec = JSON.parse(bytes.toString('utf8')) as JobSpec
    if (this.#specs.size >= SPECS_KEPT) this.#specs.clear()
    this.#specs.set(key, spec)
    return spec
  }
}

export const hashOf = (text: string | Uint8Array): string => createHash('sha256').update(text).digest('hex')
