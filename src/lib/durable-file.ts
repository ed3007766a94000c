import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { errnoOf } from './errors.ts'
import { readFully, writeFully, type Disk } from './disk.ts'

/**
 * The durable-write recipe, once: a temporary name beside the target, write, fdatasync, rename (or
 * link, where the target must be new), fsync of the folder. After a return the content survives a
 * power cut; before it the old content does.
 */

/** Makes every rename, link and unlink in the folder durable. */
export function syncFolder(disk: Disk, folder: string): void {
  const fd = disk.open(folder, 'dir')
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

/** Puts `bytes` under `target`, replacing what is there: whole or not at all. */
export function replaceFile(disk: Disk, target: string, bytes: Uint8Array): void {
  const temporary = writeTemporary(disk, target, bytes)
  try {
    disk.rename(temporary, target)
  } catch (error) {
    removeIfThere(disk, temporary)
    throw error
  }
  syncFolder(disk, path.dirname(target))
}

/** Puts `bytes` under `target` only if nothing is there; false if somebody was first. */
export function createFileOnce(disk: Disk, target: string, bytes: Uint8Array): boolean {
  const temporary = writeTemporary(disk, target, bytes)
  let created = true
  try {
    disk.link(temporary, target)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') {
      removeIfThere(disk, temporary)
      throw error
    }
    created = false
  }
  removeIfThere(disk, temporary)
  if (created) syncFolder(disk, path.dirname(target))
  return created
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

/** Makes the folder and its parents (0700) where missing. */
export function ensureFolder(disk: Disk, folder: string): void {
  try {
    disk.mkdir(folder, 0o700)
    return
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'EEXIST') {
      if (disk.stat(folder).kind === 'dir') return
      throw error
    }
    if (code !== 'ENOENT' || path.dirname(folder) === folder) throw error
  }
  ensureFolder(disk, path.dirname(folder))
  ensureFolder(disk, folder)
}

/** Removes a folder with everything below it; absent is fine. Links are removed, not followed. */
export function removeTree(disk: Disk, folder: string): void {
  let names: Buffer[]
  try {
    if (disk.lstat(folder).kind !== 'dir') return disk.unlink(folder)
    names = disk.readdir(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  for (const name of names) {
    const child = Buffer.concat([Buffer.from(folder + '/'), name])
    if (disk.lstat(child).kind === 'dir') removeTree(disk, child.toString('utf8'))
    else disk.unlink(child)
  }
  disk.rmdir(folder)
}
