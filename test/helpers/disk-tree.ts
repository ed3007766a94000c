import type { Disk, DiskPath } from '../../src/lib/disk.ts'
import { readFully, writeFully } from '../../src/lib/disk.ts'
import { escapeName } from '../../src/lib/entry-path.ts'

/** A whole file. */
export function contentOf(disk: Disk, at: DiskPath): Buffer {
  const fd = disk.open(at, 'read')
  try {
    const bytes = Buffer.alloc(disk.fstat(fd).size)
    return bytes.subarray(0, readFully(disk, fd, bytes, bytes.length, 0))
  } finally {
    disk.close(fd)
  }
}

/** Makes a new file. */
export function putFile(disk: Disk, at: DiskPath, content: Uint8Array | string): void {
  const fd = disk.open(at, 'create')
  try {
    writeFully(disk, fd, Buffer.from(content as string), 0)
  } finally {
    disk.close(fd)
  }
}

/**
 * Every path below `top`, sorted, with its content: bytes of files, `→ target` of links, the kind
 * of anything else. Names that are not UTF-8 are escaped.
 */
export function treeOf(disk: Disk, top: DiskPath = '/'): Record<string, string> {
  const found: [string, string][] = []
  const visit = (folder: Buffer, shown: string): void => {
    for (const name of disk.readdir(folder)) {
      const at = Buffer.concat([folder, Buffer.from('/'), name])
      const { kind } = disk.lstat(at)
      const label = `${shown}/${escapeName(name)}`
      if (kind === 'file') found.push([label, contentOf(disk, at).toString('latin1')])
      else found.push([label, kind === 'symlink' ? `→ ${disk.readlink(at).toString()}` : kind])
      if (kind === 'dir') visit(at, label)
    }
  }
  visit(Buffer.from(top as string), '')
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)))
}
