import type { Codec } from '../../archive/codec.ts'
import type { OpenArchive } from '../parts.ts'
import { type Content, readSmall, SMALL } from './contents.ts'
import type { Item } from './plan.ts'

/** A run of consecutive entries: either small ones with their contents, or one large one without. */
export interface Group {
  readonly items: readonly Item[]
  /** By position in `items`; absent where nothing was to be read. */
  readonly contents: ReadonlyMap<number, Content>
  readonly large: boolean
}

interface Begun {
  readonly items: readonly Item[]
  readonly contents: Promise<ReadonlyMap<number, Content>>
  readonly large: boolean
}

/** Contents of one message to a helper thread. */
const GROUP_CONTENTS = 32
const GROUP_BYTES = 1 << 20
const GROUP_ITEMS = 256

const hasContent = (item: Item): boolean => item.fault === null && item.wanted && item.entry.kind !== 'dir'

/** Reads entries ahead: while one group is written, the next ones are unpacked. */
export class Feed {
  readonly #archive: OpenArchive
  readonly #codec: Codec
  readonly #items: Iterator<Item>
  readonly #queue: Begun[] = []
  #held: Item | null = null
  #ended = false

  constructor(archive: OpenArchive, codec: Codec, items: Iterator<Item>) {
    this.#archive = archive
    this.#codec = codec
    this.#items = items
  }

  /** How many groups are being unpacked. */
  get ahead(): number {
    return this.#queue.length
  }

  /** The next group, or null after the last entry. `begin`: whether to read further ahead. */
  async next(begin: boolean): Promise<Group | null> {
    const depth = begin ? this.#codec.width : 1
    while (!this.#ended && this.#queue.length < depth) {
      const begun = this.#begin()
      if (begun === null) break
      this.#queue.push(begun)
    }
    const first = this.#queue.shift()
    return first === undefined ? null : { ...first, contents: await first.contents }
  }

  /** Waits for what is in flight and forgets it. */
  async abandon(): Promise<void> {
    this.#ended = true
    await Promise.allSettled(this.#queue.splice(0).map((group) => group.contents))
  }

  #begin(): Begun | null {
    const items: Item[] = []
    let contents = 0
    let bytes = 0
    while (items.length < GROUP_ITEMS && contents < GROUP_CONTENTS && bytes < GROUP_BYTES) {
      const item = this.#take()
      if (item === null) break
      if (hasContent(item) && item.entry.size > SMALL) {
        if (items.length > 0) {
          this.#held = item
          break
        }
        return { items: [item], contents: Promise.resolve(new Map<number, Content>()), large: true }
      }
      items.push(item)
      if (hasContent(item)) {
        contents++
        bytes += item.entry.size
      }
    }
    return items.length === 0 ? null : { items, contents: this.#read(items), large: false }
  }

  #take(): Item | null {
    if (this.#held !== null) {
      const held = this.#held
      this.#held = null
      return held
    }
    const next = this.#items.next()
    if (next.done === true) {
      this.#ended = true
      return null
    }
    return next.value
  }

  #read(items: readonly Item[]): Promise<ReadonlyMap<number, Content>> {
    const read = this.#readAll(items)
    read.catch(() => 'whoever takes the group sees the error') // it may be abandoned instead
    return read
  }

  async #readAll(items: readonly Item[]): Promise<ReadonlyMap<number, Content>> {
    const wanted = [...items.keys()].filter((i) => hasContent(items[i] as Item))
    const contents = await readSmall(
      this.#archive,
      this.#codec,
      wanted.map((i) => items[i] as Item),
    )
    return new Map(wanted.map((i, at) => [i, contents[at] as Content]))
  }
}
