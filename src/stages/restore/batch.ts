import type { StageContext } from '../../engine/stage.ts'
import { writeFully } from '../../lib/disk.ts'
import { release } from '../../lib/release.ts'
import type { Parts } from '../parts.ts'
import { Flight } from './flight.ts'
import { reachable } from './handles.ts'
import type { FolderNote, LinkNote } from './lists.ts'
import type { Metadata } from './metadata.ts'
import type { Item } from './plan.ts'
import type { Action, Placer } from './placer.ts'
import type { Fault } from './report.ts'
import type { Site } from './site.ts'
import type { ExtractSlot } from './slots.ts'
import { writeSparse } from './sparse.ts'
import { applyMetadata, sayNotKept } from './apply-metadata.ts'
import { setAttributes, type Attributed } from './xattrs.ts'

/** Content handed over; `owned`: nothing else lies in its memory. */
type Given = { readonly bytes: Buffer; readonly owned: boolean }

/** A file in the staging folder, with an open handle. */
export interface Staged {
  readonly name: string
  readonly fd: number
  /** A sync under way, which has to end before the handle is closed: an error it meets is told to nobody else. */
  readonly before?: Promise<void>
}

/** A staged file whose bytes are on their way to the disk. */
interface Pending {
  readonly fd: number
  readonly before: Promise<void> | null
  /** Null until its sync has begun. */
  done: Promise<void> | null
}

/** Files that wait with open handles, for their bytes, their attributes or their sync: from then on the batch is due. */
const READY = 400
/** Changed folders that wait with open handles for their sync. */
const FOLDERS = 128
/** From so many files on, all that waits on the file system is written back at once before each of them is synced. */
const TOGETHER = 32
/** Files from this size on are written in the background, and looked through for runs of zeros. Bytes. */
const LARGE_FROM = 64 << 10
/** How much may be under way when more is unpacked. Bytes. */
const IN_FLIGHT = 4 << 20

/**
 * What has been unpacked between two safe points. Nothing of it has its name yet: `launch` makes all of it
 * durable and only then renames, in the archive's order (R27, R29), while the next batch is being filled; `landed`
 * waits for that. Doing a batch again after a kill gives the same names the same content.
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
  readonly #placer: Placer
  /** Complete files whose sync has not begun. */
  readonly #ready: Pending[] = []
  #failure: unknown = null
  #bytes = 0
  #placing: Promise<void> | null = null
  #arrived = false
  /** The last entry that has been dealt with, by this batch or one before it. */
  last: Item | null = null

  constructor(ctx: StageContext, parts: Parts, site: Site, slot: ExtractSlot, placer: Placer) {
    this.#ctx = ctx
    this.#parts = parts
    this.#site = site
    this.#slot = slot
    this.#placer = placer
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
      const pending = this.#take(item, { name, fd })
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
    this.staged(item, { name, fd }, metadata, xattrs)
  }

  /** Takes over a complete file in the staging folder; its handle is closed here, after `staged.before`. */
  staged(item: Item, staged: Staged, metadata: Metadata, xattrs: Record<string, string>): void {
    this.#complete(this.#take(item, staged), staged.name, metadata, xattrs)
  }

  /** A file that has its name already: an earlier process was killed after the rename. */
  placed(item: Item): void {
    this.#actions.push({ kind: 'file', item, name: null })
  }

  /** Everything has its name, or why it has none is known to `landed`. */
  get arrived(): boolean {
    return this.#arrived
  }

  /** Begins to give everything its name, in order, once all of it is durable. Nothing is added from now on. */
  launch(): void {
    this.#placing ??= this.#place()
      .catch((error: unknown) => {
        this.#failure ??= error
      })
      .finally(() => {
        this.#arrived = true
      })
  }

  /** Waits until all that was launched has its name. Throws what failed. */
  async landed(): Promise<void> {
    await this.#placing
    if (this.#failure !== null) throw this.#failure
  }

  async #place(): Promise<void> {
    await this.#flight.landed()
    this.#setAttributes()
    if (this.#ready.length >= TOGETHER) await this.#parts.flush?.(reachable(this.#site.staging.folder))
    for (const pending of this.#ready.splice(0)) this.#sync(pending)
    await this.#settled()
    if (this.#failure !== null) throw this.#failure
    for (let action = this.#actions.shift(); action !== undefined; action = this.#actions.shift()) {
      this.#placer.do(action)
      if (this.#site.tree.dirty >= FOLDERS) await this.#site.tree.sync()
    }
    await this.#site.tree.sync()
  }

  /** Removes what has not been placed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#placing
    await this.#flight.ended()
    this.#ready.length = 0
    for (const pending of [...this.#pending]) {
      await Promise.allSettled([pending.before])
      if (pending.done === null) this.#close(pending)
    }
    await this.#settled()
    for (const action of this.#actions) {
      if (action.kind !== 'file' || action.name === null || action.name === this.#slot.open?.name) continue
      this.#site.staging.remove(action.name)
    }
    this.#actions.length = 0
  }

  #take(item: Item, { name, fd, before }: Staged): Pending {
    const pending: Pending = { fd, before: before ?? null, done: null }
    this.#actions.push({ kind: 'file', item, name })
    this.#bytes += item.entry.size
    this.#pending.add(pending)
    return pending
  }

  /** Writes in the background; `then` follows on the complete file. What fails is thrown by `room` or `landed`. */
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

  /** Never rejects: a file whose sync failed is not placed, since `landed` then throws what is kept here. */
  async #syncAndClose(pending: Pending): Promise<void> {
    try {
      await pending.before
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
}
