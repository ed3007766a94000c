import type { FileKind } from '../../../src/lib/disk.ts'
import { Bytes } from './bytes.ts'

/** A change of a file's content that no sync has covered yet. */
export type Pending =
  | { readonly seq: number; readonly at: number; readonly bytes: Buffer }
  | { readonly seq: number; readonly truncate: number }

export interface Meta {
  mode: number
  uid: number
  gid: number
  mtimeNs: bigint
}

/** One object of the file system. Each has what programs see and what a power cut leaves. */
export interface Inode {
  readonly ino: number
  readonly kind: FileKind
  dev: bigint
  meta: Meta
  durableMeta: Meta
  ctimeNs: bigint
  nlink: number
  /** Open descriptors. */
  opens: number
  data: Bytes
  durable: Bytes
  pending: Pending[]
  /** Folders: name (one character per byte) → inode number. */
  entries: Map<string, number>
  durableEntries: Map<string, number>
  parent: number
  /** Symlinks. */
  target: Buffer
}

export const TYPE_BITS: Readonly<Record<FileKind, number>> = {
  file: 0o100000,
  dir: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  char: 0o020000,
  block: 0o060000,
}

export function newInode(ino: number, kind: FileKind, mode: number, now: bigint, parent: number): Inode {
  const meta = { mode: mode & 0o7777, uid: 0, gid: 0, mtimeNs: now }
  return {
    ino,
    kind,
    dev: 1n,
    meta,
    durableMeta: { ...meta },
    ctimeNs: now,
    nlink: 0,
    opens: 0,
    data: new Bytes(),
    durable: new Bytes(),
    pending: [],
    entries: new Map(),
    durableEntries: new Map(),
    parent,
    target: Buffer.alloc(0),
  }
}

export function cloneInode(node: Inode): Inode {
  return {
    ...node,
    meta: { ...node.meta },
    durableMeta: { ...node.durableMeta },
    opens: 0,
    data: node.data.clone(),
    durable: node.durable.clone(),
    pending: [...node.pending],
    entries: new Map(node.entries),
    durableEntries: new Map(node.durableEntries),
  }
}

export function applyPending(bytes: Bytes, change: Pending): void {
  if ('truncate' in change) bytes.truncate(change.truncate)
  else bytes.write(change.at, change.bytes)
}

/** Makes the content durable as far as it was pending at `upTo`. */
export function syncContent(node: Inode, upTo: number): void {
  let done = 0
  for (const change of node.pending) {
    if (change.seq > upTo) break
    applyPending(node.durable, change)
    done++
  }
  node.pending.splice(0, done)
}
