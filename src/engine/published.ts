import path from 'node:path'
import { removeIfThere, syncFolder } from '../lib/durable-file.ts'
import type { Disk, FileStat } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'
import { hashStart, type HashPosition, type WarmHash } from '../lib/resumable-hash.ts'
import type { ArtifactInfo } from './services.ts'

/** A published file as the job keeps it: also which file it was, so that another one of its name is told from it. */
export interface PublishedFile extends ArtifactInfo {
  /** Its inode, decimal. */
  ino?: string
}

const PIECE = 1 << 20

/** How far a removal has read where only the content tells whose a file is. Plain JSON. */
export interface RemovalPosition {
  /** Index of that file: those before it are done with. */
  file: number
  hash: HashPosition
}

export const removalStart = (): RemovalPosition => ({ file: 0, hash: hashStart() })

/** Whether the file is where it was published, by its name and size. */
export function isThere(disk: Disk, file: PublishedFile): boolean {
  return present(disk, file) !== null
}

/**
 * Removes the files that were published; others that have taken their names since stay. Yields where it may be left:
 * beginning again with the same position, or with a new one, comes to the same. At its end it is durable.
 */
export async function* removePublished(
  disk: Disk,
  files: readonly PublishedFile[],
  position: RemovalPosition,
  warm: WarmHash,
): AsyncGenerator<void, void, void> {
  for (const [index, file] of files.entries()) {
    const found = present(disk, file)
    if (found === null) continue
    if (String(found.ino) === file.ino) removeIfThere(disk, file.path)
    else {
      // It was copied, or its file system has no lasting inodes: its content is asked.
      if (index < position.file) continue
      if (index > position.file) Object.assign(position, { file: index, hash: hashStart(position.hash.exportable) })
      const digest = yield* digestOf(disk, file.path, position.hash, warm)
      if (digest === file.sha256) {
        removeIfThere(disk, file.path)
        syncFolder(disk, path.dirname(file.path)) // it is not asked twice
      }
      position.file = index + 1
      position.hash = hashStart(position.hash.exportable)
    }
    yield
  }
  for (const folder of new Set(files.map((file) => path.dirname(file.path)))) syncIfThere(disk, folder)
}

async function* digestOf(
  disk: Disk,
  file: string,
  position: HashPosition,
  warm: WarmHash,
): AsyncGenerator<void, string, void> {
  await warm.resume(file, position)
  const fd = disk.open(file, 'read')
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafe(PIECE)
      const got = disk.read(fd, buffer, 0, PIECE, position.offset)
      if (got === 0) return (await warm.digest()) ?? ''
      warm.update(position, buffer.subarray(0, got))
      yield
    }
  } finally {
    disk.close(fd)
  }
}

function present(disk: Disk, file: PublishedFile): FileStat | null {
  const found = statOf(disk, file.path)
  return found?.kind === 'file' && found.size === file.size ? found : null
}

function syncIfThere(disk: Disk, folder: string): void {
  try {
    syncFolder(disk, folder)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error // the whole folder has been removed by somebody
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
