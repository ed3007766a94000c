import type { StageContext } from '../../engine/stage.ts'
import { sayStripped } from './apply-metadata.ts'
import { type Folder } from './handles.ts'
import { noteFolder, noteLink, noteName, type FolderNote, type LinkNote } from './lists.ts'
import type { MetadataRules } from './metadata.ts'
import type { Item } from './plan.ts'
import { filesOf, mayReplaceFile } from './present.ts'
import { faultOf, report, type Fault } from './report.ts'
import type { Site } from './site.ts'
import { FILES, restoreSpec, type ExtractSlot } from './slots.ts'

/** What is to be done about an entry once everything before it is durable. */
export type Action =
  | { readonly kind: 'file'; readonly item: Item; readonly name: string | null }
  | { readonly kind: 'folder'; readonly item: Item; readonly note: FolderNote }
  | { readonly kind: 'link'; readonly item: Item; readonly note: LinkNote }
  | { readonly kind: 'fault'; readonly path: Buffer; readonly fault: Fault }

/** Gives restored files their names, and makes the folders they lie in. */
export class Placer {
  readonly #ctx: StageContext
  readonly #site: Site
  readonly #slot: ExtractSlot
  readonly #rules: MetadataRules
  readonly #ownFiles: ReadonlySet<string>

  constructor(ctx: StageContext, site: Site, slot: ExtractSlot, rules: MetadataRules) {
    this.#ctx = ctx
    this.#site = site
    this.#slot = slot
    this.#rules = rules
    this.#ownFiles = filesOf(site.archive)
  }

  /** What goes wrong with one entry is reported, and the others go on. */
  do(action: Action): void {
    if (action.kind === 'fault') {
      report(this.#ctx, this.#slot, action.path, action.fault)
      return
    }
    // Here and not where it is unpacked: a safe point between the two would have it said twice.
    if (action.item.wanted) sayStripped(this.#ctx, action.item, this.#rules)
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
    if (name === null) return this.#site.tree.changed(folder) // by whoever was killed, perhaps before its sync
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
