import { constants } from 'node:os'

/**
 * Every failure this program reports is a `BackupError`: a stable code, what happened to which
 * thing, and what to do about it. Facades map codes to their wires by total tables, so a new code
 * that a wire has not named does not compile.
 */

/** `later`: the same work may succeed on another try (network, lock, full disk). */
export type Retry = 'never' | 'later'

interface Rule {
  readonly retry: Retry
  readonly hint: string
}

const never = (hint: string): Rule => ({ retry: 'never', hint })
const later = (hint: string): Rule => ({ retry: 'later', hint })

/** All codes, with whether another try can help and what the reader should do. */
export const ERROR_RULES = {
  BAD_REQUEST: never('Correct the named parameter and call again.'),
  UNAUTHORIZED: never('Send the access token as "Authorization: Bearer <token>".'),
  FORBIDDEN: never('Use a token whose role allows this.'),
  TOO_LARGE: never('Send a smaller request.'),
  TOO_MANY_REQUESTS: later('Wait for the time named, then call again.'),
  PASSWORD_REFUSED: never('Choose a password of at least 12 characters that nobody would guess.'),
  USER_NOT_FOUND: never('List the users to see which exist.'),
  TOKEN_NOT_FOUND: never('List the tokens to see which exist.'),
  PROFILE_NOT_FOUND: never('List the profiles, or save one under this number first.'),
  PROFILE_EXISTS: never('Import it under another number (as), or say that the one there is to be replaced.'),
  PROFILE_INVALID: never('Correct the profile and save it again.'),
  PATH_OUTSIDE_ROOTS: never('Name the folder in the settings file, or choose a path below one named there.'),
  JOB_NOT_FOUND: never('List the backups to see which exist.'),
  JOB_BUSY: later('Another call is working on this job; wait for its reply and step again.'),
  JOB_NOT_RUNNING: never('The job has ended; start a new one.'),
  JOB_RUNNING: never('Cancel the job or wait for its end first.'),
  FROZEN: never('Unfreeze the backup first, if it is really to go.'),
  STEP_OUT_OF_ORDER: never('Ask for the job and go on with the step number it names.'),
  LEASE_LOST: never('Another process has taken the job over; go on with the reply it gave.'),
  CANCELLED: never('The job was cancelled; start a new one.'),
  STATE_DAMAGED: never('The state on disk is damaged; start a new backup and check the disk.'),
  STATE_TOO_NEW: never('A newer release wrote this state; finish the job with that release.'),
  SETTINGS_CHANGED: never('The job was started under other settings; start a new one.'),
  WORK_FILE_LOST: never('A work file is shorter than recorded or gone; start a new backup and check the disk.'),
  SOURCE_NOT_FOUND: never('Check that the path exists and is spelled right.'),
  SOURCE_UNREADABLE: never('Give the service account the right to read it, or exclude it.'),
  SOURCE_CHANGED: never('The file kept changing while it was read; back it up when it is quiet.'),
  DATABASE_BUSY: later('Another program holds the database locked; try again when it is quieter.'),
  DATABASE_DAMAGED: never(
    'Repair the database (REINDEX, or the .recover of sqlite3), or name it as not critical: then it is stored as it is.',
  ),
  DATABASE_NOT_FOUND: never('Check the name of the database, and that the account may see it.'),
  DATABASE_DENIED: never('Check the name and the password of the account, and from where it may connect.'),
  DATABASE_FAILED: never('See what the server says, and its log.'),
  OUTPUT_UNWRITABLE: never('Give the service account the right to write there, or choose another output.'),
  OUTPUT_IS_SOURCE: never('Choose an output folder outside the source.'),
  TARGET_UNWRITABLE: never('Give the service account the right to write there, or choose another target.'),
  TARGET_EXISTS: never('Choose an empty target, or ask for a restore in place.'),
  DISK_FULL: later('Make room on the disk; the job goes on by itself at the next step.'),
  READ_ONLY: never('The file system is read-only; remount it or choose another place.'),
  TOO_MANY_FILES: later('Raise the limit of open files (ulimit -n).'),
  IO_ERROR: later('The disk reports an error; check the kernel log.'),
  ARCHIVE_NOT_FOUND: never('Check the path, and that all parts lie in one folder.'),
  ARCHIVE_DAMAGED: never('Restore again with --salvage to get back everything that is intact.'),
  ARCHIVE_UNSUPPORTED: never('The archive uses a feature this release does not know.'),
  ENTRY_REFUSED: never('The entry would write outside the target or breaks a rule; it was left out.'),
  ENTRY_NOT_FOUND: never('Browse the backup to see what it holds.'),
  LIMIT_EXCEEDED: never('Raise the limit by its option if you trust the source.'),
  NAME_TOO_LONG: never('Shorten the name or path; the format cannot hold it.'),
  VERIFY_FAILED: never('The stored bytes differ from what was written; start a new backup and check the disk.'),
  UNREACHABLE: later('Check the address and that the server is running.'),
  TIMED_OUT: later('The work took longer than allowed; try again.'),
  INTERNAL: never('This is a fault of the program; report it with the log of the job.'),
} as const satisfies Record<string, Rule>

