import { readFully, type Disk, type FileStat } from '../lib/disk.ts'
import type { Folder, Folders } from './folders.ts'
import { causeOf } from './omit.ts'

const LETTER = 'l'.charCodeAt(0)
const SIDE_FILE = /^(.+)-(?:wal|journal)$/s
/** https://www.sqlite.org/fileformat.html §1.3 */
const MAGIC = Buffer.from('SQLite format 3\0')

/**
 * The name of the SQLite database that a write-ahead log or rollback journal belongs to, or null if
 * it is none. A side file that is not empty means pages on their way: copies of the two, taken one
 * after the other, need not fit together.
 */
export function liveDatabase(
  ctx: { readonly disk: Disk; readonly folders: Folders },
  folder: Folder,
  name: Buffer,
  stat: FileStat,
): Buffer | null {
  // Nearly every name ends here: both suffixes end in the same letter.
  if (stat.size === 0 || name[name.length - 1] !== LETTER) return null
  // latin1 maps bytes to characters one to one.
  const base = SIDE_FILE.exec(name.toString('latin1'))?.[1]
  if (base === undefined) return null
  const database = Buffer.from(base, 'latin1')
  try {
    return ctx.folders.within(folder, database, (path) => isDatabase(ctx.disk, path)) ? database : null
  } catch (error) {
    causeOf(error) // whatever keeps it from being read is reported with the file itself
    return null
  }
}

function isDatabase(disk: Disk, path: Buffer): boolean {
  if (disk.lstat(path).kind !== 'file') return false
  const fd = disk.open(path, 'read')
  try {
    const head = Buffer.alloc(MAGIC.length)
    return readFully(disk, fd, head, head.length, 0) === head.length && head.equals(MAGIC)
  } finally {
    disk.close(fd)
  }
}
