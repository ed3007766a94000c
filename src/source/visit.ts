import type { FileKind, FileStat } from '../lib/disk.ts'
import { WalkEntry } from './entry.ts'
import { databaseOf, isDatabase, isDatabaseAt } from './databases.ts'
import { joinAccess, type Folder } from './folders.ts'
import { fitsMark, type Phase } from './mark.ts'
import { causeOf, omission, type Cause } from './omit.ts'
import type { Root } from './root.ts'
import type { Entry, Omission } from './source.ts'
import type { Frame, Stack } from './stack.ts'
import type { WalkContext } from './walk.ts'

const OWN: Cause = { reason: 'own_place', message: 'belongs to the backup itself' }
const ELSEWHERE: Cause = { reason: 'other_file_system', message: 'lies on another file system' }
const LOOP: Cause = { reason: 'loop', message: 'leads back to a folder above it' }
const TOO_LONG: Cause = { reason: 'path_too_long', message: 'its path is too long; nothing below it was looked at' }
const SIDE_FILE: Cause = { reason: 'database_side_file', message: 'belongs to a database, whose copy needs it no more' }
const LIVE: Cause = { reason: 'live_database', message: 'a database in use was copied as a file and may not open' }
/** Of `-shm`: it holds nothing that cannot be made again. */
const INDEX_ENDING = 'm'.charCodeAt(0)
const SPECIAL: Partial<Record<FileKind, string>> = {
  fifo: 'named pipe',
  socket: 'socket',
  char: 'character device',
  block: 'block device',
}

/** What is to be done about a name. */
export interface Visit {
  readonly item: WalkEntry | Omission
  /** Something to say before the item. */
  readonly note?: Omission
  /** The folder to go into next. It is not open yet: its handle will be proven against this identity. */
  readonly enter?: Folder
}

/** Looks at one name at a time and decides: taken, left out with a reason, or not selected (null). */
export class Visitor {
  readonly #ctx: WalkContext
  readonly #stack: Stack
  readonly #root: Root

  constructor(ctx: WalkContext, stack: Stack, root: Root) {
    this.#ctx = ctx
    this.#stack = stack
    this.#root = root
  }

