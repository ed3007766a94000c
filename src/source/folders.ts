import type { Disk, FileStat } from '../lib/disk.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'

/** A folder of the source, as it was when the walk entered it. */
export interface Folder {
  readonly parent: Folder | null
  readonly name: Buffer
  /** Absolute path, or null where it is longer than the system takes. */
  readonly access: Buffer | null
  /** Opened by `access` and not through its parent: the source itself, and the targets of followed links. */
  readonly anchored: boolean
  readonly dev: bigint
  readonly ino: bigint
}

/** Bytes of a path with its ending NUL. */
export const PATH_MAX = 4096
/** Handles kept open at once. More levels are opened again from above, or from below by `..`. */
const KEPT = 64
const UP = Buffer.from('..')

/** `folder/name`. */
export function join(folder: Buffer, name: Buffer): Buffer {
  const length = folder.length === 1 && folder[0] === 0x2f ? 0 : folder.length
  const path = Buffer.allocUnsafe(length + 1 + name.length)
  path.set(folder)
  path[length] = 0x2f
  path.set(name, length + 1)
  return path
}

/** `folder/name`, or null if no call would take it. */
export function joinAccess(folder: Buffer | null, name: Buffer): Buffer | null {
  if (folder === null || folder.length + 1 + name.length >= PATH_MAX) return null
  return join(folder, name)
}

/**
 * Handles of folders, so that a name is reached below the very folder that was listed: whoever can
 * write the source can replace a folder by a link to another place at any moment, and a path would
 * then lead there. Node has no openat; below the process's own descriptor folder a path does the
 * same. This also reaches what no path is short enough for. Where the system has no such folder,
 * paths serve, and what is too long for them is reported by the walk.
 */
export class Folders implements Disposable {
  readonly #disk: Disk
  readonly #open = new Map<Folder, number>()
  #byHandle: boolean | null = null
  #closed = false

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** The quick way to a name, for metadata; falls back to the sure way where the path is too long. */
  quick(folder: Folder, name: Buffer): Buffer {
    return joinAccess(folder.access, name) ?? this.sure(folder, name)
  }

  /** The sure way to a name, for content and listings; valid until the next call. Throws as `handle`. */
  sure(folder: Folder, name: Buffer): Buffer {
    const base = this.#base(this.handle(folder), folder)
    return join(base, name)
  }

  /** Runs `work` with the sure way to a name; after `dispose`, no handle outlives the call. */
  within<T>(folder: Folder, name: Buffer, work: (path: Buffer) => T): T {
    try {
      return work(this.sure(folder, name))
    } finally {
      if (this.#closed) this.#closeAll()
    }
  }

  /** The sure way to the folder itself. */
  self(folder: Folder): Buffer {
    return this.sure(folder, Buffer.from('.'))
  }

  /** Handle of a folder. SOURCE_CHANGED if another one has taken its place; the system's error if it is gone. */
  handle(folder: Folder): number {
    const known = this.#open.get(folder)
    if (known !== undefined) {
      // Least recently used first: Map keeps the order of insertion.
      if (this.#open.size >= KEPT) this.#keep(folder, known)
      return known
    }
    const missing: Folder[] = []
    let at: Folder | null = folder
    while (at !== null && !this.#open.has(at)) {
      missing.push(at)
      at = at.anchored ? null : at.parent
    }
    let fd = -1
    for (const next of missing.reverse()) fd = this.#openFolder(next)
    return fd
  }

  /** Opens a child for the first time; its identity is what the handle says. */
  enter(parent: Folder, name: Buffer): Folder {
    const fd = this.#disk.open(this.sure(parent, name), 'dir')
    return this.#adopt(fd, { parent, name, access: joinAccess(parent.access, name), anchored: false })
  }

  /** Opens a folder by its absolute path. */
  anchor(parent: Folder | null, name: Buffer, access: Buffer): Folder {
    const fd = this.#disk.open(access, 'dir')
    return this.#adopt(fd, { parent, name, access, anchored: true })
  }

  /** Goes up again. A parent whose handle was given back meanwhile is opened from below if it still lies there. */
  leave(folder: Folder): void {
    const fd = this.#open.get(folder)
    const parent = folder.parent
    if (fd === undefined || parent === null || folder.anchored || this.#open.has(parent) || !this.#works(fd)) return
    const up = this.#disk.open(join(this.#base(fd, folder), UP), 'dir')
    if (this.#same(up, parent)) this.#keep(parent, up)
    else this.#disk.close(up)
  }

  /** Gives all handles back. Entries can still be opened: their folders are then opened for that call only. */
  [Symbol.dispose](): void {
    this.#closed = true
    this.#closeAll()
  }

  #openFolder(folder: Folder): number {
    const viaParent = !folder.anchored && folder.parent !== null
    const path = viaParent && folder.parent ? this.sure(folder.parent, folder.name) : folder.access
    if (path === null) throw new BackupError('INTERNAL', 'an anchored folder has no path')
    const fd = this.#disk.open(path, 'dir')
    if (!this.#same(fd, folder)) {
      this.#disk.close(fd)
      throw new BackupError('SOURCE_CHANGED', 'a folder was replaced by another one while it was walked')
    }
    this.#keep(folder, fd)
    return fd
  }

  #same(fd: number, folder: Folder): boolean {
    const stat = this.#identify(fd)
    return stat.dev === folder.dev && stat.ino === folder.ino
  }

  /** fstat of a handle that nobody else knows yet: closed if that fails. */
  #identify(fd: number): FileStat {
    try {
      return this.#disk.fstat(fd)
    } catch (error) {
      this.#disk.close(fd)
      throw error
    }
  }

  #adopt(fd: number, base: Omit<Folder, 'dev' | 'ino'>): Folder {
    const stat = this.#identify(fd)
    const folder: Folder = { ...base, dev: stat.dev, ino: stat.ino }
    this.#keep(folder, fd)
    return folder
  }

  #keep(folder: Folder, fd: number): void {
    this.#open.delete(folder)
    this.#open.set(folder, fd)
    if (this.#open.size <= KEPT) return
    const [oldest] = this.#open
    if (oldest === undefined) return
    this.#open.delete(oldest[0])
    this.#disk.close(oldest[1])
  }

  #base(fd: number, folder: Folder): Buffer {
    if (this.#works(fd)) return Buffer.from(`/proc/self/fd/${fd}`)
    if (folder.access === null) throw tooLong()
    return folder.access
  }

  #works(fd: number): boolean {
    this.#byHandle ??= this.#probe(fd)
    return this.#byHandle
  }

  #probe(fd: number): boolean {
    try {
      const seen = this.#disk.lstat(`/proc/self/fd/${fd}/.`)
      const real = this.#disk.fstat(fd)
      return seen.dev === real.dev && seen.ino === real.ino
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      return false
    }
  }

  #closeAll(): void {
    for (const fd of this.#open.values()) this.#disk.close(fd)
    this.#open.clear()
  }
}

function tooLong(): Error {
  return Object.assign(new Error('path longer than the system allows'), { code: 'ENAMETOOLONG', syscall: 'open' })
}
