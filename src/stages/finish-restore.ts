import type { AppendFile } from '../lib/append-file.ts'
import { errnoOf } from '../lib/errors.ts'
import type { Stage, StageContext, StageFactory, Steps } from '../engine/stage.ts'
import { moveStaging } from './extract.ts'
import type { Parts } from './parts.ts'
import { applyMetadata, sayNotKept } from './restore/apply-metadata.ts'
import { reachable, syncHandle, type TargetTree, UNNAMED } from './restore/handles.ts'
import { HardLinks } from './restore/hard-links.ts'
import { placeLink } from './restore/links.ts'
import {
  asFolder,
  asHard,
  asLink,
  backwards,
  type FolderNote,
  forwards,
  type ListLine,
  noteFolder,
} from './restore/lists.ts'
import { split } from './restore/plan.ts'
import { type Fault, faultOf, report } from './restore/report.ts'
import { openTarget } from './restore/site.ts'
import { openStaging, sweepStaging } from './restore/staging.ts'
import { extractSlot, FILES, restoreSlot, type FinishSlot } from './restore/slots.ts'
import { setAttributes } from './restore/xattrs.ts'

/** Somebody removed it meanwhile: that concerns this one thing. */
function gone(error: unknown): Fault | null {
  return errnoOf(error) === 'ENOENT' ? { kind: 'failed', message: 'it is no longer there' } : null
}

/** Mode of a folder on the way to something restored, which itself has no entry. */
const IMPLIED = 0o755
/** Lines worked on between two safe points. */
const LINES = 64

/** Further names of files, links, then modes and times of folders (deepest first where they shut others in), then no trace of the work. */
export const finishRestoreStage: StageFactory<Parts> = (parts): Stage => ({
  name: 'finish-restore',
  domain: 'restore',
  weight: () => 6,
  async *run(ctx): Steps {
    const slot = ctx.slot<FinishSlot>('finish', () => ({ phase: 'hard', at: 0, depth: 0 }))
    if (slot.phase !== 'clean') yield* moveStaging(ctx)
    const tree = openTarget(ctx)
    try {
      yield* new Finish(ctx, parts, tree, slot).run()
    } finally {
      tree[Symbol.dispose]()
    }
  },
})

class Finish {
  readonly #ctx: StageContext
  readonly #parts: Parts
  readonly #tree: TargetTree
  readonly #slot: FinishSlot

  constructor(ctx: StageContext, parts: Parts, tree: TargetTree, slot: FinishSlot) {
    this.#ctx = ctx
    this.#parts = parts
    this.#tree = tree
    this.#slot = slot
  }

  async *run(): Steps {
    const slot = this.#slot
    if (slot.phase === 'hard') {
      yield* this.#hard()
      yield* this.#next('links', 0)
    }
    if (slot.phase === 'links') {
      yield* this.#links()
      yield* this.#next('implied', 0)
    }
    if (slot.phase === 'implied') {
      yield* this.#each(forwards(this.#file('implied'), slot.at), (line) => this.#implied(asFolder(line.raw)))
      yield* this.#next('folders', this.#file('folders').length)
    }
    if (slot.phase === 'folders') {
      yield* this.#each(backwards(this.#file('folders'), slot.at), (line) => this.#folder(asFolder(line.raw)))
      yield* this.#next('narrow', 0)
    }
    if (slot.phase === 'narrow') {
      yield* this.#narrow()
      // What is removed next must be needed by no record any more (law 6).
      yield* this.#next('clean', 0, true)
    }
    await this.#clean()
  }

