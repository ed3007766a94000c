import type { AppendFile } from '../lib/append-file.ts'
import { removeIfThere } from '../lib/durable-file.ts'
import type { StageContext } from '../engine/stage.ts'

/** Where the next byte goes. Part of the sink's slot. */
export interface PartState {
  /** 0-based index of the part being written. */
  part: number
  /** An earlier part that stays open because a hole in it is not filled yet; -1 if there is none. */
  held: number
}

/** A finished part: it has its full length and, unless it is held, will not change any more. */
export interface PartLine {
  readonly name: string
  readonly size: number
}

export interface Place {
  readonly part: number
  readonly offset: number
}

const NOTHING = (): void => {}
const nameOf = (part: number): string => `part-${part}`

/**
 * Bytes into parts of at most `size`. Data is cut anywhere; what must stay whole is announced by
 * `reserve`. The record names three parts at most: the one being written, the one with a hole, and the first
 * where that has one of its own. All others stand in the work file `parts`, one line each, in order.
 */
export class PartWriter {
  readonly #ctx: StageContext
  readonly #state: PartState
  readonly #size: number
  readonly #keepFirst: boolean
  /** The part being written, until another one is. */
  #current: AppendFile | null = null

  /** `keepFirst`: the archive's beginning is a hole until all is written. */
  constructor(ctx: StageContext, state: PartState, size: number, keepFirst = false) {
    this.#ctx = ctx
    this.#state = state
    this.#size = size === 0 ? Number.MAX_SAFE_INTEGER : size
    this.#keepFirst = keepFirst
  }

  get free(): number {
    return this.#size - this.current.length
  }
  /** The part being written. */
  get current(): AppendFile {
    return (this.#current ??= this.#ctx.file(nameOf(this.#state.part), 'out'))
  }
  get here(): Place {
    return { part: this.#state.part, offset: this.current.length }
  }

  /** Starts a new part if fewer than `length` bytes fit into this one; returns where the next byte goes. */
  reserve(length: number): Place {
    if (this.free < length && this.current.length > 0) this.next()
    return this.here
  }

  /** Waits until another piece can be begun in the background. */
  async room(): Promise<void> {
    for (let wait = this.current.room; wait !== null; wait = this.current.room) await wait
  }

  /** The bytes are lent until `done` is called, which may be before this returns. */
  write(bytes: Uint8Array, done: () => void = NOTHING): void {
    this.#ctx.count({ bytesWritten: bytes.length })
    if (this.free <= 0 && bytes.length > 0) this.next()
    if (bytes.length <= this.free) return this.current.writeBehind(bytes, done)
    for (let at = 0; at < bytes.length;) {
      if (this.free <= 0) this.next()
      const take = Math.min(this.free, bytes.length - at)
      this.current.write(bytes.subarray(at, at + take))
      at += take
    }
    done()
  }

  /** The part of `place` stays open until `unhold`: a hole in it will be filled. */
  hold(place: Place): void {
    this.#state.held = place.part
  }
  /** What is under way is waited for: it might be written after this. */
  async fill(place: Place, bytes: Uint8Array): Promise<void> {
    const file = this.#ctx.file(nameOf(place.part), 'out')
    await file.settled()
    file.fill(place.offset, bytes)
  }
  unhold(): void {
    const { held, part } = this.#state
    this.#state.held = -1
    if (held >= 0 && held !== part && !this.#isKept(held)) this.#ctx.hand(nameOf(held), 'out')
  }

  /** Goes on in a new part. */
  next(): void {
    this.#finish()
    this.#state.part++
    this.#current = null
  }

  /** The archive is complete: the last part too. */
  finish(): void {
    this.unhold()
    this.#finish()
    this.#current = null
    if (this.#keepFirst) this.#ctx.hand(nameOf(0), 'out')
  }

  #finish(): void {
    const { part, held } = this.#state
    this.#ctx.file('parts').write(encodePart({ name: nameOf(part), size: this.current.length }))
    if (held === part || this.#isKept(part)) this.#ctx.release(nameOf(part), 'out')
    else this.#ctx.hand(nameOf(part), 'out')
  }

  #isKept(part: number): boolean {
    return this.#keepFirst && part === 0
  }

  /** Takes a complete part into the record again, so that `rewind` can go back into it: a barrier has to come next. False: it is there. */
  take(part: number): boolean {
    if (`out/${nameOf(part)}` in this.#ctx.job.files) return false
    this.#ctx.adopt(nameOf(part), 'out')
    return true
  }

  /** Back to `place`: what came after it never happened. The caller yields a barrier, then calls `removeAfter`. */
  async rewind(place: Place): Promise<number> {
    const last = this.#state.part
    await this.#ctx.file(nameOf(place.part), 'out').settled()
    if (last > place.part) {
      this.#ctx.hand(nameOf(last), 'out')
      this.#ctx.file('parts').rewind(place.part * LINE)
    }
    this.#ctx.file(nameOf(place.part), 'out').rewind(place.offset)
    this.#state.part = place.part
    this.#current = null
    this.#state.held = -1
    return last
  }

  /** Parts that no record names any more. A kill before this leaves strays, which are cut when they are made anew. */
  removeAfter(last: number): void {
    for (let part = this.#state.part + 1; part <= last; part++) {
      removeIfThere(this.#ctx.disk, this.#ctx.path(nameOf(part), 'out'))
    }
  }
}

/** A fixed length, so that the n-th is read without reading the others. */
const LINE = 48

function encodePart(part: PartLine): Buffer {
  return Buffer.from(`${part.name} ${part.size}`.padEnd(LINE - 1) + '\n', 'latin1')
}

export function readPart(list: AppendFile, index: number): PartLine {
  const [name = '', size = '0'] = list
    .read(index * LINE, LINE)
    .toString('latin1')
    .trim()
    .split(' ')
  return { name, size: Number(size) }
}

export const partCount = (list: AppendFile): number => Math.floor(list.length / LINE)
