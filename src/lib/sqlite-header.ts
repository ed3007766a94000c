import { readFully, type Disk } from './disk.ts'

/** The first bytes of a database file, as far as they are looked at. https://www.sqlite.org/fileformat.html §1.3 */
export const SQLITE_HEADER = 100
const MAGIC = Buffer.from('SQLite format 3\0', 'latin1')
/** Maximum and minimum embedded payload fraction, and leaf payload fraction: SQLite opens no file with others. */
const FRACTIONS = Buffer.from([64, 32, 32])

/** The files that SQLite keeps beside a database: write-ahead log, its index, rollback journal. */
export const SQLITE_SIDE_FILES = ['-wal', '-shm', '-journal'] as const

/**
 * Whether these bytes begin a file that SQLite would open as a database. What only carries the name (samples,
 * encrypted files, a format of the future) is an ordinary file.
 */
export function isSqlite(head: Buffer): boolean {
  if (head.length < SQLITE_HEADER || !head.subarray(0, MAGIC.length).equals(MAGIC)) return false
  const size = head.readUInt16BE(16)
  const pages = size === 1 || (size >= 512 && size <= 32_768 && (size & (size - 1)) === 0)
  return pages && head.subarray(21, 24).equals(FRACTIONS)
}

/** Whether the header asks for a write-ahead log. */
export const usesWal = (head: Buffer): boolean => head[18] === 2 || head[19] === 2

const USUAL_NAME = /\.(?:s?db3?|sqlite[23]?|s3db)$/i

/**
 * A database is whole pages, of 512 bytes at least: nearly every other file is told apart without being opened. One
 * that was cut off somewhere is known by its name, so that somebody hears of it.
 */
export const mayBeSqlite = (size: number, name: Buffer): boolean =>
  size >= 512 && (size % 512 === 0 || USUAL_NAME.test(name.subarray(-16).toString('latin1')))

/** Header of a file, shorter where the file is. Throws the system's error. */
export function readHeader(disk: Disk, path: Buffer | string): Buffer {
  const fd = disk.open(path, 'read')
  try {
    const head = Buffer.alloc(SQLITE_HEADER)
    return head.subarray(0, readFully(disk, fd, head, head.length, 0))
  } finally {
    disk.close(fd)
  }
}
