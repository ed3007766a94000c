import type { StageContext } from '../../../engine/stage.ts'
import { faultOf, type Fault } from '../report.ts'
import type { OpenArchive, Parts } from '../../parts.ts'
import { sayNotKept, sayStripped } from '../apply-metadata.ts'
import { readSmall, type Content } from '../contents.ts'
import { judgeLink } from '../links.ts'
import { metadataRules, type MetadataRules } from '../metadata.ts'
import type { ManifestEntry } from '../../../archive/manifest.ts'
import type { Item } from '../plan.ts'
import { restoreSpec } from '../slots.ts'
import { allowedAttributes } from '../xattrs.ts'
import { FolderSet } from './folder-set.ts'
import { Outlook } from './outlook.ts'
import { note, previewSlot, type PreviewSlot } from './slot.ts'

/** Decides about each entry as the restore would, by the same rules, and changes nothing but the slot. */
export class Judge implements Disposable {
  readonly #ctx: StageContext
  readonly #parts: Parts
  readonly #archive: OpenArchive
  readonly #slot: PreviewSlot
  readonly #folders: FolderSet
  readonly #outlook: Outlook
  readonly #rules: MetadataRules

  constructor(ctx: StageContext, parts: Parts, archive: OpenArchive) {
    this.#ctx = ctx
    this.#parts = parts
    this.#archive = archive
    this.#slot = previewSlot(ctx)
    this.#folders = ctx.keep('preview-folders', () => new FolderSet(ctx))
    this.#outlook = new Outlook(ctx, archive)
    this.#rules = metadataRules(restoreSpec(ctx), parts.root)
  }

  /** Of contents only the targets of links are read. */
  async judge(items: readonly Item[]): Promise<void> {
    const links = items.filter((item) => item.wanted && item.fault === null && item.entry.kind === 'symlink')
    const targets = await readSmall(this.#archive, this.#parts.codec(), links)
    const contents = new Map(links.map((item, i) => [item, targets[i]]))
    for (const item of items) this.#one(item, contents.get(item))
  }

  /** What the manifest lists and the archive lacks. */
  missing(line: ManifestEntry): void {
    const message = 'the manifest lists it, and the archive does not hold it'
    note(this.#ctx, 'damaged', line.path, { kind: 'damaged', message })
  }

  #one(item: Item, content: Content | undefined): void {
    const { entry } = item
    for (const line of item.missing) this.missing(line)
    if (!item.wanted) return
    if (item.fault === null) this.#metadata(item)
    const fault = item.fault ?? this.#refusal(item, content)
    if (fault !== null) return note(this.#ctx, fault.kind === 'damaged' ? 'damaged' : 'refused', entry.path, fault)
    const seen = this.#outlook.look(item)
    if (typeof seen === 'object') return note(this.#ctx, 'conflicts', entry.path, seen)
    if (seen === 'replaces') note(this.#ctx, 'replaced', entry.path)
    this.#count(item)
  }

  /** Why it is not restored, whatever is at the target. */
  #refusal({ entry, components }: Item, content: Content | undefined): Fault | null {
    if (entry.kind === 'dir') return null
    if (content !== undefined && 'fault' in content) return content.fault
    if (!this.#slot.many && this.#folders.has(components)) {
      return { kind: 'refused', message: 'the archive holds things below it, as if it were a folder' }
    }
    if (content === undefined) return null
    try {
      judgeLink(this.#linkRules(), components.slice(0, -1), content.bytes)
      return null
    } catch (error) {
      return faultOf(error)
    }
  }

  #linkRules(): Parameters<typeof judgeLink>[0] {
    const { target, outsideLinks } = restoreSpec(this.#ctx)
    const isFolder = (components: readonly Buffer[]): boolean => {
      const now = this.#outlook.folder(components)
      return now === 'there' || (now === 'missing' && (this.#slot.many || this.#folders.has(components)))
    }
    return { root: Buffer.from(target), isFolder, outsideToo: outsideLinks }
  }

  #metadata(item: Item): void {
    if (sayStripped(this.#ctx, item, this.#rules)) this.#slot.special++
    if (item.entry.kind === 'symlink') return
    if (Object.keys(allowedAttributes(item.line?.xattrs, this.#rules)).length === 0) return
    this.#slot.attributed++
    if (this.#parts.setfattr === null) sayNotKept(this.#ctx, this.#slot.said)
  }

  #count({ entry: { kind, size } }: Item): void {
    const file = kind === 'file'
    this.#slot[file ? 'files' : kind === 'dir' ? 'folders' : 'links']++
    this.#ctx.count({ entries: 1, files: file ? 1 : 0 })
    if (!file) return
    this.#slot.bytes += size
    const part = this.#ctx.part('archive')
    part.files++
    part.bytes += size
  }

  [Symbol.dispose](): void {
    this.#outlook[Symbol.dispose]()
  }
}
