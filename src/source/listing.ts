import type { AppendFile } from '../lib/append-file.ts'
import type { DirReader, Disk } from '../lib/disk.ts'
import { causeOf, type Cause } from './omit.ts'
import type { Folder, Folders } from './folders.ts'
import { addList, dropList, findList, folderKey, type ListRecord, type ListStore } from './list-store.ts'
import { Batch, compareNames, MergedNames, readTable, writeTable, type Name, type Run } from './name-list.ts'
import type { Pause } from './source.ts'

/** Folders up to this many names are sorted in memory. */
const SMALL = 10_000
/** Names sorted in memory at once for a larger one: a few MB. */
const RUN = 20_000
/** Names between two moments at which the step may end. */
const PAUSE_EVERY = 2_000
/** A listing lost with its process this often is then read to its end in one go. */
const LOSSES = 2

/** The sorted names of a folder, and what went wrong with listing it, if anything: then names may be missing. */
export interface Listing {
  next(): Name | null
  /** Names held in memory. */
  readonly held: number
  readonly failure: Cause | null
}

export const NOTHING: Listing = { next: () => null, held: 0, failure: null }

export interface ListingContext {
  readonly disk: Disk
  readonly folders: Folders
  readonly store: ListStore | null
  readonly log: (level: 'debug' | 'info' | 'warn', message: string) => void
}

/** Lists a folder from the first name at or after `from` on. Names in a large one go through the store. */
export function* list(
  ctx: ListingContext,
  folder: Folder,
  path: Buffer,
  from: Buffer | null,
): Generator<Pause, Listing> {
  const open = (): Begun => new Begun(() => ctx.disk.opendir(ctx.folders.self(folder)))
  const store = ctx.store
  if (store === null) return fromMemory(open(), from)
  const key = folderKey(path, folder)
  const known = findList(store, key)
  if (known === undefined) {
    const begun = open()
    begun.read(SMALL + 1)
    if (begun.ended) return fromMemory(begun, from)
    forget(store)
    store.keep(WARM, () => begun)
  }
  if (known === undefined || known.table === null) yield* listLarge(ctx, store, key, open)
  return fromStore(store, key, from)
}

/** What a process keeps of a listing in progress. */
const WARM = 'listing'

/**
 * A folder being read: names not yet written, and the runs that are. Only what goes wrong with the
 * folder ends up as its `failure`; trouble with our own work file is never taken for the end of a folder.
 */
class Begun implements Disposable {
  #reader: DirReader | null = null
  /** Its work file, once it has one. */
  file: string | null = null
  /** Of a folder that may turn out small. */
  names: Name[] = []
  /** Of a large one: not yet written. */
  readonly batch = new Batch()
  runs: Run[] = []
  /** Length of the work file after the last run: another length means another file. */
  written = 0
  /** Names read so far. */
  count = 0
  failure: Cause | null = null

  constructor(open: () => DirReader) {
    try {
      this.#reader = open()
    } catch (error) {
      this.failure = causeOf(error)
    }
  }

  get ended(): boolean {
    return this.#reader === null
  }

  /** Reads up to `more` names on. */
  read(more: number): void {
    this.#each(more, (name) => this.names.push(name))
  }

  /** Reads up to `more` names on, into the batch; what was read before goes first. */
  pack(more: number): void {
    for (const name of this.names) this.batch.add(name)
    this.names = []
    this.#each(more, (name) => this.batch.add(name))
  }

  /** Writes the batch as a sorted run. */
  flush(file: AppendFile): void {
    if (this.batch.size > 0) this.runs.push(this.batch.write(file))
    this.written = file.length
  }

  /** A failure ends the listing, with the names there are. */
  #each(more: number, take: (name: Name) => void): void {
    try {
      for (let left = more; this.#reader !== null && left > 0; left--) {
        const next = this.#reader.next()
        if (next === null) return this[Symbol.dispose]()
        take(next)
        this.count++
      }
    } catch (error) {
      this[Symbol.dispose]()
      this.failure = causeOf(error)
    }
  }

  /** Whether the recorded listing is this one, at this point: after a failed step the file may be shorter. */
  fits(record: ListRecord, store: ListStore): boolean {
    return this.file === record.file && this.written === store.file(record.file).length
  }

  [Symbol.dispose](): void {
    const reader = this.#reader
    this.#reader = null
    reader?.close()
  }
}

function* listLarge(ctx: ListingContext, store: ListStore, key: string, open: () => Begun): Generator<Pause> {
  const { begun, record } = takeUp(store, key, open)
  const file = store.file(record.file)
  const rush = record.lost >= LOSSES
  if (rush) ctx.log('warn', 'listing a large folder in one go: its process was lost twice before the end')
  while (!begun.ended) {
    begun.pack(PAUSE_EVERY)
    if (begun.batch.size >= RUN) begun.flush(file)
    record.names = begun.count
    if (!rush && !begun.ended) yield { type: 'pause', message: `listing a large folder: ${begun.count} names` }
  }
  begun.flush(file)
  record.failure = begun.failure === null ? null : { ...begun.failure }
  record.table = writeTable(file, begun.runs)
  forget(store)
}

/**
 * The listing in progress as this process remembers it, if it fits the recorded one. Otherwise it
 * was lost: the order of a folder is the file system's own, so there is no going on after a name.
 */
function takeUp(store: ListStore, key: string, open: () => Begun): { begun: Begun; record: ListRecord } {
  const record = findList(store, key)
  let begun = store.keep(WARM, open)
  if (record !== undefined && begun.fits(record, store)) return { begun, record }
  if (begun.file !== null) {
    forget(store)
    begun = store.keep(WARM, open)
  }
  if (record !== undefined) dropList(store, record)
  const next = addList(store, key, record === undefined ? 0 : record.lost + 1)
  begun.file = next.file
  return { begun, record: next }
}

function forget(store: ListStore): void {
  store.keep(WARM, () => ({ [Symbol.dispose]: () => {} }))[Symbol.dispose]()
  store.forget(WARM)
}

function fromStore(store: ListStore, key: string, from: Buffer | null): Listing {
  const record = findList(store, key)
  if (record === undefined || record.table === null) throw new Error('a listing just made is not there')
  const file = store.file(record.file)
  const names = new MergedNames(file, readTable(file, record.table), from)
  return { next: () => names.next(), held: 0, failure: record.failure }
}

function fromMemory(begun: Begun, from: Buffer | null): Listing {
  begun.read(Infinity)
  const names = begun.names.sort(compareNames)
  let at = from === null ? 0 : names.findIndex((name) => Buffer.compare(name.name, from) >= 0)
  if (at < 0) at = names.length
  const next = (): Name | null => {
    const found = names[at++]
    // A folder that changes while it is listed may name an entry twice.
    while (found !== undefined && names[at]?.name.equals(found.name)) at++
    return found ?? null
  }
  return { next, held: names.length, failure: begun.failure }
}
