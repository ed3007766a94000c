import fs from 'node:fs'
import { identityOf, readCatalogue, type Catalogue } from './catalogue.ts'
import { Damage } from './content.ts'
import { Crew } from './crew.ts'
import { Databases } from './databases.ts'
import { Entries, isWanted, type Grouped } from './entries.ts'
import type { Item } from './entry.ts'
import { faultIn, Faults } from './faults.ts'
import { Folders, leadsOut, linkTarget, makeLink, makeName } from './finish.ts'
import type { Options } from './options.ts'
import { partsOf } from './part-names.ts'
import { Fatal, Joined } from './parts.ts'
import { Placer, Tree, type Task } from './target.ts'
import { claim, passing, settle, type Work } from './work-folder.ts'

/** Files, and their bytes as stored, that are handed to a thread together. */
const BATCH_FILES = 64
const BATCH_BYTES = 1 << 20
/** Files with several names that are remembered by their first one; beyond them names become copies. */
const FIRST_NAMES = 50_000
/** What packs better than this is zeros, which come back as holes. */
const RATIO = 100

export interface Report {
  readonly files: number
  readonly bytes: number
  readonly faults: Faults
  readonly notes: readonly string[]
}

/** One restore, or one check, from the first byte to the last. */
export class Run {
  readonly #options: Options
  readonly #archive: Joined
  readonly #faults = new Faults()
  /** By group: the name under which the file is in place, and its digest. */
  readonly #firsts = new Map<string, { name: string; digest: string }>()
  readonly #say: (done: number) => void
  readonly #databases = new Databases()
  #files = 0
  #bytes = 0
  /** Whether there was any among what is wanted. */
  #folders = false

  /** `say` is told how much of the archive has been handed out, 0 to 1. */
  constructor(options: Options, say: (done: number) => void) {
    this.#options = options
    this.#archive = new Joined(partsOf(options.archive))
    this.#say = say
  }

  async run(): Promise<Report> {
    const { target } = this.#options
    const work = target === null ? passing() : claim(target, identityOf(this.#archive))
    const catalogue = await this.#open(work)
    for (const name of catalogue.missing) this.#faults.add(Buffer.from(name), 'it is missing, and proves the others')
    const entries = new Entries(this.#archive, this.#options, catalogue)
    const crew = new Crew({ files: this.#archive.files, target, resumed: work.resumed }, this.#faults)
    try {
      for await (const tasks of this.#batches(entries)) await crew.give(tasks)
    } finally {
      await crew.finish()
    }
    if (target !== null) {
      await this.#finish(entries, target, work.resumed)
      settle(target, work)
    }
    const nothing = this.#options.chosen && this.#files === 0 && !this.#folders && this.#faults.count === 0
    const notes = notesOf(catalogue, entries, nothing)
    if (target !== null) notes.push(...this.#databases.notes(new Tree(target, false), target))
    return { files: this.#files, bytes: this.#bytes, faults: this.#faults, notes }
  }

  /** An archive that cannot be read leaves the target free for one that can. */
  async #open(work: Work): Promise<Catalogue> {
    const { target } = this.#options
    try {
      let needed = 0
      const catalogue = await readCatalogue(this.#archive, work.folder, (item) => (needed += this.#room(item)))
      if (target !== null && !work.resumed) checkRoom(target, needed)
      return catalogue
    } catch (error) {
      if (!work.resumed && error instanceof Fatal) fs.rmSync(work.folder, { recursive: true, force: true })
      throw error
    }
  }

  #room({ kind, name, size, stored }: Item): number {
    return kind === 'file' && isWanted(this.#options, name) ? Math.min(size, stored * RATIO) : 0
  }

  async *#batches(entries: Entries): AsyncGenerator<Task[], void, undefined> {
    let tasks: Task[] = []
    let bytes = 0
    for (const task of this.#tasks(entries)) {
      this.#say(task.item.offset / this.#archive.size)
      tasks.push(task)
      bytes += task.item.stored
      if (tasks.length < BATCH_FILES && bytes < BATCH_BYTES) continue
      yield tasks
      tasks = []
      bytes = 0
    }
    if (tasks.length > 0) yield tasks
  }

  /** What a thread is to deal with; links and further names come at the end, unless all is only looked at. */
  *#tasks(entries: Entries): Generator<Task, void, undefined> {
    for (const task of entries.all(this.#faults)) {
      const { item } = task
      this.#folders ||= item.kind === 'dir'
      if (item.kind === 'dir') continue
      this.#files++
      this.#databases.note(item.name)
      this.#bytes += item.size
      if (this.#options.target === null || (item.kind === 'file' && this.#firstOf(task) === null)) yield task
    }
  }

  /** The name that the file has already; null if this is the first, or the only one. */
  #firstOf({ group, digest, item }: Grouped): Buffer | null {
    if (group === null || digest === null) return null
    const name = item.name.toString('latin1')
    const first = this.#firsts.get(group)
    if (first === undefined && this.#firsts.size < FIRST_NAMES) this.#firsts.set(group, { name, digest })
    return first === undefined || first.digest !== digest || first.name === name
      ? null
      : Buffer.from(first.name, 'latin1')
  }

  async #finish(entries: Entries, target: string, resumed: boolean): Promise<void> {
    const tree = new Tree(target, resumed)
    const placer = new Placer(this.#archive, target, 2, resumed)
    for (const task of entries.all(null)) await this.#attempt(task, () => this.#place(task, tree, placer))
    // Only now: whatever is made in a folder gives it another time. With a tree that changes no mode any more.
    const folders = new Folders(new Tree(target, false))
    for (const task of entries.all(null)) {
      if (task.item.kind === 'dir') await this.#attempt(task, () => folders.finish(task))
    }
    for (const task of folders.later) await this.#attempt(task, () => folders.apply(task))
  }

  async #place(task: Grouped, tree: Tree, placer: Placer): Promise<void> {
    const { kind, name } = task.item
    if (kind === 'dir') return tree.folder(name)
    if (kind === 'file') {
      const first = this.#firstOf(task)
      if (first !== null && !makeName(tree, first, name)) await placer.place(task)
      return
    }
    const to = await linkTarget(this.#archive, task)
    if (!this.#options.outsideLinks && leadsOut(name, to)) {
      throw new Damage('it is a link that leads out of the target (--outside-links allows it)')
    }
    makeLink(tree, task, to)
  }

  async #attempt({ item }: Task, work: () => void | Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const why = faultIn(error)
      if (why === null) throw error
      this.#faults.add(item.name, why)
    }
  }
}

function checkRoom(target: string, bytes: number): void {
  const { bavail, bsize } = fs.statfsSync(target)
  if (bytes > bavail * bsize) {
    throw new Fatal(`${target} has room for ${bavail * bsize} bytes; the files need ${bytes}`)
  }
}

function notesOf({ manifest }: Catalogue, { xattrs }: Entries, nothing: boolean): string[] {
  const notes: string[] = []
  if (nothing) notes.push('nothing in the archive matches --only; its names begin with those of the folders backed up')
  if (manifest === null) notes.push('the archive holds no manifest: contents are compared with their CRC at most')
  if (xattrs > 0) notes.push(`extended attributes of ${xattrs} entries were not restored: ratchet restore does`)
  return notes
}
