import type { StageContext } from '../../engine/stage.ts'
import { writeFully } from '../../lib/disk.ts'
import { release } from '../../lib/release.ts'
import type { Parts } from '../parts.ts'
import { Flight } from './flight.ts'
import { type Folder, reachable } from './handles.ts'
import { noteFolder, noteLink, noteName, type FolderNote, type LinkNote } from './lists.ts'
import type { Metadata } from './metadata.ts'
import type { Item } from './plan.ts'
import { filesOf, mayReplaceFile } from './present.ts'
import { faultOf, report, type Fault } from './report.ts'
import type { Site } from './site.ts'
import { FILES, restoreSpec, type ExtractSlot } from './slots.ts'
import { writeSparse } from './sparse.ts'
import { applyMetadata, sayNotKept } from './apply-metadata.ts'
import { setAttributes, type Attributed } from './xattrs.ts'

type Action =
  | { readonly kind: 'file'; readonly item: Item; readonly name: string | null }
  | { readonly kind: 'folder'; readonly item: Item; readonly note: FolderNote }
  | { readonly kind: 'link'; readonly item: Item; readonly note: LinkNote }
  | { readonly kind: 'fault'; readonly path: Buffer; readonly fault: Fault }

/** Content handed over; `owned`: nothing else lies in its memory. */
type Given = { readonly bytes: Buffer; readonly owned: boolean }

/** A staged file whose bytes are on their way to the disk. */
interface Pending {
  readonly fd: number
  /** Null until its sync has begun. */
  done: Promise<void> | null
}

/** Files that wait with open handles, for their bytes, their attributes or their sync: from then on the batch is due. */
const READY = 512
/** From so many files on, all that waits on the file system is written back at once before each of them is synced. */
const TOGETHER = 32
/** Files from this size on are written in the background, and looked through for runs of zeros. Bytes. */
const LARGE_FROM = 64 << 10
/** How much may be under way when more is unpacked. Bytes. */
const IN_FLIGHT = 4 << 20

/**
 * What has been unpacked since the last safe point. Nothing of it has its name yet: `place` waits
 * until all of it is on the disk and only then renames, in the archive's order (R27, R29). Doing a
 * batch again after a kill gives the same names the same content.
 */
export class Batch implements AsyncDisposable {
  readonly #ctx: StageContext
  readonly #parts: Parts
  readonly #site: Site
  readonly #slot: ExtractSlot
  readonly #actions: Action[] = []
  readonly #flight = new Flight()
  readonly #pending = new Set<Pending>()
  readonly #attributes: (Attributed & { readonly pending: Pending })[] = []
  readonly #ownFiles: ReadonlySet<string>
  /** Complete files whose sync has not begun. */
  readonly #ready: Pending[] = []
  #failure: unknown = null
  #bytes = 0

  constructor(ctx: StageContext, parts: Parts, site: Site, slot: ExtractSlot) {
    this.#ctx = ctx
    this.#parts = parts
    this.#site = site
    this.#slot = slot
    this.#ownFiles = filesOf(site.archive)
  }

  get size(): number {
    return this.#actions.length
  }
  get bytes(): number {
    return this.#bytes
  }
  /** Whether as many files wait as may. */
  get full(): boolean {
    return this.#pending.size >= READY
  }

  fault(path: Buffer, fault: Fault): void {
    this.#actions.push({ kind: 'fault', path, fault })
  }
  folder(item: Item, note: FolderNote): void {
    this.#actions.push({ kind: 'folder', item, note })
  }
  link(item: Item, note: LinkNote): void {
    this.#actions.push({ kind: 'link', item, note })
  }

  /** Waits until there is room for more files. Throws if one could not be written. */
  async room(): Promise<void> {
    await this.#flight.room(IN_FLIGHT)
  }

  /** Writes a small file to the staging folder and syncs it, or begins to. The bytes are handed over. */
  file(item: Item, given: Given, metadata: Metadata, xattrs: Record<string, string>): void {
    const { disk } = this.#ctx
    const { bytes } = given
    const { name, fd } = this.#site.staging.create()
    if (bytes.length >= LARGE_FROM) {
      const pending = this.#take(item, name, fd)
      this.#write(pending, given, () => this.#complete(pending, name, metadata, xattrs))
      return
    }
    try {
      writeFully(disk, fd, bytes, 0)
    } catch (error) {
      disk.close(fd)
      this.#site.staging.remove(name)
      throw error
    }
    this.staged(item, name, fd, metadata, xattrs)
  }

  /** Takes over a complete file in the staging folder; its handle is closed here. */
  staged(item: Item, name: string, fd: number, metadata: Metadata, xattrs: Record<string, string>): void {
    this.#complete(this.#take(item, name, fd), name, metadata, xattrs)
  }

  /** A file that has its name already: an earlier process was killed after the rename. */
  placed(item: Item): void {
    this.#actions.push({ kind: 'file', item, name: null })
  }

