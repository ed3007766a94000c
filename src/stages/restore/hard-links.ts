import type { AppendFile } from '../../lib/append-file.ts'
import { errnoOf } from '../../lib/errors.ts'
import type { StageContext } from '../../engine/stage.ts'
import type { TargetTree } from './handles.ts'
import { asHard, forwards, type HardNote } from './lists.ts'
import { split } from './plan.ts'
import type { FinishSlot } from './slots.ts'
import type { Staging } from './staging.ts'

/** Files with several names that are remembered by their first one; beyond them names stay copies. About 30 MB. */
const MOST = 100_000
const STAGED = 'hard'
/** What file systems answer that know no second names, or no more of them, or not across their borders. */
const NONE: ReadonlySet<string> = new Set(['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EXDEV', 'EINVAL'])

/**
 * Makes the names of one file one file again. Each was restored as a copy, proven by the same digest; a copy is
 * replaced by a link to the first of them, in one rename. Doing it again finds it done.
 */
export class HardLinks {
  readonly #ctx: StageContext
  readonly #tree: TargetTree
  readonly #staging: Staging
  readonly #slot: FinishSlot
  readonly #firsts = new Map<string, Buffer>()

  constructor(ctx: StageContext, tree: TargetTree, staging: Staging, slot: FinishSlot) {
    this.#ctx = ctx
    this.#tree = tree
    this.#staging = staging
    this.#slot = slot
  }

  /** The first names that lie before `end` in the list: what an earlier step knew. */
  learn(list: AppendFile, end: number): void {
    if (end === 0) return
    for (const { raw, next } of forwards(list, 0)) {
      this.#first(asHard(raw))
      if (next >= end) return
    }
  }

  join(note: HardNote): void {
    const first = this.#first(note)
    if (first === null || first.equals(note.path) || this.#slot.noHardLinks === true) return
    try {
      this.#replace(first, note.path)
    } catch (error) {
      if (!NONE.has(errnoOf(error) ?? '')) throw error
      this.#slot.noHardLinks = true
      this.#ctx.warn(
        'metadata',
        'the file system takes no hard links: files with several names are copies of each other',
      )
    }
  }

  /** The name that the file has already, which is this one if it is the first; null where it is not remembered. */
  #first({ path, file }: HardNote): Buffer | null {
    const known = this.#firsts.get(file)
    if (known !== undefined) return known
    if (this.#firsts.size >= MOST) return null
    this.#firsts.set(file, path)
    return path
  }

  #replace(first: Buffer, name: Buffer): void {
    const { disk } = this.#ctx
    const from = this.#leaf(first)
    const present = disk.lstat(from)
    this.#staging.remove(STAGED)
    const staged = this.#staging.path(STAGED)
    if (present.kind !== 'file') return
    disk.link(from, staged)
    const to = this.#leaf(name)
    const copy = disk.lstat(to)
    // Replaced meanwhile by somebody, or one file already: a rename between two names of one file would do nothing.
    const same = copy.kind === 'file' && copy.size === present.size && copy.mode === present.mode
    if (!same || copy.ino === present.ino || copy.mtimeNs !== present.mtimeNs) return this.#staging.remove(STAGED)
    disk.rename(staged, to)
    this.#tree.changed(this.#tree.open(split(name).slice(0, -1), false).folder)
  }

  #leaf(path: Buffer): Buffer {
    const components = split(path)
    return this.#tree.open(components.slice(0, -1), false).folder.child(components.at(-1) ?? Buffer.alloc(0))
  }
}
