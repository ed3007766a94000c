import { createHash } from 'node:crypto'
import { LowSync, type SyncAdapter } from 'lowdb'
import { BackupError } from '../lib/errors.ts'
import { readFileIfThere, replaceFile } from '../lib/durable-file.ts'
import type { Disk } from '../lib/disk.ts'
import { RECORD_FORMAT, type Job } from './job.ts'

/**
 * The record on disk: `{"check":"<sha-256 of the job's text>","job":{…}}` in exactly these bytes, so that any flipped
 * or missing byte shows (R38).
 */
const PREFIX = '{"check":"'
const MIDDLE = '","job":'
const HEX = 64

const checkOf = (text: string): string => createHash('sha256').update(text).digest('hex')

export function encodeRecord(job: Job): Buffer {
  const text = JSON.stringify(job)
  return Buffer.from(`${PREFIX}${checkOf(text)}${MIDDLE}${text}}\n`, 'utf8')
}

/** The job, or null if the bytes are not exactly what was written. STATE_TOO_NEW for a later release's record. */
export function decodeRecord(bytes: Uint8Array, path: string): Job | null {
  const text = Buffer.from(bytes).toString('utf8')
  const start = PREFIX.length + HEX + MIDDLE.length
  const body = text.slice(start, -2)
  const check = text.slice(PREFIX.length, PREFIX.length + HEX)
  if (text !== `${PREFIX}${check}${MIDDLE}${body}}\n` || checkOf(body) !== check) return null
  if (Buffer.byteLength(text) !== bytes.length) return null
  const job = JSON.parse(body) as Job
  if (job.format !== RECORD_FORMAT) {
    throw new BackupError(
      'STATE_TOO_NEW',
      `${path} has format ${String(job.format)}; this release reads ${RECORD_FORMAT}`,
      { data: { path, found: Number(job.format), known: RECORD_FORMAT } },
    )
  }
  return job
}

/** lowdb's adapter over our durable file: its own renames without a sync and rewrites indented. */
class RecordAdapter implements SyncAdapter<Job> {
  readonly #disk: Disk
  readonly #path: string
  written = 0

  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.#path = path
  }
  read(): Job | null {
    const bytes = readFileIfThere(this.#disk, this.#path)
    return bytes === null ? null : decodeRecord(bytes, this.#path)
  }
  write(job: Job): void {
    const bytes = encodeRecord(job)
    replaceFile(this.#disk, this.#path, bytes)
    this.written += bytes.length
  }
}

/** One epoch's record as a database of one object. */
export class RecordFile {
  readonly #adapter: RecordAdapter
  readonly #low: LowSync<Job>

  constructor(disk: Disk, path: string, job: Job) {
    this.#adapter = new RecordAdapter(disk, path)
    this.#low = new LowSync(this.#adapter, job)
  }
  get job(): Job {
    return this.#low.data
  }
  /** Bytes of records written since the step began. */
  get written(): number {
    return this.#adapter.written
  }
  commit(): void {
    this.#low.write()
  }
  /** Forgets what is in memory for what is on disk; false if that is damaged. */
  reload(): boolean {
    const job = this.#adapter.read()
    if (job === null) return false
    this.#low.data = job
    return true
  }
}