  /** Gives everything its name, in order, once all of it is durable. */
  async place(): Promise<void> {
    await this.#flight.landed()
    this.#setAttributes()
    if (this.#ready.length >= TOGETHER) await this.#parts.flush?.(reachable(this.#site.staging.folder))
    for (const pending of this.#ready.splice(0)) this.#sync(pending)
    await this.#settled()
    if (this.#failure !== null) throw this.#failure
    for (const action of this.#actions) this.#do(action)
    await this.#site.tree.sync()
    this.#actions.length = 0
    this.#bytes = 0
  }

  /** Removes what has not been placed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flight.ended()
    this.#ready.length = 0
    for (const pending of this.#pending) if (pending.done === null) this.#close(pending)
    await this.#settled()
    for (const action of this.#actions) {
      if (action.kind !== 'file' || action.name === null || action.name === this.#slot.open?.name) continue
      this.#site.staging.remove(action.name)
    }
    this.#actions.length = 0
  }

  #take(item: Item, name: string, fd: number): Pending {
    const pending: Pending = { fd, done: null }
    this.#actions.push({ kind: 'file', item, name })
    this.#bytes += item.entry.size
    this.#pending.add(pending)
    return pending
  }

  /** Writes in the background; `then` follows on the complete file. What fails is thrown by `room` or `place`. */
  #write({ fd }: Pending, { bytes, owned }: Given, then: () => void): void {
    const { disk } = this.#ctx
    const size = bytes.length
    const { hole, written } = writeSparse(disk, fd, bytes, 0)
    const complete = written.then(() => {
      if (hole) disk.truncate(fd, size)
      then()
    })
    this.#flight.add(complete, size, () => {
      if (owned) release(bytes)
    })
  }

  /** Its content is there: what is left is metadata, and to be durable. */
  #complete(pending: Pending, name: string, metadata: Metadata, xattrs: Record<string, string>): void {
    applyMetadata(this.#ctx, pending.fd, metadata)
    if (Object.keys(xattrs).length > 0) this.#attributes.push({ file: name, xattrs, pending })
    else this.#ready.push(pending)
  }

  #sync(pending: Pending): void {
    pending.done = this.#syncAndClose(pending)
  }

  /** Never rejects: a file whose sync failed is not placed, since `place` then throws what is kept here. */
  async #syncAndClose(pending: Pending): Promise<void> {
    try {
      await this.#ctx.disk.fsyncAsync(pending.fd)
    } catch (error) {
      this.#failure ??= error
    }
    this.#close(pending)
  }

  #close(pending: Pending): void {
    this.#pending.delete(pending)
    try {
      this.#ctx.disk.close(pending.fd)
    } catch (error) {
      this.#failure ??= error
    }
  }

  async #settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all([...this.#pending].map((pending) => pending.done))
  }

  #setAttributes(): void {
    const files = this.#attributes.splice(0)
    if (files.length === 0) return
    const whole = setAttributes(this.#parts, reachable(this.#site.staging.folder), files)
    if (!whole) sayNotKept(this.#ctx, this.#slot)
    for (const { pending } of files) this.#sync(pending)
  }

  #do(action: Action): void {
    if (action.kind === 'fault') {
      report(this.#ctx, this.#slot, action.path, action.fault)
      return
    }
    try {
      if (action.kind === 'file') this.#placeFile(action.item, action.name)
      else if (action.kind === 'folder') this.#placeFolder(action.item, action.note)
      else noteLink(this.#ctx.file(FILES.links), action.note)
      if (action.kind === 'file') noteName(this.#ctx, action.item)
      this.#count(action.item)
    } catch (error) {
      const fault = faultOf(error)
      if (action.kind === 'file' && action.name !== null) this.#site.staging.remove(action.name)
      report(this.#ctx, this.#slot, action.item.entry.path, fault)
    }
  }

  #placeFile(item: Item, name: string | null): void {
    const { disk } = this.#ctx
    const folder = this.#open(item.components.slice(0, -1))
    if (name === null) return
    const leaf = item.components.at(-1) ?? Buffer.alloc(0)
    if (restoreSpec(this.#ctx).mode === 'inplace') mayReplaceFile(disk, folder, leaf, this.#ownFiles)
    disk.rename(this.#site.staging.path(name), folder.child(leaf))
    this.#site.tree.changed(folder)
  }

  #placeFolder(item: Item, note: FolderNote): void {
    if (note.ifThere === true) {
      if (restoreSpec(this.#ctx).mode === 'inplace') return // not asked for: an existing folder stays as it is
    } else {
      const folder = this.#open(item.components, true)
      this.#ctx.disk.fchmod(folder.fd, (this.#ctx.disk.fstat(folder.fd).mode & 0o777) | 0o700)
    }
    noteFolder(this.#ctx.file(FILES.folders), note)
  }

  /** Opens a folder, making what is missing. `named`: the last one has an entry of its own. */
  #open(components: readonly Buffer[], named = false): Folder {
    const { folder, unnamed } = this.#site.tree.open(components, true)
    for (const length of unnamed) {
      if (named && length === components.length) continue
      noteFolder(this.#ctx.file(FILES.implied), { path: joined(components.slice(0, length)), metadata: null })
    }
    return folder
  }

  #count(item: Item): void {
    const { entry } = item
    const file = entry.kind === 'file'
    const part = this.#ctx.part('archive')
    if (file) part.files++
    if (file) part.bytes += entry.size
    this.#ctx.count({
      entries: 1,
      files: file ? 1 : 0,
      bytesRead: entry.stored,
      bytesWritten: file ? entry.size : 0,
    })
  }
}

const SLASH = Buffer.from('/')

export function joined(components: readonly Buffer[]): Buffer {
  return Buffer.concat(components.flatMap((name, i) => (i === 0 ? [name] : [SLASH, name])))
}
