import { createHash } from 'node:crypto'
import { removeIfThere } from '../lib/durable-file.ts'
import type { Disk, FileStat } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'
import type { ArtifactInfo } from './services.ts'

/** A published file as the job keeps it: also which file it was, so that another one of its name is told from it. */
export interface PublishedFile extends ArtifactInfo {
  /** Its inode, decimal. */
  ino?: string
}

const PIECE = 1 << 20

/** Removes the file that was published; another one that has taken its name since stays. */
export async function removePublished(disk: Disk, file: PublishedFile): Promise<void> {
  const present = statOf(disk, file.path)
  if (present === null || present.kind !== 'file' || present.size !== file.size) return
  // The inode says it at once; the content is asked where the file was copied, or its file system has no lasting inodes.
  if (String(present.ino) === file.ino || (await digestOf(disk, file.path)) === file.sha256) {
    removeIfThere(disk, file.path)
  }
}

async function digestOf(disk: Disk, path: string): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(PIECE)
  const fd = disk.open(path, 'read')
  try {
    for (let at = 0; ;) {
      const got = disk.read(fd, buffer, 0, PIECE, at)
      if (got === 0) return hash.digest('hex')
      hash.update(buffer.subarray(0, got))
      at += got
      await new Promise<void>((resolve) => setImmediate(resolve)) // others are served meanwhile
    }
  } finally {
    disk.close(fd)
  }
}

function statOf(disk: Disk, path: string): FileStat | null {
  try {
    return disk.lstat(path)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw error
  }
}