  /** The source itself. */
  root(): Visit {
    const { real, stat, folder } = this.#root
    const path = this.#stack.path
    if (this.#isOwn(stat)) return { item: this.omit(path, OWN, true) }
    const kind = folder === null ? 'file' : 'dir'
    const item = this.#entry(kind, path, stat, real, folder === null ? 'done' : 'inside')
    if (folder === null) this.#copied(item, real)
    return folder === null ? { item } : { item, enter: folder }
  }

  visit(frame: Frame, name: Buffer): Visit | null {
    const path = this.#stack.child(name)
    const below = this.below(path)
    if (!fitsMark(below)) return { item: this.omit(path, TOO_LONG) }
    let quick: Buffer
    let stat: FileStat
    try {
      quick = this.#ctx.folders.quick(frame.folder, name)
      stat = this.#ctx.disk.lstat(quick)
    } catch (error) {
      // Its kind will never be known: it is passed over only if neither rule would have it.
      const { filter } = this.#ctx
      const wanted = filter.folder(below) !== 'skip' && filter.file(below, null, frame.included)
      if (!wanted) return null
      // Journals of databases in use come and go with each transaction.
      if (this.#isBesideDatabase(frame, name)) return { item: this.omit(path, SIDE_FILE, true) }
      return { item: this.omit(path, causeOf(error)) }
    }
    if (stat.kind === 'dir') return this.#folder(frame, name, path, below, stat, null)
    if (stat.kind === 'symlink') return this.#link(frame, name, quick, path, below, stat)
    return this.#file(frame, name, path, below, stat)
  }

  /** `path` without the label. */
  below(path: Buffer): Buffer {
    return path.subarray(this.#ctx.label.length + 1)
  }

  omit(path: Buffer, cause: Cause, quiet = false, phase: Phase = 'done'): Omission {
    return omission(path, this.below(path), cause, phase, quiet)
  }

  /** Whether a folder is not to be entered because it lies on another file system. */
  isElsewhere(folder: { readonly dev: bigint }): boolean {
    // Of folders only: overlay file systems show files under other devices than their folders.
    return this.#ctx.spec.oneFileSystem !== false && folder.dev !== this.#root.stat.dev
  }

  #file(frame: Frame, name: Buffer, path: Buffer, below: Buffer, stat: FileStat): Visit | null {
    const special = SPECIAL[stat.kind]
    const { filter } = this.#ctx
    if (!filter.file(below, special === undefined ? stat : null, frame.included)) return null
    if (this.#isOwn(stat)) return { item: this.omit(path, OWN, true) }
    if (special !== undefined) {
      return { item: this.omit(path, { reason: 'special', message: `is a ${special} and has no content to keep` }) }
    }
    const item = this.#entry('file', path, stat, frame.folder, 'done')
    const database = databaseOf(name)
    if (database !== null && isDatabase(this.#ctx, frame.folder, database)) {
      return this.#sideFile(item, database, below)
    }
    const { databases } = this.#ctx
    if (databases !== null && isDatabase(this.#ctx, frame.folder, name, stat)) {
      const file = joinAccess(frame.folder.access, name)
      item.prepare = () => databases.copy(item, file)
    }
    return { item }
  }

  #isBesideDatabase(frame: Frame, name: Buffer): boolean {
    const database = this.#ctx.databases === null ? null : databaseOf(name)
    return database !== null && isDatabase(this.#ctx, frame.folder, database)
  }

  /** What lies beside a database: its content is in the copy, if there is one. Where databases are files like any other, a warning. */
  #sideFile(item: WalkEntry, database: Buffer, below: Buffer): Visit {
    const { databases } = this.#ctx
    const path = this.#stack.child(database)
    if (databases !== null) {
      // Not before its turn: what became of the database is not known until then.
      item.instead = () => (databases.isFile(path) ? null : this.omit(item.path, SIDE_FILE, true))
      return { item }
    }
    if (item.stat.size === 0 || item.path.at(-1) === INDEX_ENDING) return { item }
    return { item, note: omission(path, below, LIVE, 'before') }
  }

  #copied(item: WalkEntry, file: Buffer): void {
    const { databases, disk } = this.#ctx
    if (databases !== null && isDatabaseAt(disk, file, item.stat)) item.prepare = () => databases.copy(item, file)
  }

  /** `real`: the folder that a followed link leads to. */
  #folder(frame: Frame, name: Buffer, path: Buffer, below: Buffer, stat: FileStat, real: Buffer | null): Visit | null {
    const verdict = this.#ctx.filter.folder(below)
    if (verdict === 'skip') return null
    if (this.#isOwn(stat)) return { item: this.omit(path, OWN, true) }
    if (this.isElsewhere(stat)) return { item: this.omit(path, ELSEWHERE, true) }
    if (this.#stack.loops(stat)) return { item: this.omit(path, LOOP) }
    const item = this.#entry('dir', path, stat, real ?? frame.folder, verdict === 'empty' ? 'done' : 'inside')
    if (verdict === 'empty') return { item }
    const access = real ?? joinAccess(frame.folder.access, name)
    const { dev, ino } = stat
    return { item, enter: { parent: frame.folder, name, access, anchored: real !== null, dev, ino } }
  }

  #link(frame: Frame, name: Buffer, quick: Buffer, path: Buffer, below: Buffer, stat: FileStat): Visit | null {
    const { follow, filter, disk } = this.#ctx
    const target = follow?.target(quick) ?? null
    if (target?.stat.kind === 'dir') {
      if (follow?.holds(target.real, this.#root.real)) return { item: this.omit(path, LOOP) }
      return this.#folder(frame, name, path, below, target.stat, target.real)
    }
    const file = target?.stat.kind === 'file' ? target.stat : null
    if (!filter.file(below, file, frame.included)) return null
    if (this.#isOwn(file ?? stat)) return { item: this.omit(path, OWN, true) }
    if (target !== null && file !== null) {
      const item = this.#entry('file', path, file, target.real, 'done')
      this.#copied(item, target.real)
      return { item }
    }
    try {
      return { item: this.#entry('symlink', path, stat, frame.folder, 'done', disk.readlink(quick)) }
    } catch (error) {
      return { item: this.omit(path, causeOf(error)) }
    }
  }

  #isOwn(stat: FileStat): boolean {
    return this.#ctx.own.some((place) => place.ino === stat.ino && place.dev === stat.dev)
  }

  #entry(
    kind: Entry['kind'],
    path: Buffer,
    stat: FileStat,
    place: Folder | Buffer,
    phase: Phase,
    link?: Buffer,
  ): WalkEntry {
    const { disk, folders, label } = this.#ctx
    const parts = { kind, path, label: label.length, stat, phase, place }
    return new WalkEntry(disk, folders, link === undefined ? parts : { ...parts, link })
  }
}
