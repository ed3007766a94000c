import { join, type Folder } from './folders.ts'
import type { Listing } from './listing.ts'

/** A folder whose content is being handed over. */
export interface Frame {
  readonly folder: Folder
  /** Length of the archive-relative path of the folder that holds it. */
  readonly parentLength: number
  /** It or something above it matched `include`. */
  readonly included: boolean
  /** Where to list from: after this name, or at it. */
  after: Buffer | null
  inclusive: boolean
  /** Its listing has already been complained about. */
  complained: boolean
  /** Null until it is needed: going on deep in a tree lists no outer folder before the walk is back there. */
  names: Listing | null
}

/** Names held in memory by all open folders; beyond it the outer ones are listed again when their turn comes. */
const HELD = 100_000

/** The open folders from the source down, with the path of the last one. */
export class Stack {
  readonly #frames: Frame[] = []
  /** By device and inode: a folder that is entered inside itself is a loop. */
  readonly #chain = new Set<string>()
  #path: Buffer
  #held = 0

  constructor(label: Buffer) {
    this.#path = label
  }

  get depth(): number {
    return this.#frames.length
  }

  /** Archive-relative path of the folder on top. */
  get path(): Buffer {
    return this.#path
  }

  top(): Frame {
    const frame = this.#frames.at(-1)
    if (frame === undefined) throw new Error('no folder is open')
    return frame
  }

  /** Path of a name in the folder on top. */
  child(name: Buffer): Buffer {
    return join(this.#path, name)
  }

  loops(folder: { readonly dev: bigint; readonly ino: bigint }): boolean {
    return this.#chain.has(key(folder))
  }

  push(folder: Folder, path: Buffer, included: boolean): void {
    const parentLength = this.#path.length
    this.#frames.push({ folder, parentLength, included, after: null, inclusive: false, complained: false, names: null })
    this.#chain.add(key(folder))
    this.#path = path
  }

  pop(): Frame {
    const frame = this.top()
    this.#frames.pop()
    this.#held -= frame.names?.held ?? 0
    this.#chain.delete(key(frame.folder))
    this.#path = this.#path.subarray(0, frame.parentLength)
    return frame
  }

  /** Gives the folder on top its names. */
  listed(names: Listing): void {
    this.top().names = names
    this.#held += names.held
    for (let i = 0; this.#held > HELD && i < this.#frames.length - 1; i++) {
      const frame = this.#frames[i]
      if (frame === undefined) return
      this.#held -= frame.names?.held ?? 0
      frame.names = null
    }
  }
}

function key(folder: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${folder.dev}:${folder.ino}`
}
