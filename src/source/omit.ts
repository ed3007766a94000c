import { BackupError, errnoOf } from '../lib/errors.ts'
import { encodeMark, type Phase } from './mark.ts'
import type { Omission, OmitReason } from './source.ts'

/** Trouble of the process, not of the path: it must stop the step, not leave files out one by one. */
const NOT_THE_PATHS = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EINVAL', 'EBADF', 'EFAULT'])

const REASONS: Readonly<Record<string, readonly [OmitReason, string]>> = {
  ENOENT: ['vanished', 'was gone when its turn came'],
  ENOTDIR: ['vanished', 'was gone when its turn came'],
  EACCES: ['unreadable', 'may not be read by this account'],
  EPERM: ['unreadable', 'may not be read by this account'],
  ENAMETOOLONG: ['path_too_long', 'has a path longer than the system allows'],
  ELOOP: ['changed', 'was replaced by a link while it was walked'],
}

const REPLACED = { reason: 'changed', message: 'was replaced by another one while it was walked' } as const

export interface Cause {
  readonly reason: OmitReason
  readonly message: string
}

/** What a failed call on a source path means for the path; rethrows what is not about the path. */
export function causeOf(error: unknown): Cause {
  if (error instanceof BackupError && error.code === 'SOURCE_CHANGED') return REPLACED
  const code = errnoOf(error)
  const foreign = code === undefined || error instanceof BackupError || code.startsWith('ERR_')
  if (foreign || NOT_THE_PATHS.has(code)) throw error
  const known = REASONS[code]
  if (known !== undefined) return { reason: known[0], message: `${known[1]} (${code})` }
  return { reason: 'io_error', message: `could not be read (${code})` }
}

/** `path` is archive-relative, `below` the same path relative to the source. */
export function omission(path: Buffer, below: Buffer, cause: Cause, phase: Phase, quiet = false): Omission {
  const base = { type: 'omission', mark: encodeMark(phase, below), path, ...cause } as const
  return quiet ? { ...base, quiet: true } : base
}