export type ErrorCode = keyof typeof ERROR_RULES

export interface ErrorDetails {
  readonly hint?: string
  readonly cause?: unknown
  /** Overrides the rule of the code, where the one who knows says otherwise. */
  readonly retry?: Retry
  /** Facts for programs: paths, numbers, the awaited step. Never secrets. */
  readonly data?: Readonly<Record<string, string | number | boolean | null>>
}

/** The JSON shape in which an error is kept in a record and sent over a wire. */
export interface ErrorRecord {
  code: ErrorCode
  message: string
  hint: string
  retry: Retry
  data?: Record<string, string | number | boolean | null>
}

export class BackupError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  readonly retry: Retry
  readonly data: Readonly<Record<string, string | number | boolean | null>>

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'BackupError'
    this.code = code
    this.hint = details.hint ?? ERROR_RULES[code].hint
    this.retry = details.retry ?? ERROR_RULES[code].retry
    this.data = details.data ?? {}
  }

  toRecord(): ErrorRecord {
    const record: ErrorRecord = { code: this.code, message: this.message, hint: this.hint, retry: this.retry }
    if (Object.keys(this.data).length > 0) record.data = { ...this.data }
    return record
  }

  static fromRecord(record: ErrorRecord): BackupError {
    return new BackupError(record.code, record.message, {
      hint: record.hint,
      retry: record.retry,
      ...(record.data ? { data: record.data } : {}),
    })
  }
}

/** Names by number, for what Node cannot name: an exceeded quota is "Unknown system error -122" to it. */
const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(constants.errno).map(([name, n]) => [-n, name]))

/** The `code` of a system error (`ENOENT`, …), or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  if (!error.code.startsWith('Unknown system error')) return error.code
  return NAMES.get(Number(error.code.split(' ').at(-1))) ?? error.code
}

const ERRNO: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  EROFS: 'READ_ONLY',
  EMFILE: 'TOO_MANY_FILES',
  ENFILE: 'TOO_MANY_FILES',
  EIO: 'IO_ERROR',
}

/**
 * Wraps whatever was thrown. System errors that mean the same everywhere get their code; any other
 * gets `fallback`. A `BackupError` passes unchanged: its code was chosen by the one who knew more.
 */
export function asBackupError(error: unknown, what: string, fallback: ErrorCode = 'INTERNAL'): BackupError {
  if (error instanceof BackupError) return error
  const errno = errnoOf(error)
  const reason = error instanceof Error ? error.message : String(error)
  const code = (errno === undefined ? undefined : ERRNO[errno]) ?? fallback
  return new BackupError(code, what === '' ? reason : `${what}: ${reason}`, { cause: error })
}
