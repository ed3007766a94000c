import type { Disk, FileStat } from '../../lib/disk.ts'
import { BackupError, errnoOf } from '../../lib/errors.ts'
import type { OpenArchive } from '../parts.ts'
import type { Folder } from './handles.ts'

/** What may take the place of what. Each tells whether something is there; ENTRY_REFUSED where it has to stay. */

/** An existing file may be replaced; anything else, and the archive itself, may not. `own`: see `filesOf`. */
export function mayReplaceFile(disk: Disk, folder: Folder, leaf: Buffer, own: ReadonlySet<string>): boolean {
  const present = presentIn(disk, folder, leaf)
  if (present === null) return false
  if (present.kind !== 'file') throw inTheWay(present)
  if (own.has(`${present.dev}:${present.ino}`)) throw refused('it would replace the archive itself')
  return true
}

/** A link may replace a link; nothing else. */
export function mayReplaceLink(disk: Disk, folder: Folder, leaf: Buffer): boolean {
  const present = presentIn(disk, folder, leaf)
  if (present === null) return false
  if (present.kind !== 'symlink') throw inTheWay(present)
  return true
}

/** The archive's own files, as things. */
export const filesOf = (archive: OpenArchive): ReadonlySet<string> =>
  new Set(archive.parts.map((part) => `${part.dev}:${part.ino}`))

function presentIn(disk: Disk, folder: Folder, leaf: Buffer): FileStat | null {
  try {
    return disk.lstat(folder.child(leaf))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

const inTheWay = ({ kind }: FileStat): BackupError => refused(`a ${kind} of this name is there already`)
const refused = (why: string): BackupError => new BackupError('ENTRY_REFUSED', why)
