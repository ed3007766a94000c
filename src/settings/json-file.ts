import type { SyncAdapter } from 'lowdb'
import type { Disk } from '../lib/disk.ts'
import { readFileIfThere, replaceFile } from '../lib/durable-file.ts'
import { asBackupError, BackupError } from '../lib/errors.ts'

/**
 * lowdb's adapter over the durable write: its own renames without a sync, and takes an empty or
 * `null` file for "nothing there", which the next write would then put in its place. Here a file that
 * is there but cannot be understood is an error that names it, and it is never written over.
 */
export class DurableJsonFile<T> implements SyncAdapter<T> {
  readonly #disk: Disk
  readonly #file: string
  readonly #check: (raw: unknown, file: string) => T

  /** `check` gives the typed value or throws. The file is written with mode 0600. */
  constructor(disk: Disk, file: string, check: (raw: unknown, file: string) => T) {
    this.#disk = disk
    this.#file = file
    this.#check = check
  }

  /** null only when there is no file. STATE_DAMAGED when it holds no JSON. */
  read(): T | null {
    const bytes = this.#load()
    return bytes === null ? null : this.#check(parse(bytes, this.#file), this.#file)
  }

  write(value: T): void {
    replaceFile(this.#disk, this.#file, Buffer.from(`${JSON.stringify(value, null, 2)}\n`, 'utf8'))
  }

  #load(): Buffer | null {
    try {
      return readFileIfThere(this.#disk, this.#file)
    } catch (error) {
      throw asBackupError(error, `cannot read ${this.#file}`, 'STATE_DAMAGED')
    }
  }
}

function parse(bytes: Uint8Array, file: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw damaged(file, error instanceof Error ? error.message : String(error), error)
  }
}

/** The error for a file that people must repair. */
export function damaged(file: string, reason: string, cause?: unknown): BackupError {
  return new BackupError('STATE_DAMAGED', `${file} cannot be understood: ${reason}`, {
    hint: 'Correct the file, or move it away to start with defaults; it has not been changed.',
    cause,
    data: { file },
  })
}

/** Refuses a file written by a newer release. */
export function checkFormat(raw: unknown, known: number, file: string): void {
  const format = typeof raw === 'object' && raw !== null && 'format' in raw ? raw.format : known
  if (typeof format === 'number' && format > known)
    throw new BackupError('STATE_TOO_NEW', `${file} has format ${format}; this release knows ${known}`, {
      data: { file, format, known },
    })
}
