import path from 'node:path'
import type { Disk, DiskPath } from '../../../lib/disk.ts'
import { errnoOf } from '../../../lib/errors.ts'
import { placeOf, samePlace } from '../handles.ts'

/** Names looked at until one has a letter. */
const NAMES = 64

/**
 * Whether names in a folder that differ in case only are one name, found out without making any: something that is
 * there is asked for by another spelling. Where nothing has a letter in its name, names count as they are written.
 */
export function foldsCase(disk: Disk, folder: string): boolean {
  const inside = spelledTwice(disk, folder)
  if (inside !== null) return inside
  const parent = path.dirname(folder)
  const other = otherCase(Buffer.from(path.basename(folder)))
  // Above the root of a file system the names are another one's affair.
  if (other === null || parent === folder || disk.stat(parent).dev !== disk.stat(folder).dev) return false
  return isOneThing(disk, folder, below(parent, other))
}

/** Null: nothing in it could tell. */
function spelledTwice(disk: Disk, folder: string): boolean | null {
  let names
  try {
    names = disk.opendir(folder)
  } catch (error) {
    if (errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM') return null
    throw error
  }
  try {
    for (let i = 0; i < NAMES; i++) {
      const next = names.next()
      if (next === null) return null
      const other = otherCase(next.name)
      if (other !== null) return isOneThing(disk, below(folder, next.name), below(folder, other))
    }
    return null
  } finally {
    names.close()
  }
}

const below = (folder: string, name: Buffer): Buffer => Buffer.concat([Buffer.from(`${folder}/`), name])

/** The name with its first ASCII letter in the other case; null if it has none. */
function otherCase(name: Buffer): Buffer | null {
  const at = name.findIndex((byte) => /[A-Za-z]/.test(String.fromCharCode(byte)))
  if (at < 0) return null
  const other = Buffer.from(name)
  other[at] = (other[at] ?? 0) ^ 0x20
  return other
}

function isOneThing(disk: Disk, one: DiskPath, other: DiskPath): boolean {
  try {
    const [a, b] = [disk.lstat(one), disk.lstat(other)]
    // Two names of one file are not one name.
    return samePlace(placeOf(a), placeOf(b)) && (a.kind === 'dir' || a.nlink === 1)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
