import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { errnoOf } from './errors.ts'
import { readFully, writeFully, type Disk, type DiskPath } from './disk.ts'

/**
 * The durable-write recipe, once: a temporary name beside the target, write, fdatasync, rename (or
 * link, where the target must be new), fsync of the folder. After a return the content survives a
 * power cut; before it the old content does.
 */

/** Makes every rename, link and unlink in the folder durable. */
export function syncFolder(disk: Disk, folder: string): void {
  const fd = disk.open(`${folder}/.`, 'dir') // the folder may be reached through a link
  try {
    disk.fsync(fd)
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error // some network file systems cannot sync a folder
  } finally {
    disk.close(fd)
  }
}

function writeTemporary(disk: Disk, target: string, bytes: Uint8Array): string {
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`
  const fd = disk.open(temporary, 'create')
  try {
    try {
      writeFully(disk, fd, bytes, 0)
      disk.datasync(fd)
    } finally {
      disk.close(fd)
    }
  } catch (error) {
    removeIfThere(disk, temporary)
    throw error
  }
  return temporary
}

/** Puts `bytes` under `target`, replacing what is there: whole or not at all. The temporary name begins with `as`. */
export function replaceFile(disk: Disk, target: string, bytes: Uint8Array, as: string = target): void {
  const temporary = writeTemporary(disk, as, bytes)
  try {
    disk.rename(temporary, target)
  } catch (error) {
    removeIfThere(disk, temporary)
    throw error
  }
  syncFolder(disk, path.dirname(target))
}

/** Somebody who tidies up may take our temporary for a dead one's; not for ever. */
const TRIES = 20

/** Puts `bytes` under `target` only if nothing is there; false if somebody was first. What is there then lasts. */
export function createFileOnce(disk: Disk, target: string, bytes: Uint8Array): boolean {
  let created: boolean | null = null
  for (let left = TRIES; created === null; left--) {
    const temporary = writeTemporary(disk, target, bytes)
    created = linkNew(disk, temporary, target, left > 1)
    removeIfThere(disk, temporary)
  }
  syncFolder(disk, path.dirname(target)) // also for a loser: the winner may have died before its sync
  return created
}

/** False if `target` is there; null if the temporary file has been swept away and another try is worth it. */
function linkNew(disk: Disk, temporary: string, target: string, again: boolean): boolean | null {
  try {
    disk.link(temporary, target)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    if (errnoOf(error) === 'ENOENT' && again) return null
    removeIfThere(disk, temporary)
    throw error
  }
}

/** The whole file, or null if there is none. */
export function readFileIfThere(disk: Disk, target: string): Buffer | null {
  let fd: number
  try {
    fd = disk.open(target, 'read')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  try {
    const size = disk.fstat(fd).size
    const bytes = Buffer.alloc(size)
    return bytes.subarray(0, readFully(disk, fd, bytes, size, 0))
  } finally {
    disk.close(fd)
  }
}

export function removeIfThere(disk: Disk, target: string): void {
  try {
    disk.unlink(target)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/**
 * Makes the folder and its parents (0700) where missing. Its name then survives a power cut, also
 * if whoever made it was killed before saying so: each level is synced before the next is made.
 */
export function ensureFolder(disk: Disk, folder: string): void {
  const parent = path.dirname(folder)
  if (!isFolder(disk, folder)) {
    if (parent !== folder) ensureFolder(disk, parent)
    try {
      disk.mkdir(folder, 0o700)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST' || !isFolder(disk, folder)) throw error
    }
  }
  try {
    syncFolder(disk, parent)
  } catch (error) {
    const code = errnoOf(error) // a parent we may enter but not read, or that nobody can have changed
    if (code !== 'EACCES' && code !== 'EROFS') throw error
  }
}

function isFolder(disk: Disk, folder: string): boolean {
  try {
    return disk.stat(folder).kind === 'dir'
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

/** Removes a folder with everything below it; absent is fine. Links are removed, not followed. */
export function removeTree(disk: Disk, folder: DiskPath): void {
  try {
    if (disk.lstat(folder).kind !== 'dir') return disk.unlink(folder)
    for (const name of disk.readdir(folder)) {
      removeTree(disk, Buffer.concat([Buffer.from(folder as string), Buffer.from('/'), name]))
    }
    disk.rmdir(folder)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error // somebody else was sweeping too
  }
}
