import type { DirectorySource } from '../engine/spec.ts'
import type { Filter } from '../lib/filter.ts'
import type { WalkEntry } from './entry.ts'
import type { DatabaseCopier } from './databases.ts'
import type { Folder } from './folders.ts'
import type { Follow } from './follow.ts'
import { list, NOTHING, type Listing, type ListingContext } from './listing.ts'
import { encodeMark, type Position } from './mark.ts'
import type { Name } from './name-list.ts'
import { causeOf, type Cause } from './omit.ts'
import { findRoot, type Root } from './root.ts'
import type { Omission, Pause } from './source.ts'
import { Stack, type Frame } from './stack.ts'
import { Visitor } from './visit.ts'

/** Something the engine owns: never part of a backup. */
export interface Place {
  readonly dev: bigint
  readonly ino: bigint
}

export interface WalkContext extends ListingContext {
  readonly spec: DirectorySource
  readonly label: Buffer
  readonly filter: Filter
  /** Null: links are stored as links. */
  readonly follow: Follow | null
  readonly own: readonly Place[]
  /** Null: databases are files like any other. */
  readonly databases: DatabaseCopier | null
  readonly signal: AbortSignal
}

export type WalkItem = WalkEntry | Omission | Pause

/** Names passed over in silence between two moments at which the step may end. */
const PAUSE_EVERY = 2000

/**
 * The walk: depth first, each folder before its content, the names of a folder by their bytes. Its
 * stack is its own, since a tree may be deeper than any call stack.
 */
export class Walk {
  readonly #ctx: WalkContext
  readonly #stack: Stack
  #silent = 0

  constructor(ctx: WalkContext) {
    this.#ctx = ctx
    this.#stack = new Stack(ctx.label)
  }

  /** Everything strictly after a position. SOURCE_NOT_FOUND, SOURCE_UNREADABLE if the source itself is not there. */
  *items(after: Position | null): Generator<WalkItem> {
    const root = findRoot(this.#ctx.disk, this.#ctx.folders, this.#ctx.spec.path)
    const visitor = new Visitor(this.#ctx, this.#stack, root)
    const whole = after === null || (after.path.length === 0 && isNote(after))
    if (whole) {
      const { item, enter } = visitor.root()
      if (enter !== undefined) this.#push(enter, this.#stack.path, visitor)
      yield item
    } else yield* this.#resume(root, visitor, after)
    yield* this.#rest(visitor)
  }

  /** What is left of the folders on the stack. */
  *#rest(visitor: Visitor): Generator<WalkItem> {
    while (this.#stack.depth > 0) {
      const frame = this.#stack.top()
      const names = frame.names ?? (yield* this.#list(frame, visitor))
      const name = names.next()?.name
      if (name === undefined) {
        this.#pop()
        continue
      }
      const noted = frame.inclusive && frame.after !== null && frame.after.equals(name)
      frame.after = name
      frame.inclusive = false
      const visit = visitor.visit(frame, name)
      if (visit === null) {
        const pause = this.#pass(name, visitor)
        if (pause !== null) yield pause
        continue
      }
      this.#silent = 0
      if (visit.note !== undefined && !noted) yield visit.note
      if (visit.enter !== undefined) this.#push(visit.enter, visit.item.path, visitor)
      yield visit.item
    }
  }

  /** Puts the stack back as it was at a position. A folder of it that has gone since is reported. */
  *#resume(root: Root, visitor: Visitor, position: Position): Generator<WalkItem> {
    const names = position.path.length === 0 ? [] : split(position.path)
    const entered = position.phase === 'inside' || position.phase === 'listed'
    if (root.folder === null || (names.length === 0 && !entered)) return
    const last = entered ? null : (names.pop() ?? null)
    this.#push(root.folder, this.#stack.path, visitor)
    for (const name of names) {
      const frame = this.#stack.top()
      frame.after = name
      const found = this.#reenter(frame, name, visitor)
      if ('reason' in found) {
        yield visitor.omit(this.#stack.child(name), found)
        return
      }
      this.#push(found, this.#stack.child(name), visitor)
    }
    const top = this.#stack.top()
    top.complained = position.phase === 'listed'
    top.inclusive = isNote(position)
    top.after = last
  }

  #reenter(frame: Frame, name: Buffer, visitor: Visitor): Folder | Cause {
    const { folders, follow, disk } = this.#ctx
    try {
      const quick = folders.quick(frame.folder, name)
      const target = follow !== null && disk.lstat(quick).kind === 'symlink' ? follow.target(quick) : null
      const folder =
        target === null ? folders.enter(frame.folder, name) : folders.anchor(frame.folder, name, target.real)
      if (!this.#stack.loops(folder) && !visitor.isElsewhere(folder)) return folder
      return { reason: 'vanished', message: 'the rest of this folder was not walked: another one lies there now' }
    } catch (error) {
      return { reason: 'vanished', message: `the rest of this folder was not walked: it ${causeOf(error).message}` }
    }
  }

  *#list(frame: Frame, visitor: Visitor): Generator<WalkItem, Listing> {
    this.#ctx.signal.throwIfAborted()
    const path = this.#stack.path
    const names = yield* list(this.#ctx, frame.folder, path, frame.after)
    this.#stack.listed(frame.inclusive ? names : after(names, frame.after))
    if (names.failure !== null && !frame.complained) {
      frame.complained = true
      const message = `its content, or some of it, is missing: the folder ${names.failure.message}`
      yield visitor.omit(path, { reason: names.failure.reason, message }, false, 'listed')
    }
    return frame.names ?? NOTHING
  }

  /** A name that is not selected. A long run of them must not begin again with each step. */
  #pass(name: Buffer, visitor: Visitor): Pause | null {
    if (++this.#silent < PAUSE_EVERY) return null
    this.#silent = 0
    this.#ctx.signal.throwIfAborted()
    const mark = encodeMark('done', visitor.below(this.#stack.child(name)))
    return { type: 'pause', message: 'passing over what is excluded', mark }
  }

  #push(folder: Folder, path: Buffer, visitor: Visitor): void {
    const included = this.#stack.depth > 0 && this.#stack.top().included
    this.#stack.push(folder, path, included || this.#ctx.filter.includes(visitor.below(path)))
  }

  #pop(): void {
    const { folder } = this.#stack.pop()
    try {
      this.#ctx.folders.leave(folder)
    } catch (error) {
      causeOf(error) // the way up is only a short cut: the parent is opened from above when it is needed
    }
  }
}

/** Whether the path itself is still to come. */
function isNote(position: Position): boolean {
  return position.phase === 'before' || position.phase === 'told'
}

/** The names after one: listings begin at it. */
function after(names: Listing, name: Buffer | null): Listing {
  if (name === null) return names
  let first = names.next()
  if (first !== null && first.name.equals(name)) first = names.next()
  const next = (): Name | null => {
    const found = first
    if (found === null) return names.next()
    first = null
    return found
  }
  return { next, held: names.held, failure: names.failure }
}

function split(path: Buffer): Buffer[] {
  const names: Buffer[] = []
  for (let at = 0; at <= path.length;) {
    const cut = path.indexOf(0x2f, at)
    const end = cut < 0 ? path.length : cut
    names.push(path.subarray(at, end))
    at = end + 1
  }
  return names
}
