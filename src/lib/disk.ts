import fs from 'node:fs'
import { errnoOf } from './errors.ts'

/**
 * The file calls we use, and no others (law 12). Everything is synchronous: steps run in a worker
 * thread, where a promise for a small file costs 5–10 times the call itself. The
 * asynchronous calls let several files be synced at once, let writeback begin early, and let large
 * pieces be written while the thread goes on.
 *
 * Paths are strings or raw bytes; names come back as bytes, since a string destroys names that are
 * not UTF-8. Tests replace the whole object (recording, failing, in memory).
 */
export type DiskPath = string | Buffer

export type FileKind = 'file' | 'dir' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block'

export interface FileStat {
  readonly kind: FileKind
  readonly dev: bigint
  readonly ino: bigint
  /** Full st_mode with the type bits. */
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Allocated 512-byte blocks: fewer than size/512 means holes. */
  readonly blocks: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

/**
 * `read`: an existing file, never through a link in the last component, never blocking on a FIFO.
 * `dir`: a folder's handle, no link. `update`: existing, read and write. `create`: new (EEXIST if
 * there), read and write, mode 0600. `append`: existing; writes go to the end as it is at that moment,
 * whatever position they name, so that two writers never write over each other.
 */
export type OpenMode = 'read' | 'dir' | 'update' | 'create' | 'append'

export interface DirReader {
  /** The next name in the file system's own order, or null at the end. */
  next(): { name: Buffer; kind: FileKind | null } | null
  close(): void
}

export interface Disk {
  open(path: DiskPath, mode: OpenMode): number
  /** Reads up to `length` bytes at `position`; 0 at the end. May return fewer. */
  read(fd: number, into: Uint8Array, offset: number, length: number, position: number): number
  /** Writes at `position`; may write fewer bytes than asked: see `writeFully`. */
  write(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number
  /**
   * The same in the background, for large pieces. Until it has settled the handle must not be closed (its
   * number may be given to another file) and the bytes must not be touched. Rejects with the system's error.
   */
  writeAsync(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): Promise<number>
  truncate(fd: number, length: number): void
  /** Data and size durable (fdatasync). */
  datasync(fd: number): void
  /** The same in the background; rejects with the system's error. */
  datasyncAsync(fd: number): Promise<void>
  /** Durable with metadata; the call for folders. */
  fsync(fd: number): void
  fsyncAsync(fd: number): Promise<void>
  close(fd: number): void
  fstat(fd: number): FileStat
  lstat(path: DiskPath): FileStat
  /** Follows links. */
  stat(path: DiskPath): FileStat
  opendir(path: DiskPath): DirReader
  readdir(path: DiskPath): Buffer[]
  readlink(path: DiskPath): Buffer
  realpath(path: DiskPath): Buffer
  mkdir(path: DiskPath, mode: number): void
  rmdir(path: DiskPath): void
  unlink(path: DiskPath): void
  rename(from: DiskPath, to: DiskPath): void
  /** Exclusive: EEXIST if `to` is there. */
  link(from: DiskPath, to: DiskPath): void
  symlink(target: Buffer, path: DiskPath): void
  fchmod(fd: number, mode: number): void
  fchown(fd: number, uid: number, gid: number): void
  lchown(path: DiskPath, uid: number, gid: number): void
  /** Seconds with microseconds. */
  futimes(fd: number, atime: number, mtime: number): void
  lutimes(path: DiskPath, atime: number, mtime: number): void
  /** Bytes free for an ordinary user on the file system of `path`. */
  free(path: DiskPath): number
  /** Whether this account may make names in the folder, as far as the system says without trying; follows links. */
  writable(folder: DiskPath): boolean
}

const C = fs.constants
const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: C.O_RDONLY | (C.O_NOFOLLOW ?? 0) | (C.O_NONBLOCK ?? 0),
  dir: C.O_RDONLY | (C.O_NOFOLLOW ?? 0) | (C.O_DIRECTORY ?? 0),
  update: C.O_RDWR | (C.O_NOFOLLOW ?? 0),
  append: C.O_WRONLY | C.O_APPEND | (C.O_NOFOLLOW ?? 0),
  create: C.O_RDWR | C.O_CREAT | C.O_EXCL | (C.O_NOFOLLOW ?? 0),
}

/** Reading leaves the access time alone where the system lets us: it does for the owner and for root. */
function openRead(path: DiskPath): number {
  try {
    return fs.openSync(path, FLAGS.read | (C.O_NOATIME ?? 0))
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error
    return fs.openSync(path, FLAGS.read)
  }
}

function kindOf(mode: number): FileKind {
  switch (mode & C.S_IFMT) {
    case C.S_IFREG:
      return 'file'
    case C.S_IFDIR:
      return 'dir'
    case C.S_IFLNK:
      return 'symlink'
    case C.S_IFIFO:
      return 'fifo'
    case C.S_IFSOCK:
      return 'socket'
    case C.S_IFCHR:
      return 'char'
    default:
      return 'block'
  }
}

function direntKind(entry: fs.Dirent<Buffer>): FileKind | null {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'dir'
  if (entry.isSymbolicLink()) return 'symlink'
  if (entry.isFIFO()) return 'fifo'
  if (entry.isSocket()) return 'socket'
  if (entry.isCharacterDevice()) return 'char'
  if (entry.isBlockDevice()) return 'block'
  return null // some file systems do not say; the caller asks lstat
}

function toStat(s: fs.BigIntStats): FileStat {
  const mode = Number(s.mode)
  return {
    kind: kindOf(mode),
    dev: s.dev,
    ino: s.ino,
    mode,
    nlink: Number(s.nlink),
    uid: Number(s.uid),
    gid: Number(s.gid),
    size: Number(s.size),
    blocks: Number(s.blocks),
    mtimeNs: s.mtimeNs,
    ctimeNs: s.ctimeNs,
  }
}

const settle =
  (resolve: () => void, reject: (error: Error) => void) =>
  (error: Error | null): void =>
    error ? reject(error) : resolve()

const BIG = { bigint: true } as const

/** Node takes a negative number for "now", but a negative number as text for what it is. */
const stamp = (seconds: number): number | string => (seconds < 0 ? String(seconds) : seconds)

export const realDisk: Disk = {
  open: (path, mode) => (mode === 'read' ? openRead(path) : fs.openSync(path, FLAGS[mode], 0o600)),
  read: (fd, into, offset, length, position) => fs.readSync(fd, into, offset, length, position),
  write: (fd, bytes, offset, length, position) => fs.writeSync(fd, bytes, offset, length, position),
  writeAsync: (fd, bytes, offset, length, position) =>
    new Promise((resolve, reject) =>
      fs.write(fd, bytes, offset, length, position, (error, done) => (error ? reject(error) : resolve(done))),
    ),
  truncate: (fd, length) => fs.ftruncateSync(fd, length),
  datasync: (fd) => fs.fdatasyncSync(fd),
  datasyncAsync: (fd) => new Promise((resolve, reject) => fs.fdatasync(fd, settle(resolve, reject))),
  fsync: (fd) => fs.fsyncSync(fd),
  fsyncAsync: (fd) => new Promise((resolve, reject) => fs.fsync(fd, settle(resolve, reject))),
  close: (fd) => fs.closeSync(fd),
  fstat: (fd) => toStat(fs.fstatSync(fd, BIG)),
  lstat: (path) => toStat(fs.lstatSync(path, BIG)),
  stat: (path) => toStat(fs.statSync(path, BIG)),
  opendir(path) {
    // The type of Node's declaration knows string names only; with encoding 'buffer' they are Buffers.
    const dir = fs.opendirSync(path as string, { encoding: 'buffer' as BufferEncoding, bufferSize: 1024 })
    return {
      next() {
        const entry = dir.readSync() as unknown as fs.Dirent<Buffer> | null
        return entry === null ? null : { name: entry.name, kind: direntKind(entry) }
      },
      close: () => dir.closeSync(),
    }
  },
  readdir: (path) => fs.readdirSync(path, { encoding: 'buffer' }),
  readlink: (path) => fs.readlinkSync(path, { encoding: 'buffer' }),
  realpath: (path) => fs.realpathSync.native(path, { encoding: 'buffer' }),
  mkdir: (path, mode) => void fs.mkdirSync(path, { mode }),
  rmdir: (path) => fs.rmdirSync(path),
  unlink: (path) => fs.unlinkSync(path),
  rename: (from, to) => fs.renameSync(from, to),
  link: (from, to) => fs.linkSync(from, to),
  symlink: (target, path) => fs.symlinkSync(target, path),
  fchmod: (fd, mode) => fs.fchmodSync(fd, mode),
  fchown: (fd, uid, gid) => fs.fchownSync(fd, uid, gid),
  lchown: (path, uid, gid) => fs.lchownSync(path, uid, gid),
  futimes: (fd, atime, mtime) => fs.futimesSync(fd, stamp(atime), stamp(mtime)),
  lutimes: (path, atime, mtime) => fs.lutimesSync(path, stamp(atime), stamp(mtime)),
  free(path) {
    const s = fs.statfsSync(path)
    return s.bavail * s.bsize
  },
  writable(folder) {
    try {
      fs.accessSync(folder, C.W_OK | C.X_OK)
      return true
    } catch (error) {
      if (['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error) ?? '')) return false
      throw error
    }
  },
}

/** Writes all of `bytes` at `position`, going on after short writes. */
export function writeFully(disk: Disk, fd: number, bytes: Uint8Array, position: number): void {
  let done = 0
  while (done < bytes.length) done += disk.write(fd, bytes, done, bytes.length - done, position + done)
}

/** `writeFully` in the background. One write at a time; the rules of `writeAsync` hold until it has settled. */
export async function writeFullyAsync(disk: Disk, fd: number, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) done += await disk.writeAsync(fd, bytes, done, bytes.length - done, position + done)
}

/** Reads until `length` bytes are there or the file ends; returns how many. */
export function readFully(disk: Disk, fd: number, into: Uint8Array, length: number, position: number): number {
  let done = 0
  while (done < length) {
    const got = disk.read(fd, into, done, length - done, position + done)
    if (got === 0) break
    done += got
  }
  return done
}
