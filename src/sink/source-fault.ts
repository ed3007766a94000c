import { BackupError, errnoOf } from '../lib/errors.ts'
import type { OmitReason } from '../source/source.ts'

/** Trouble of the process, or a bug: it stops the step instead of leaving out file after file. */
const NOT_THE_FILES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EINVAL', 'EBADF', 'EFAULT'])

/**
 * What the system says about a file of the source becomes a reason: file systems have many more words than are named
 * here, and none of them may end a backup. What is no system error (our own files, a bug) is not caught.
 */
function reasonOf(error: unknown): { reason: OmitReason; message: string } | null {
  if (error instanceof BackupError && error.code === 'SOURCE_CHANGED')
    return { reason: 'changed', message: error.message }
  const errno = error instanceof BackupError ? undefined : errnoOf(error)
  switch (errno) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ESTALE':
      return { reason: 'vanished', message: 'it vanished before it was read' }
    case 'EACCES':
    case 'EPERM':
      return { reason: 'unreadable', message: 'permission denied' }
    case 'ELOOP':
    case 'EISDIR':
    case 'ENXIO':
      return { reason: 'changed', message: 'it is no longer a regular file' }
    default:
      if (errno === undefined || errno.startsWith('ERR_') || NOT_THE_FILES.has(errno)) return null
      return { reason: 'io_error', message: `reading failed (${errno})` }
  }
}

/** The source, or this file of it, is the trouble: the file is left out, for this reason. */
export class SourceFault extends Error {
  readonly reason: OmitReason
  constructor(reason: OmitReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/** Runs a call on the source; what it throws for reasons of the source comes out as a `SourceFault`. */
export function fromSource<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    const known = reasonOf(error)
    if (known === null) throw error
    throw new SourceFault(known.reason, known.message)
  }
}
