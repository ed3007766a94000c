import path from 'node:path'
import type { Disk, FileStat } from '../lib/disk.ts'
import { asBackupError, BackupError, errnoOf, type ErrorCode } from '../lib/errors.ts'
import type { Folder, Folders } from './folders.ts'

/** What a source's path names. */
export interface Root {
  /** Absolute, without links. */
  readonly real: Buffer
  readonly stat: FileStat
  /** Null for a single file. */
  readonly folder: Folder | null
}

/**
 * The path itself may be a link: who wrote it meant what it leads to. PROFILE_INVALID if it is not
 * absolute, SOURCE_NOT_FOUND, SOURCE_UNREADABLE.
 */
export function findRoot(disk: Disk, folders: Folders, source: string): Root {
  if (!path.isAbsolute(source) || source.includes('\0')) {
    throw new BackupError('PROFILE_INVALID', `the source ${JSON.stringify(source)} is not an absolute path`)
  }
  try {
    const real = disk.realpath(source)
    const stat = disk.lstat(real)
    if (stat.kind === 'file') return { real, stat, folder: null }
    if (stat.kind !== 'dir') throw new BackupError('SOURCE_NOT_FOUND', `the source ${source} is no folder and no file`)
    return { real, stat, folder: folders.anchor(null, Buffer.alloc(0), real) }
  } catch (error) {
    throw asBackupError(error, `source ${source}`, codeFor(errnoOf(error)))
  }
}

function codeFor(errno: string | undefined): ErrorCode {
  if (errno === 'EACCES' || errno === 'EPERM') return 'SOURCE_UNREADABLE'
  return errno === undefined ? 'INTERNAL' : 'SOURCE_NOT_FOUND'
}
