import type { StageContext } from '../../../engine/stage.ts'
import { errnoOf } from '../../../lib/errors.ts'
import type { OpenArchive } from '../../parts.ts'
import type { Folder, TargetTree } from '../handles.ts'
import { isRealFolder } from '../links.ts'
import type { Item } from '../plan.ts'
import { filesOf, mayReplaceFile, mayReplaceLink } from '../present.ts'
import { faultOf, type Fault } from '../report.ts'
import { openTarget } from '../site.ts'
import { restoreSlot, restoreSpec } from '../slots.ts'

/** What is at the target now, looked at and nothing else. */
export class Outlook implements Disposable {
  readonly #ctx: StageContext
  readonly #own: ReadonlySet<string>
  /** Null: nothing is there (a new target is absent or empty). */
  readonly #tree: TargetTree | null
  /** The folder asked about last. */
  #writable: { readonly folder: Folder; readonly may: boolean } | null = null

  constructor(ctx: StageContext, archive: OpenArchive) {
    this.#ctx = ctx
    this.#own = filesOf(archive)
    const present = restoreSpec(ctx).mode === 'inplace' && restoreSlot(ctx).target !== null
    this.#tree = present ? openTarget(ctx) : null
  }

  /** Whether the entry would be new, take the place of something, or find it in its way. */
  look({ entry, components }: Item): 'new' | 'replaces' | Fault {
    if (this.#tree === null) return 'new'
    const parent = components.slice(0, -1)
    try {
      if (entry.kind === 'dir' && this.#open(this.#tree, components) !== null) return 'new'
      const folder = this.#open(this.#tree, parent)
      if (!this.#mayWrite(folder ?? this.#nearest(this.#tree, parent))) return SHUT
      if (folder === null || entry.kind === 'dir') return 'new'
      const leaf = components.at(-1) ?? Buffer.alloc(0)
      const { disk } = this.#ctx
      const there =
        entry.kind === 'file' ? mayReplaceFile(disk, folder, leaf, this.#own) : mayReplaceLink(disk, folder, leaf)
      return there ? 'replaces' : 'new'
    } catch (error) {
      return faultOf(error)
    }
  }

  /** `missing`: the restore may make it; `other`: something that is no folder is there. */
  folder(components: readonly Buffer[]): 'there' | 'missing' | 'other' {
    if (this.#tree === null) return 'missing'
    if (isRealFolder(this.#tree, components)) return 'there'
    return isMissing(() => this.#tree?.open(components, false)) ? 'missing' : 'other'
  }

  /** Null if it is missing. ENTRY_REFUSED where a link or something else stands in the way. */
  #open(tree: TargetTree, components: readonly Buffer[]): Folder | null {
    try {
      return tree.open(components, false).folder
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
  }

  #nearest(tree: TargetTree, components: readonly Buffer[]): Folder {
    for (let depth = components.length - 1; depth > 0; depth--) {
      const folder = this.#open(tree, components.slice(0, depth))
      if (folder !== null) return folder
    }
    return tree.root
  }

  #mayWrite(folder: Folder): boolean {
    if (this.#writable?.folder !== folder) {
      this.#writable = { folder, may: this.#ctx.disk.writable(folder.child('.')) }
    }
    return this.#writable.may
  }

  [Symbol.dispose](): void {
    this.#tree?.[Symbol.dispose]()
  }
}

const SHUT: Fault = { kind: 'failed', message: 'this account may not write into its folder' }

function isMissing(open: () => unknown): boolean {
  try {
    open()
    return false
  } catch (error) {
    return errnoOf(error) === 'ENOENT'
  }
}
