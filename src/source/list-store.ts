import { createHash } from 'node:crypto'
import type { AppendFile } from '../lib/append-file.ts'
import type { Folder } from './folders.ts'
import type { OmitReason } from './source.ts'

/** A sorted listing of one large folder, kept in a work file. */
export type ListRecord = {
  /** Hash of the folder's path and identity. */
  folder: string
  /** Its work file. */
  file: string
  /** Where the table of its runs begins; null while it is being listed. */
  table: number | null
  /** Names in it, or read so far. */
  names: number
  /** How often a listing in progress was lost with its process. */
  lost: number
  /** What went wrong while it was listed: names may be missing. */
  failure: { reason: OmitReason; message: string } | null
}

/** Plain JSON of constant size. */
export type ListSlot = {
  /** Number for the next file name: a dropped name is not used again. */
  next: number
  lists: ListRecord[]
}

export function newListSlot(): ListSlot {
  return { next: 1, lists: [] }
}

/**
 * Where listings too long for memory are kept, so that a folder of a million names is listed once
 * however many steps its walk takes. A stage offers its context: work files, one slot (begun as
 * `newListSlot()`), and what a process may keep between steps.
 */
export interface ListStore {
  file(name: string): AppendFile
  drop(name: string): void
  slot(): ListSlot
  keep<T extends Disposable>(key: string, make: () => T): T
  forget(key: string): void
}

/** Lists kept at once; the one least recently begun gives way and is listed again should the walk need it. */
const LISTS = 4

/** Which folder a list belongs to: the same path and the same inode. */
export function folderKey(path: Buffer, folder: Folder): string {
  const hash = createHash('sha256').update(`${folder.dev}:${folder.ino}:`).update(path)
  return hash.digest('hex').slice(0, 32)
}

export function findList(store: ListStore, folder: string): ListRecord | undefined {
  return store.slot().lists.find((list) => list.folder === folder)
}

export function addList(store: ListStore, folder: string, lost: number): ListRecord {
  const slot = store.slot()
  while (slot.lists.length >= LISTS) {
    const oldest = slot.lists.shift()
    if (oldest !== undefined) store.drop(oldest.file)
  }
  const list: ListRecord = { folder, file: `names-${slot.next++}`, table: null, names: 0, lost, failure: null }
  slot.lists.push(list)
  return list
}

export function dropList(store: ListStore, list: ListRecord): void {
  const slot = store.slot()
  slot.lists = slot.lists.filter((other) => other !== list)
  store.drop(list.file)
}

/** Gives up all lists: to be called when a source has been taken whole. */
export function dropLists(store: ListStore): void {
  const { lists } = store.slot()
  store.slot().lists = []
  for (const list of lists) store.drop(list.file)
}
