import type { FileStat } from '../../../src/lib/disk.ts'
import { TYPE_BITS, type Inode } from './inode.ts'

/** Seconds with microseconds, as `utimensat` gets them. */
export const toNs = (seconds: number): bigint => BigInt(Math.round(seconds * 1e6)) * 1000n

/** An order of its own, like a hashed directory: whoever needs sorted names has to sort. */
export function listed(folder: Inode): string[] {
  const hash = (name: string): number => {
    let h = 17
    for (let i = 0; i < name.length; i++) h = (Math.imul(h, 31) + name.charCodeAt(i)) | 0
    return Math.imul(h, 0x9e3779b1)
  }
  return [...folder.entries.keys()].sort((a, b) => hash(a) - hash(b))
}

export function toStat(node: Inode): FileStat {
  const size = node.kind === 'symlink' ? node.target.length : node.kind === 'dir' ? 4096 : node.data.length
  return {
    kind: node.kind,
    dev: node.dev,
    ino: BigInt(node.ino),
    mode: TYPE_BITS[node.kind] | node.meta.mode,
    nlink: node.nlink,
    uid: node.meta.uid,
    gid: node.meta.gid,
    size,
    blocks: Math.ceil(size / 4096) * 8,
    mtimeNs: node.meta.mtimeNs,
    ctimeNs: node.ctimeNs,
  }
}
