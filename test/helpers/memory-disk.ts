import type { Disk, DiskPath, DirReader, FileKind, FileStat, OpenMode } from '../../src/lib/disk.ts'
import { systemError } from './memory/errno.ts'
import { MemoryFs } from './memory/fs.ts'
import type { Inode } from './memory/inode.ts'
import { Lookup, shown, type Place } from './memory/lookup.ts'
import { cutPower, type PowerChoice } from './memory/power.ts'
import { listed, toNs, toStat } from './memory/stat.ts'

interface Descriptor {
  readonly node: Inode
  readonly mode: OpenMode
}

const UMASK = 0o022

/**
 * A POSIX-like file system in memory that knows what a power cut would leave of it. One object is
 * one process's view: it has descriptors of its own. `process()` gives another process's view of
 * the same files; `kill()` and `powerCut()` give the view of whoever comes afterwards.
 *
 * Permissions are not modelled (tests run as root as often as not): `faultDisk` refuses by path.
 */
export class MemoryDisk implements Disk {
  readonly #fs: MemoryFs
  readonly #descriptors = new Map<number, Descriptor>()
  readonly #lookup: Lookup
  #dead = false

  /** `capacity`: bytes of file content before ENOSPC. */
  constructor(options: { capacity?: number } = {}, fs = new MemoryFs(options.capacity ?? Number.MAX_SAFE_INTEGER)) {
    this.#fs = fs
    this.#lookup = new Lookup(fs, (fd) => this.#descriptors.get(fd)?.node ?? null)
  }

  // ── What tests do to it ────────────────────────────────────────────────────────────────────────

