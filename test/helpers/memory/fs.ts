import type { FileKind } from '../../../src/lib/disk.ts'
import { Bytes } from './bytes.ts'
import { systemError } from './errno.ts'
import { applyPending, cloneInode, newInode, syncContent, type Inode } from './inode.ts'
import { splitAtSync, type Change, type NameOp } from './journal.ts'

/** 2026-01-01, nanoseconds. */
const BEGIN = 1_767_225_600_000_000_000n

/** The state behind one or more `MemoryDisk`s: what programs see, and what a power cut would leave. */
export class MemoryFs {
  readonly inodes = new Map<number, Inode>()
  readonly root: number
  readonly capacity: number
  /** Changes of names not yet covered by an fsync of their folder, oldest first. */
  names: NameOp[] = []
  used = 0
  seq = 0
  #now = BEGIN
  #lastIno = 1

  constructor(capacity: number) {
    this.capacity = capacity
    this.root = 2
    this.#lastIno = 1
    const root = this.create('dir', 0o755, 2)
    root.nlink = 2
  }

  clone(): MemoryFs {
    const copy = new MemoryFs(this.capacity)
    copy.inodes.clear()
    for (const node of this.inodes.values()) copy.inodes.set(node.ino, cloneInode(node))
    copy.names = [...this.names]
    copy.used = this.used
    copy.seq = this.seq
    copy.#now = this.#now
    copy.#lastIno = this.#lastIno
    for (const node of copy.inodes.values()) copy.release(node)
    return copy
  }

  /** A clock that never stands still: every change gets a time of its own. */
  tick(): bigint {
    this.#now += 1000n
    return this.#now
  }

  inode(ino: number): Inode {
    const node = this.inodes.get(ino)
    if (node === undefined) throw new Error(`inode ${ino} is gone: a fault of the model`)
    return node
  }

  create(kind: FileKind, mode: number, parent: number): Inode {
    const node = newInode(++this.#lastIno, kind, mode, this.tick(), parent)
    if (kind === 'dir') node.nlink = 1
    this.inodes.set(node.ino, node)
    return node
  }

  /**
   * Changes names as one operation that a power cut keeps or loses as a whole. New names come
   * before removed ones, so that nothing is without a name in between.
   */
  rename(changes: readonly Change[], empties: number | null = null): void {
    const now = this.tick()
    for (const change of changes) {
      const folder = this.inode(change.folder)
      const old = folder.entries.get(change.name)
      if (change.node === null) folder.entries.delete(change.name)
      else folder.entries.set(change.name, change.node)
      if (change.node !== null) this.#linked(this.inode(change.node), folder, now)
      if (old !== undefined) this.#unlinked(this.inode(old), folder, now)
      folder.meta.mtimeNs = now
      folder.ctimeNs = now
    }
    this.names.push({ changes, empties })
  }

  #linked(node: Inode, folder: Inode, now: bigint): void {
    node.nlink++
    node.ctimeNs = now
    if (node.kind !== 'dir') return
    folder.nlink++
    node.parent = folder.ino
  }

  #unlinked(node: Inode, folder: Inode, now: bigint): void {
    node.nlink--
    node.ctimeNs = now
    if (node.kind === 'dir') {
      folder.nlink--
      if (folder.ino !== node.parent) return // moved away, not removed
      if (![...folder.entries.values()].includes(node.ino)) node.nlink = 0
    }
    this.release(node)
  }

  /** Gives back the space of a file that has neither a name nor a descriptor. */
  release(node: Inode): void {
    if (node.nlink > 0 || node.opens > 0 || node.data.length === 0) return
    this.used -= node.data.length
    node.data = new Bytes()
  }

  write(node: Inode, at: number, bytes: Uint8Array): number {
    let length = bytes.length
    const grows = (): number => Math.max(0, at + length - node.data.length)
    if (this.used + grows() > this.capacity) {
      length = Math.max(0, this.capacity - this.used + node.data.length - at)
      if (length === 0) throw systemError('ENOSPC', 'write')
    }
    this.used += grows()
    const copy = Buffer.from(bytes.subarray(0, length))
    node.data.write(at, copy)
    node.pending.push({ seq: ++this.seq, at, bytes: copy })
    this.touch(node)
    return length
  }

  truncate(node: Inode, length: number): void {
    if (this.used + length - node.data.length > this.capacity) throw systemError('ENOSPC', 'ftruncate')
    this.used += length - node.data.length
    node.data.truncate(length)
    node.pending.push({ seq: ++this.seq, truncate: length })
    this.touch(node)
  }

  touch(node: Inode): void {
    const now = this.tick()
    node.meta.mtimeNs = now
    node.ctimeNs = now
  }

  /** Content and size as pending at `upTo`; for folders, and with `metadata`, the rest too. */
  sync(node: Inode, upTo: number, metadata: boolean): void {
    syncContent(node, upTo)
    if (metadata) node.durableMeta = { ...node.meta }
    if (node.kind !== 'dir' || this.names.length === 0) return
    const { durable, left } = splitAtSync(this.names, node.ino)
    this.apply(durable)
    this.names = left
  }

  apply(ops: readonly NameOp[]): void {
    for (const op of ops) {
      for (const { folder, name, node } of op.changes) {
        const entries = this.inode(folder).durableEntries
        if (node === null) entries.delete(name)
        else entries.set(name, node)
      }
    }
  }

  /**
   * What a failed fsync leaves: the pages are clean and will never be written. With `evict` they
   * have left the cache too, and a reader sees what was on the disk before.
   */
  dropUnsynced(node: Inode, evict: boolean): void {
    if (evict) {
      this.used += node.durable.length - node.data.length
      node.data = node.durable.clone()
    } else {
      for (const change of node.pending) if ('truncate' in change) applyPending(node.durable, change)
    }
    node.pending = []
  }
}