  #file(name: 'hard' | 'links' | 'implied' | 'folders' | 'narrow'): AppendFile {
    return this.#ctx.file(FILES[name])
  }

  async *#next(phase: FinishSlot['phase'], at: number, durable = false): Steps {
    this.#slot.phase = phase
    this.#slot.at = at
    yield { step: 'finishing', ...(durable ? { durable: true } : {}) }
  }

  async *#hard(): Steps {
    const file = this.#file('hard')
    const staging = openStaging(this.#ctx, this.#tree.root, restoreSlot(this.#ctx))
    try {
      const names = new HardLinks(this.#ctx, this.#tree, staging, this.#slot)
      names.learn(file, this.#slot.at)
      yield* this.#each(forwards(file, this.#slot.at), (line) => names.join(asHard(line.raw)))
    } finally {
      staging[Symbol.dispose]()
    }
  }

  async *#links(): Steps {
    const staging = openStaging(this.#ctx, this.#tree.root, restoreSlot(this.#ctx))
    try {
      yield* this.#each(forwards(this.#file('links'), this.#slot.at), (line) => {
        placeLink(this.#ctx, this.#tree, staging, asLink(line.raw))
      })
    } finally {
      staging[Symbol.dispose]()
    }
  }

  /** Does each line, names what fails, and makes a safe point now and then. */
  async *#each(lines: Iterable<ListLine>, work: (line: ListLine) => void): Steps {
    let since = 0
    for (const line of lines) {
      try {
        work(line)
      } catch (error) {
        report(this.#ctx, extractSlot(this.#ctx), asFolder(line.raw).path, gone(error) ?? faultOf(error))
      }
      this.#slot.at = line.next
      if (++since < LINES && !this.#ctx.closing) continue
      since = 0
      await this.#tree.sync()
      yield { step: 'finishing' }
    }
    await this.#tree.sync()
  }

  #implied({ path }: FolderNote): void {
    const { folder } = this.#tree.open(split(path), false)
    if ((this.#ctx.disk.fstat(folder.fd).mode & 0o7777) !== UNNAMED) return
    this.#ctx.disk.fchmod(folder.fd, IMPLIED)
    this.#tree.changed(folder)
  }

  /** A mode without the owner's own rights would shut us out of what lies below: such folders come last. */
  #folder(note: FolderNote): void {
    const mode = note.metadata?.mode ?? IMPLIED
    if ((mode & 0o700) !== 0o700) {
      this.#slot.depth = Math.max(this.#slot.depth, split(note.path).length)
      noteFolder(this.#file('narrow'), note)
      return
    }
    this.#apply(note)
  }

  async *#narrow(): Steps {
    for (; this.#slot.depth > 0; this.#slot.depth--, this.#slot.at = 0) {
      const { depth } = this.#slot
      yield* this.#each(forwards(this.#file('narrow'), this.#slot.at), (line) => {
        const note = asFolder(line.raw)
        if (split(note.path).length === depth) this.#apply(note)
      })
    }
  }

  #apply(note: FolderNote): void {
    const folder = this.#open(note)
    if (folder === null || note.metadata === null) return
    if (note.xattrs !== undefined) {
      const set = setAttributes(this.#parts, '/', [{ file: reachable(folder), xattrs: note.xattrs }])
      if (!set) sayNotKept(this.#ctx, extractSlot(this.#ctx))
    }
    applyMetadata(this.#ctx, folder.fd, note.metadata)
    this.#tree.changed(folder)
  }

  #open(note: FolderNote): ReturnType<TargetTree['open']>['folder'] | null {
    try {
      return this.#tree.open(split(note.path), false).folder
    } catch (error) {
      if (note.ifThere === true && errnoOf(error) === 'ENOENT') return null
      throw error
    }
  }

  async #clean(): Promise<void> {
    const { root } = this.#tree
    sweepStaging(this.#ctx.disk, root.child('.').toString('utf8'), this.#ctx.job.id)
    await syncHandle(this.#ctx.disk, root.fd)
    for (const key of ['content', 'repeats', 'archive']) this.#ctx.forget(key)
    for (const name of ['hard', 'links', 'implied', 'folders', 'narrow', 'manifest', 'repeats'] as const) {
      if (FILES[name] in this.#ctx.job.files) this.#ctx.drop(FILES[name])
    }
    this.#ctx.part('archive').status = 'completed'
  }
}
