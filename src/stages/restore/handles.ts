import { BackupError, errnoOf } from '../../lib/errors.ts'
import { displayName } from '../../lib/entry-path.ts'
import type { Disk, FileStat } from '../../lib/disk.ts'
import type { Place } from './slots.ts'

/**
 * Folders held open, so that what is done to a name inside happens in that folder and nowhere else,
 * whatever somebody does to the path meanwhile (S-RES-2). Node has no openat; on Linux
 * `/proc/self/fd/<n>/name` is the same. Elsewhere the path is used, and each component is opened
 * without following links.
 */
export class Folder {
  readonly fd: number
  readonly path: Buffer
  readonly byHandle: boolean
  readonly #base: Buffer
  /** Names in it changed since its last sync. */
  dirty = false

  constructor(fd: number, path: Buffer, byHandle: boolean) {
    this.fd = fd
    this.#base = byHandle ? Buffer.from(`/proc/self/fd/${fd}/`) : Buffer.concat([path, Buffer.from('/')])
    this.path = path
    this.byHandle = byHandle
  }

  /** The path of a name in this folder. */
  child(name: Buffer | string): Buffer {
    return Buffer.concat([this.#base, typeof name === 'string' ? Buffer.from(name) : name])
  }
}

/** A path by which another process of ours reaches the folder. */
export function reachable(folder: Folder): string {
  return folder.byHandle ? `/proc/${process.pid}/fd/${folder.fd}` : folder.path.toString('utf8')
}

export const placeOf = (stat: FileStat): Place => ({ dev: String(stat.dev), ino: String(stat.ino) })
export const samePlace = (a: Place, b: Place): boolean => a.dev === b.dev && a.ino === b.ino

/** Does something with a handle just opened; if that fails, the handle is closed. */
export function orClose<T>(disk: Disk, fd: number, work: () => T): T {
  try {
    return work()
  } catch (error) {
    disk.close(fd)
    throw error
  }
}

/** Opens a folder by its path; its last component must not be a link. */
export function openFolder(disk: Disk, path: string): Folder {
  const fd = disk.open(path, 'dir')
  return orClose(disk, fd, () => new Folder(fd, Buffer.from(path), handlesWork(disk, fd)))
}

function handlesWork(disk: Disk, fd: number): boolean {
  try {
    return samePlace(placeOf(disk.stat(`/proc/self/fd/${fd}`)), placeOf(disk.fstat(fd)))
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return false // no /proc here
  }
}

/** Opens a folder inside another, never through a link. */
export function openInside(disk: Disk, parent: Folder, name: Buffer): Folder {
  const fd = disk.open(parent.child(name), 'dir')
  return new Folder(fd, Buffer.concat([parent.path, Buffer.from('/'), name]), parent.byHandle)
}

/** This many levels of the present path stay open; deeper trees are walked again from there. */
const LEVELS = 64
/** Mode of a folder we made and for which no entry has come (yet): marked by the sticky bit. */
export const UNNAMED = 0o1700

interface Level {
  readonly name: Buffer
  folder: Folder | null
}

export interface Found {
  readonly folder: Folder
  /** Lengths of the paths to those folders on the way that no entry has named yet, as far as we know. */
  readonly unnamed: readonly number[]
}

/** The folders below the target, with the handles along the path worked on last. */
export class TargetTree implements Disposable {
  readonly root: Folder
  readonly #disk: Disk
  readonly #levels: Level[] = []
  readonly #dirty = new Set<Folder>()
  readonly #reclaim: boolean

  /** `reclaim`: folders that still carry the mark are ours, made by an attempt that never counted. */
  constructor(disk: Disk, root: Folder, reclaim: boolean) {
    this.#disk = disk
    this.root = root
    this.#reclaim = reclaim
  }

  /** Folders whose names changed since the last `sync`. */
  get dirty(): number {
    return this.#dirty.size
  }

  /**
   * The folder with these components. `make`: missing ones are made, 0700 with the mark; else ENOENT is thrown.
   * ENTRY_REFUSED if a component is a link or no folder.
   */
  open(components: readonly Buffer[], make: boolean): Found {
    this.#leave(this.#common(components))
    let folder = this.#reopen()
    const unnamed: number[] = []
    for (let depth = this.#levels.length; depth < components.length; depth++) {
      const name = components[depth] ?? Buffer.alloc(0)
      const found = this.#enter(folder, name, make)
      if (found.unnamed) unnamed.push(depth + 1)
      folder = found.folder
      this.#levels.push({ name, folder })
      this.#trim()
    }
    if (!folder.byHandle) this.#prove(folder)
    return { folder, unnamed }
  }

  /** Without handles the path must still lead to the folder that was opened. */
  #prove(folder: Folder): void {
    const there = this.#disk.lstat(folder.path)
    if (samePlace(placeOf(there), placeOf(this.#disk.fstat(folder.fd)))) return
    throw new BackupError('ENTRY_REFUSED', `${displayName(folder.path)} was replaced while it was in use`)
  }

  changed(folder: Folder): void {
    folder.dirty = true
    this.#dirty.add(folder)
  }

  /** Makes every name that was added, replaced or removed durable. */
  async sync(): Promise<void> {
    const folders = [...this.#dirty]
    await Promise.all(folders.map((folder) => syncHandle(this.#disk, folder.fd)))
    this.#dirty.clear()
    for (const folder of folders) {
      folder.dirty = false
      if (folder !== this.root && !this.#levels.some((level) => level.folder === folder)) this.#disk.close(folder.fd)
    }
  }

  [Symbol.dispose](): void {
    const open = new Set<Folder>(this.#dirty)
    for (const level of this.#levels) if (level.folder !== null) open.add(level.folder)
    open.delete(this.root)
    for (const folder of open) this.#disk.close(folder.fd)
    this.#levels.length = 0
    this.#dirty.clear()
    this.#disk.close(this.root.fd)
  }

  #common(components: readonly Buffer[]): number {
    let depth = 0
    while (depth < this.#levels.length && depth < components.length) {
      if (this.#levels[depth]?.name.equals(components[depth] ?? Buffer.alloc(0)) !== true) break
      depth++
    }
    return depth
  }

  #leave(depth: number): void {
    for (const level of this.#levels.splice(depth)) this.#release(level)
  }

  #release(level: Level): void {
    // A changed folder stays open until its names are durable.
    if (level.folder !== null && !level.folder.dirty) this.#disk.close(level.folder.fd)
    level.folder = null
  }

  #trim(): void {
    const far = this.#levels[this.#levels.length - 1 - LEVELS]
    if (far !== undefined) this.#release(far)
  }

  /** The folder of the deepest level, opened again if the path had grown longer than what is kept. */
  #reopen(): Folder {
    const last = this.#levels.at(-1)
    if (last === undefined) return this.root
    if (last.folder !== null) return last.folder
    let from = this.#levels.length - 1
    while (from > 0 && this.#levels[from - 1]?.folder === null) from--
    let folder = this.#levels[from - 1]?.folder ?? this.root
    for (let depth = from; depth < this.#levels.length; depth++) {
      const level = this.#levels[depth]
      if (level === undefined) break
      folder = openInside(this.#disk, folder, level.name)
      level.folder = folder
      const passed = this.#levels[depth - 1]
      if (passed !== undefined && depth < this.#levels.length - LEVELS) this.#release(passed)
    }
    return folder
  }

  #enter(parent: Folder, name: Buffer, make: boolean): { folder: Folder; unnamed: boolean } {
    try {
      const folder = openInside(this.#disk, parent, name)
      const unnamed = make && this.#reclaim && orClose(this.#disk, folder.fd, () => this.#unnamed(folder))
      return { folder, unnamed }
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOTDIR' || code === 'ELOOP') throw inTheWay(name)
      if (code !== 'ENOENT' || !make) throw error
    }
    this.#disk.mkdir(parent.child(name), 0o700)
    this.changed(parent)
    const folder = openInside(this.#disk, parent, name)
    orClose(this.#disk, folder.fd, () => this.#disk.fchmod(folder.fd, UNNAMED))
    return { folder, unnamed: true }
  }

  #unnamed(folder: Folder): boolean {
    return (this.#disk.fstat(folder.fd).mode & 0o7777) === UNNAMED
  }
}

export async function syncHandle(disk: Disk, fd: number): Promise<void> {
  try {
    await disk.fsyncAsync(fd)
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error // some network file systems cannot sync a folder
  }
}

function inTheWay(name: Buffer): BackupError {
  return new BackupError('ENTRY_REFUSED', `${displayName(name)} is in the way and is not a folder`)
}
