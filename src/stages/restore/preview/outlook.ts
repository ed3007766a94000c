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
  /** What was found missing last: all below it is missing, too. */
  #missing: Gone | null = null
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
      const gone = this.#gone(this.#tree, entry.kind === 'dir' ? components : parent)
      if (gone !== null) return gone.shut ? SHUT : 'new'
      if (entry.kind === 'dir') return 'new' // it is there, and stays
      const { folder } = this.#tree.open(parent, false)
      if (!this.#mayWrite(folder)) return SHUT
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

  /** Null if the folder is there. ENTRY_REFUSED where a link or something else stands in the way. */
  #gone(tree: TargetTree, components: readonly Buffer[]): Gone | null {
    if (this.#missing !== null && startsWith(components, this.#missing.path)) return this.#missing
    if (this.#open(tree, components) !== null) return null
    let depth = components.length - 1
    let above: Folder | null
    while ((above = this.#open(tree, components.slice(0, depth))) === null) depth--
    this.#missing = { path: components.slice(0, depth + 1), shut: !this.#mayWrite(above) }
    return this.#missing
  }

  #open(tree: TargetTree, components: readonly Buffer[]): Folder | null {
    try {
      return tree.open(components, false).folder
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' && components.length > 0) return null
      throw error
    }
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

interface Gone {
  readonly path: readonly Buffer[]
  /** It cannot be made, since this account may not write into the folder above. */
  readonly shut: boolean
}

const startsWith = (path: readonly Buffer[], prefix: readonly Buffer[]): boolean =>
  path.length >= prefix.length && prefix.every((name, i) => path[i]?.equals(name) === true)

const SHUT: Fault = { kind: 'failed', message: 'this account may not write into its folder' }

function isMissing(open: () => unknown): boolean {
  try {
    open()
    return false
  } catch (error) {
    return errnoOf(error) === 'ENOENT'
  }
}
