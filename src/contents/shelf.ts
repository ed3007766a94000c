import type { ArchiveEntry } from '../archive/format.ts'
import type { BrowsePage, BrowseQuery, Outgoing, OutgoingEntry, PartRef } from '../engine/archives.ts'
import type { Disk } from '../lib/disk.ts'
import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import { identityOf, OpenedArchive, openPartFile, type ArchiveRef } from './opened.ts'
import { canBeProven, entryBytes, partBytes } from './outgoing.ts'

/** Where archives are looked into: in this thread (`LocalShelf`) or in others (`threads.ts`). */
export interface Shelf {
  browse(ref: ArchiveRef, query: BrowseQuery): Promise<BrowsePage>
  entry(ref: ArchiveRef, path: Buffer): Promise<OutgoingEntry>
  part(part: PartRef, from: number, to: number): Promise<Outgoing>
  close(): Promise<void>
}

/** An archive nobody looks at stays open so long, for whoever turns the page. Milliseconds. */
const IDLE = 10_000
/** Archives kept open beyond their use. */
const MOST_KEPT = 4

interface Kept {
  readonly archive: OpenedArchive
  users: number
  timer: NodeJS.Timeout | null
}

export class LocalShelf implements Shelf {
  readonly #disk: Disk
  /** By identity, least recently used first. */
  readonly #kept = new Map<string, Kept>()
  #closed = false

  constructor(disk: Disk) {
    this.#disk = disk
  }

  async browse(ref: ArchiveRef, query: BrowseQuery): Promise<BrowsePage> {
    using use = this.#use(ref)
    const { path: folder, recursive, after, limit } = query
    const { entries, next } = use.archive.listing().page({ folder, recursive, after, limit })
    if (entries === null) throw noEntry(folder)
    return { entries, next }
  }

  async entry(ref: ArchiveRef, path: Buffer): Promise<OutgoingEntry> {
    const use = this.#use(ref)
    try {
      const { archive } = use
      const line = archive.line(path)
      const entry = entryAt(archive, path)
      if (!canBeProven(entry, line))
        throw new BackupError(
          'ARCHIVE_UNSUPPORTED',
          `nothing in the archive proves the content of ${displayName(path)}`,
        )
      const bytes = entryBytes(archive.reader(), entry, line)
      return { ...outgoing(entry.size, bytes, use), digest: line?.digest ?? null }
    } catch (error) {
      use[Symbol.dispose]()
      throw error
    }
  }

  async part(part: PartRef, from: number, to: number): Promise<Outgoing> {
    this.#disk.close(openPartFile(this.#disk, part)) // what is wrong with it is told before the first byte
    return outgoing(to - from, partBytes(this.#disk, part, from, to))
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const [key, kept] of this.#kept) if (kept.users === 0) this.#drop(key)
  }

  #use(ref: ArchiveRef): Disposable & { readonly archive: OpenedArchive } {
    const key = identityOf(this.#disk, ref)
    const known = this.#kept.get(key)
    const kept = known ?? { archive: new OpenedArchive(this.#disk, ref), users: 0, timer: null }
    if (kept.timer !== null) clearTimeout(kept.timer)
    kept.timer = null
    kept.users++
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    let over = false
    return {
      archive: kept.archive,
      [Symbol.dispose]: () => {
        if (over) return
        over = true
        if (--kept.users === 0) this.#rest(key, kept)
      },
    }
  }

  #rest(key: string, kept: Kept): void {
    if (this.#closed) return this.#drop(key)
    kept.timer = setTimeout(() => this.#drop(key), IDLE)
    kept.timer.unref()
    const idle = [...this.#kept].filter(([, { users }]) => users === 0)
    for (const [oldest] of idle.slice(0, Math.max(0, idle.length - MOST_KEPT))) this.#drop(oldest)
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key)
    if (kept === undefined) return
    this.#kept.delete(key)
    if (kept.timer !== null) clearTimeout(kept.timer)
    kept.archive[Symbol.dispose]()
  }
}

function entryAt(archive: OpenedArchive, path: Buffer): ArchiveEntry {
  for (const entry of archive.reader().entries()) {
    if (!entry.path.equals(path)) continue
    if (entry.kind === 'file') return entry
    break
  }
  throw noEntry(path)
}

const noEntry = (path: Buffer): BackupError =>
  new BackupError('ENTRY_NOT_FOUND', `the archive holds no ${displayName(path)}`)

function outgoing(size: number, pieces: AsyncGenerator<Uint8Array, void, undefined>, use?: Disposable): Outgoing {
  let closed = false
  const close = (): void => {
    if (closed) return
    closed = true
    // Ends the generator where it stands, or once the piece it is at is done; only then nobody reads any more.
    void pieces.return().finally(() => use?.[Symbol.dispose]())
  }
  return {
    size,
    async read() {
      const { value, done } = closed ? { done: true, value: undefined } : await pieces.next()
      return done === true || value === undefined ? null : value
    },
    close,
  }
}
