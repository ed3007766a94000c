import { displayName } from '../lib/entry-path.ts'
import { rawBlocks } from './blocks.ts'
import { contentOf, type Located } from './content.ts'
import type { ArchiveEntry } from './format.ts'
import { checkTotals } from './limits.ts'
import type { ArchiveReader, ByteSource, Damage, Piece, RawBlock, ReaderLimits, Restart } from './reader.ts'
import { damaged } from './zip-records.ts'

const START: Restart = { stored: 0, plain: 0 }

/** What the readers of all formats share: finding an entry's data and giving it out. Owns its source. */
export abstract class EntryReader<E extends ArchiveEntry> implements ArchiveReader {
  abstract readonly count: number
  abstract readonly salvaged: boolean
  abstract readonly damage: readonly Damage[]
  readonly source: ByteSource
  readonly #limits: ReaderLimits

  constructor(source: ByteSource, limits: ReaderLimits) {
    this.source = source
    this.#limits = limits
  }

  abstract entries(from?: number): Iterable<E>
  /** Whether it came from a reader of this format: an entry from elsewhere (a list on disk) is looked up by its index. */
  abstract isOwn(entry: ArchiveEntry): entry is E
  /** Global offset of the entry's data, its own header proven. ARCHIVE_DAMAGED. */
  abstract dataStart(entry: E): number

  async *content(entry: ArchiveEntry, from: Restart = START): AsyncGenerator<Piece, void, undefined> {
    yield* contentOf(this.#locate(entry), from)
  }

  *blocksOf(entry: ArchiveEntry, from: Restart = START): Generator<RawBlock, void, undefined> {
    const located = this.#locate(entry)
    yield* rawBlocks(located.source, located.entry, located.start, from)
  }

  [Symbol.dispose](): void {
    disposeSource(this.source)
  }

  #locate(wanted: ArchiveEntry): Located {
    const entry = this.isOwn(wanted) ? wanted : this.#again(wanted)
    if (entry.refused !== undefined) throw entry.refused
    checkTotals(`entry ${displayName(entry.path)}`, entry.size, entry.stored, this.#limits)
    return { source: this.source, entry, start: this.dataStart(entry) }
  }

  #again(wanted: ArchiveEntry): E {
    for (const entry of this.entries(wanted.index)) {
      if (entry.index === wanted.index && entry.path.equals(wanted.path)) return entry
      break
    }
    throw damaged(`the archive has no entry ${displayName(wanted.path)} at place ${wanted.index + 1}`)
  }
}

export function disposeSource(source: object): void {
  if (isDisposable(source)) source[Symbol.dispose]()
}

function isDisposable(source: object): source is Disposable {
  return Symbol.dispose in source && typeof source[Symbol.dispose] === 'function'
}

/** Names the entries whose path an earlier one has; `duplicates`: see `findDuplicates`. */
export function namedTwice(
  duplicates: ReadonlyMap<number, number>,
  find: (index: number) => ArchiveEntry | null,
): Damage[] {
  return Array.from(duplicates.keys(), (index) => {
    const entry = find(index)
    const name = entry === null ? '' : displayName(entry.path)
    return { entry, message: `entry ${name} is there twice; only the first one can be meant` }
  })
}
