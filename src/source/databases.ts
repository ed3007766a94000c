import type { Disk, FileStat } from '../lib/disk.ts'
import { isSqlite, mayBeSqlite, readHeader } from '../lib/sqlite-header.ts'
import type { WalkEntry } from './entry.ts'
import type { Folder, Folders } from './folders.ts'
import { causeOf } from './omit.ts'
import type { Entry, Omission, Pause } from './source.ts'

/** Takes care of the databases that are met. */
export interface DatabaseCopier {
  /** Makes what is stored in a database's place. `file`: its absolute path, null where no program takes it. */
  copy(entry: WalkEntry, file: Buffer | null): AsyncGenerator<Pause, Entry | Omission, void>
  /** Whether the database at this archive-relative path had to be stored as a file: it is nothing without its log. */
  isFile(path: Buffer): boolean
}

const LAST_LETTERS: ReadonlySet<number | undefined> = new Set(['l', 'm'].map((letter) => letter.charCodeAt(0)))
const SIDE_FILE = /^(.+)-(?:wal|shm|journal)$/s

/** The name of the database that a file belongs to as log, index or journal, by its name alone; else null. */
export function databaseOf(name: Buffer): Buffer | null {
  // Nearly every name ends here.
  if (!LAST_LETTERS.has(name[name.length - 1])) return null
  // latin1 maps bytes to characters one to one.
  const base = SIDE_FILE.exec(name.toString('latin1'))?.[1]
  return base === undefined ? null : Buffer.from(base, 'latin1')
}

interface Place {
  readonly disk: Disk
  readonly folders: Folders
}

/** Whether the file is a SQLite database. Nearly always its size says that it is none. */
export function isDatabase(ctx: Place, folder: Folder, name: Buffer, stat?: FileStat): boolean {
  if (stat !== undefined && !mayBeSqlite(stat.size, name)) return false
  try {
    return ctx.folders.within(folder, name, (path) => {
      const { kind, size } = stat ?? ctx.disk.lstat(path)
      return kind === 'file' && mayBeSqlite(size, name) && isSqlite(readHeader(ctx.disk, path))
    })
  } catch (error) {
    causeOf(error) // whatever keeps it from being read is reported with the file itself
    return false
  }
}

/** The same for a file that is a source, or that a followed link leads to. */
export function isDatabaseAt(disk: Disk, path: Buffer, stat: FileStat): boolean {
  try {
    return mayBeSqlite(stat.size, path) && isSqlite(readHeader(disk, path))
  } catch (error) {
    causeOf(error) // reported when its turn comes
    return false
  }
}