  /** Another process on the same files. */
  process(): MemoryDisk {
    return new MemoryDisk({}, this.#fs)
  }
  /** An independent copy without open descriptors. */
  clone(): MemoryDisk {
    return new MemoryDisk({}, this.#fs.clone())
  }
  /** The process dies: its descriptors vanish, the page cache stays. Returns the next process's view. */
  kill(): MemoryDisk {
    for (const fd of this.#descriptors.keys()) this.close(fd)
    this.#dead = true
    return this.process()
  }
  /** A copy as a power cut may leave it. This one stays as it is. */
  powerCut(choice: PowerChoice): MemoryDisk {
    const fs = this.#fs.clone()
    cutPower(fs, choice)
    return new MemoryDisk({}, fs)
  }
  /** Everything there is becomes durable: for what a test prepares. */
  settle(): this {
    for (const node of this.#fs.inodes.values()) this.#fs.sync(node, this.#fs.seq, true)
    return this
  }
  /** After a failed sync: what it should have written will never be. See `MemoryFs.dropUnsynced`. */
  dropUnsynced(fd: number, evict = true): void {
    this.#fs.dropUnsynced(this.#fd(fd, 'fsync').node, evict)
  }
  get openDescriptors(): number {
    return this.#descriptors.size
  }
  /** A FIFO or socket. */
  mknod(at: DiskPath, kind: 'fifo' | 'socket'): void {
    this.#add(at, this.#vacant(at, 'mknod'), kind, 0o644 & ~UMASK)
  }
  /** Puts an object on another device, as a mount point would be. */
  setDevice(at: DiskPath, dev: bigint): void {
    this.#lookup.existing(at, false, 'stat').dev = dev
  }

  // ── Disk: descriptors ──────────────────────────────────────────────────────────────────────────

  open(at: DiskPath, mode: OpenMode): number {
    this.#alive()
    const place = this.#lookup.find(at, false, 'open')
    if (mode === 'create') return this.#create(at, place)
    const { node } = place
    if (node === null) throw systemError('ENOENT', 'open', shown(at))
    if (mode === 'dir' && node.kind !== 'dir') throw systemError('ENOTDIR', 'open', shown(at))
    if (node.kind === 'symlink') throw systemError('ELOOP', 'open', shown(at))
    if (node.kind === 'socket') throw systemError('ENXIO', 'open', shown(at))
    if ((mode === 'update' || mode === 'append') && node.kind === 'dir') throw systemError('EISDIR', 'open', shown(at))
    return this.#allot(node, mode)
  }

  #create(at: DiskPath, place: Place): number {
    if (place.node !== null) throw systemError('EEXIST', 'open', shown(at))
    if (place.slash) throw systemError('EISDIR', 'open', shown(at))
    return this.#allot(this.#add(at, place, 'file', 0o600), 'create')
  }

  /** The lowest free number, as POSIX wants it: a stale descriptor soon names another file. */
  #allot(node: Inode, mode: OpenMode): number {
    let fd = 3
    while (this.#descriptors.has(fd)) fd++
    this.#descriptors.set(fd, { node, mode })
    node.opens++
    return fd
  }

  read(fd: number, into: Uint8Array, offset: number, length: number, position: number): number {
    const { node } = this.#fd(fd, 'read')
    if (node.kind === 'dir') throw systemError('EISDIR', 'read')
    if (node.kind !== 'file') throw systemError('ESPIPE', 'read')
    if (offset + length > into.length) throw new RangeError('read beyond the end of the buffer')
    const found = node.data.view().subarray(position, position + length)
    into.set(found, offset)
    return found.length
  }

  write(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number {
    const { node, mode } = this.#writable(fd, 'write', 'EBADF')
    if (node.kind !== 'file') throw systemError('ESPIPE', 'write')
    if (offset + length > bytes.length) throw new RangeError('write beyond the end of the buffer')
    return length === 0
      ? 0
      : this.#fs.write(node, mode === 'append' ? node.data.length : position, bytes.subarray(offset, offset + length))
  }

  /** Takes effect at once. */
  async writeAsync(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.write(fd, bytes, offset, length, position)
  }

  truncate(fd: number, length: number): void {
    const { node } = this.#writable(fd, 'ftruncate', 'EINVAL')
    if (node.kind !== 'file') throw systemError('EINVAL', 'ftruncate')
    this.#fs.truncate(node, length)
  }

  datasync(fd: number): void {
    this.#sync(fd, 'fdatasync', false)
  }
  fsync(fd: number): void {
    this.#sync(fd, 'fsync', true)
  }
  datasyncAsync(fd: number): Promise<void> {
    return this.#syncLater(fd, 'fdatasync', false)
  }
  fsyncAsync(fd: number): Promise<void> {
    return this.#syncLater(fd, 'fsync', true)
  }

  #sync(fd: number, syscall: string, metadata: boolean, upTo = this.#fs.seq): void {
    const { node } = this.#fd(fd, syscall)
    if (node.kind === 'fifo') throw systemError('EINVAL', syscall)
    this.#fs.sync(node, upTo, metadata)
  }

  /** Covers what was written before the call, and takes effect only when it resolves. */
  async #syncLater(fd: number, syscall: string, metadata: boolean): Promise<void> {
    const upTo = this.#fs.seq
    const descriptor = this.#fd(fd, syscall)
    await Promise.resolve()
    if (this.#descriptors.get(fd) !== descriptor) throw systemError('EBADF', syscall) // closed under its feet
    this.#sync(fd, syscall, metadata, upTo)
  }

  close(fd: number): void {
    const { node } = this.#fd(fd, 'close')
    this.#descriptors.delete(fd)
    node.opens--
    this.#fs.release(node)
  }

  fstat(fd: number): FileStat {
    return toStat(this.#fd(fd, 'fstat').node)
  }
  fchmod(fd: number, mode: number): void {
    this.#setMeta(this.#fd(fd, 'fchmod').node, { mode: mode & 0o7777 })
  }
  fchown(fd: number, uid: number, gid: number): void {
    this.#setMeta(this.#fd(fd, 'fchown').node, { uid, gid })
  }
  futimes(fd: number, _atime: number, mtime: number): void {
    this.#setMeta(this.#fd(fd, 'futime').node, { mtimeNs: toNs(mtime) })
  }

  // ── Disk: paths ────────────────────────────────────────────────────────────────────────────────

  lstat(at: DiskPath): FileStat {
    return toStat(this.#existing(at, false, 'lstat'))
  }
  stat(at: DiskPath): FileStat {
    return toStat(this.#existing(at, true, 'stat'))
  }
  lchown(at: DiskPath, uid: number, gid: number): void {
    this.#setMeta(this.#existing(at, false, 'lchown'), { uid, gid })
  }
  lutimes(at: DiskPath, _atime: number, mtime: number): void {
    this.#setMeta(this.#existing(at, false, 'lutime'), { mtimeNs: toNs(mtime) })
  }

  opendir(at: DiskPath): DirReader {
    const folder = this.#folder(at, 'opendir')
    const names = listed(folder)
    let next = 0
    return {
      next: () => {
        const name = names[next++]
        if (name === undefined) return null
        const ino = folder.entries.get(name)
        return { name: Buffer.from(name, 'latin1'), kind: ino === undefined ? null : this.#fs.inode(ino).kind }
      },
      close() {},
    }
  }
  readdir(at: DiskPath): Buffer[] {
    return listed(this.#folder(at, 'scandir')).map((name) => Buffer.from(name, 'latin1'))
  }
  readlink(at: DiskPath): Buffer {
    const node = this.#existing(at, false, 'readlink')
    if (node.kind !== 'symlink') throw systemError('EINVAL', 'readlink', shown(at))
    return Buffer.from(node.target)
  }
  realpath(at: DiskPath): Buffer {
    const { folder, name, node } = this.#find(at, true, 'realpath')
    if (node === null) throw systemError('ENOENT', 'realpath', shown(at))
    if (node.kind === 'dir') return Buffer.from(this.#lookup.pathOf(node) || '/', 'latin1')
    return Buffer.from(`${this.#lookup.pathOf(folder) ?? ''}/${name}`, 'latin1')
  }

  mkdir(at: DiskPath, mode: number): void {
    this.#add(at, this.#vacant(at, 'mkdir'), 'dir', mode & ~UMASK)
  }
  symlink(target: Buffer, at: DiskPath): void {
    const node = this.#add(at, this.#vacant(at, 'symlink', target.toString()), 'symlink', 0o777)
    node.target = Buffer.from(target)
  }
  link(from: DiskPath, to: DiskPath): void {
    const node = this.#existing(from, false, 'link', to)
    const place = this.#vacant(to, 'link', shown(from))
    if (node.kind === 'dir') throw systemError('EPERM', 'link', shown(from), shown(to))
    if (place.slash) throw systemError('ENOENT', 'link', shown(from), shown(to))
    this.#fs.rename([{ folder: place.folder.ino, name: place.name, node: node.ino }])
  }
  unlink(at: DiskPath): void {
    const { folder, name, node } = this.#find(at, false, 'unlink')
    if (node === null) throw systemError('ENOENT', 'unlink', shown(at))
    if (node.kind === 'dir') throw systemError('EISDIR', 'unlink', shown(at))
    this.#fs.rename([{ folder: folder.ino, name, node: null }])
  }
  rmdir(at: DiskPath): void {
    const { folder, name, node } = this.#find(at, false, 'rmdir')
    if (node === null) throw systemError('ENOENT', 'rmdir', shown(at))
    if (node.kind !== 'dir') throw systemError('ENOTDIR', 'rmdir', shown(at))
    if (node.entries.size > 0) throw systemError('ENOTEMPTY', 'rmdir', shown(at))
    this.#fs.rename([{ folder: folder.ino, name, node: null }], node.ino)
  }

  rename(from: DiskPath, to: DiskPath): void {
    const fail = (code: string): never => {
      throw systemError(code, 'rename', shown(from), shown(to))
    }
    const source = this.#find(from, false, 'rename')
    const target = this.#find(to, false, 'rename')
    if (source.node === null) return fail('ENOENT')
    const isDir = source.node.kind === 'dir'
    if (target.folder.nlink === 0) return fail('ENOENT')
    if (target.slash && target.node === null && !isDir) return fail('ENOTDIR')
    if (isDir && this.#isBelow(target.folder, source.node)) return fail('EINVAL')
    if (target.node === source.node) return
    if (target.node !== null) {
      if (isDir && target.node.kind !== 'dir') return fail('ENOTDIR')
      if (!isDir && target.node.kind === 'dir') return fail('EISDIR')
      if (target.node.entries.size > 0) return fail('ENOTEMPTY')
    }
    const changes = [
      { folder: target.folder.ino, name: target.name, node: source.node.ino },
      { folder: source.folder.ino, name: source.name, node: null },
    ]
    this.#fs.rename(changes, target.node?.kind === 'dir' ? target.node.ino : null)
  }

  free(at: DiskPath): number {
    this.#existing(at, true, 'statfs')
    return this.#fs.capacity - this.#fs.used
  }

  writable(folder: DiskPath): boolean {
    this.#existing(folder, true, 'access')
    return true
  }

  // ── Inside ─────────────────────────────────────────────────────────────────────────────────────

  #alive(): void {
    if (this.#dead) throw new Error('this process was killed: its view of the disk is gone')
  }
  #find(at: DiskPath, follow: boolean, syscall: string): Place {
    this.#alive()
    return this.#lookup.find(at, follow, syscall)
  }
  #existing(at: DiskPath, follow: boolean, syscall: string, dest?: DiskPath): Inode {
    const { node } = this.#find(at, follow, syscall)
    if (node === null) throw systemError('ENOENT', syscall, shown(at), dest === undefined ? undefined : shown(dest))
    return node
  }
  #folder(at: DiskPath, syscall: string): Inode {
    const node = this.#existing(at, true, syscall)
    if (node.kind !== 'dir') throw systemError('ENOTDIR', syscall, shown(at))
    return node
  }
  #vacant(at: DiskPath, syscall: string, from?: string): Place {
    const place = this.#find(at, false, syscall)
    const names: [string, string?] = from === undefined ? [shown(at)] : [from, shown(at)]
    if (place.node !== null) throw systemError('EEXIST', syscall, ...names)
    return place
  }
  #add(at: DiskPath, place: Place, kind: FileKind, mode: number): Inode {
    if (place.folder.nlink === 0) throw systemError('ENOENT', 'open', shown(at))
    const node = this.#fs.create(kind, mode, place.folder.ino)
    node.dev = place.folder.dev
    this.#fs.rename([{ folder: place.folder.ino, name: place.name, node: node.ino }])
    return node
  }
  #fd(fd: number, syscall: string): Descriptor {
    this.#alive()
    const descriptor = this.#descriptors.get(fd)
    if (descriptor === undefined) throw systemError('EBADF', syscall)
    return descriptor
  }
  #writable(fd: number, syscall: string, code: string): Descriptor {
    const descriptor = this.#fd(fd, syscall)
    if (descriptor.mode === 'read' || descriptor.mode === 'dir') throw systemError(code, syscall)
    return descriptor
  }
  #setMeta(node: Inode, meta: Partial<Inode['meta']>): void {
    Object.assign(node.meta, meta)
    node.ctimeNs = this.#fs.tick()
  }
  #isBelow(folder: Inode, above: Inode): boolean {
    for (let at = folder; ; at = this.#fs.inode(at.parent)) {
      if (at === above) return true
      if (at.ino === this.#fs.root) return false
    }
  }
}
