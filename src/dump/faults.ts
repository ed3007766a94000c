import { errnoOf } from '../lib/errors.ts'
import type { DumpFault } from './dumper.ts'

/** The database cannot be copied, and why. */
export class DatabaseFault extends Error {
  readonly code: DumpFault
  constructor(code: DumpFault, message: string) {
    super(message)
    this.code = code
  }
}

/** Results of SQLite that are told apart. https://www.sqlite.org/rescode.html */
export const SQLITE = {
  ERROR: 1,
  BUSY: 5,
  LOCKED: 6,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  PROTOCOL: 15,
  NOTADB: 26,
  READONLY_ROLLBACK: 776,
  IOERR_WRITE: 778,
  READONLY_CANTINIT: 1288,
} as const

/** SQLite's result behind an error of `node:sqlite`, or null. `backup` tells a lock it met at once as "not an error" (0). */
export function resultOf(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null
  return error.errcode
}

const primary = (error: unknown): number | null => {
  const result = resultOf(error)
  return result === null ? null : result & 0xff
}

export function isBusy(error: unknown): boolean {
  const result = primary(error)
  return result === SQLITE.BUSY || result === SQLITE.LOCKED || result === SQLITE.PROTOCOL || result === 0
}

/**
 * The copy cannot be written: the only file that is written here. SQLite has a word of its own for a full disk, and
 * tells an exceeded quota or limit of file size as a failed write.
 */
export function isFull(error: unknown): boolean {
  if (primary(error) === SQLITE.FULL || resultOf(error) === SQLITE.IOERR_WRITE) return true
  const errno = errnoOf(error)
  return errno === 'ENOSPC' || errno === 'EDQUOT' || errno === 'EFBIG'
}

export const isCorrupt = (error: unknown): boolean =>
  primary(error) === SQLITE.CORRUPT || primary(error) === SQLITE.NOTADB

/** What was asked could not be done here: a function, module or collation is missing. No fault of the file. */
export const isStatement = (error: unknown): boolean => primary(error) === SQLITE.ERROR

/** What an error on the database means for it; rethrows what is no word of SQLite's or the system's about the file. */
export function faultOf(error: unknown): DatabaseFault {
  if (error instanceof DatabaseFault) return error
  const message = error instanceof Error ? error.message : String(error)
  if (isBusy(error)) return new DatabaseFault('DATABASE_BUSY', 'it stayed locked by another program')
  if (isCorrupt(error)) return new DatabaseFault('DATABASE_DAMAGED', `SQLite finds it damaged: ${message}`)
  if (primary(error) !== null) return new DatabaseFault('SOURCE_UNREADABLE', `SQLite cannot read it: ${message}`)
  const errno = errnoOf(error)
  if (errno === 'ENOENT' || errno === 'ENOTDIR') return new DatabaseFault('SOURCE_NOT_FOUND', 'it is gone')
  if (errno !== undefined && !errno.startsWith('ERR_'))
    return new DatabaseFault('SOURCE_UNREADABLE', `it cannot be read (${errno})`)
  throw error
}
