import type { Disk } from './disk.ts'
import { removeIfThere } from './durable-file.ts'
import { errnoOf } from './errors.ts'
import { lost } from './lost-file.ts'

/**
 * Opens a file of which only the first `committed` bytes count, and cuts away the others. `fd` null: it is not there,
 * and nothing of it counts. WORK_FILE_LOST if it is shorter or gone.
 */
export function openCommitted(
  disk: Disk,
  path: string,
  committed: number,
  mayWrite: () => void,
): { fd: number | null; created: boolean } {
  const fd = openIfThere(disk, path)
  if (fd === null) {
    if (committed > 0) throw lost(path, committed, null)
    return { fd, created: false }
  }
  if (committed === 0) {
    // Not cut but made anew: a late owner may still hold the file that lies here, and write to it.
    disk.close(fd)
    mayWrite()
    removeIfThere(disk, path)
    return { fd: disk.open(path, 'create'), created: true }
  }
  try {
    cut(disk, { fd, path, committed }, mayWrite)
    return { fd, created: false }
  } catch (error) {
    disk.close(fd)
    throw error
  }
}

function openIfThere(disk: Disk, path: string): number | null {
  try {
    return disk.open(path, 'update')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return null
  }
}

function cut(
  disk: Disk,
  { fd, path, committed }: { fd: number; path: string; committed: number },
  mayWrite: () => void,
): void {
  const { size } = disk.fstat(fd)
  if (size < committed) throw lost(path, committed, size)
  if (size === committed) return
  mayWrite()
  disk.truncate(fd, committed)
}
