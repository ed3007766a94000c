import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import type { ArchiveEntry } from './format.ts'
import {
  DEFAULT_LIMITS,
  type ArchiveReader,
  type ByteSource,
  type Damage,
  type Piece,
  type RawBlock,
  type ReaderLimits,
  type Restart,
} from './reader.ts'
import { rawBlocks } from './zip-blocks.ts'
import { contentOf, type Located } from './zip-content.ts'
import { Directory } from './zip-directory.ts'
import { findEnd, refuseJoined } from './zip-end.ts'
import type { ZipEntry } from './zip-entry.ts'
import type { FoundEntries } from './zip-found.ts'
import { dataStart } from './zip-local.ts'
import { checkTotals, proveDirectory, type Proof } from './zip-proof.ts'
import { damaged } from './zip-records.ts'
import { scanArchive, type Salvaged } from './zip-salvage.ts'

export interface ZipOptions {
  readonly limits?: Partial<ReaderLimits>
  /** Give back everything intact from a damaged archive: duplicates are named, a lost directory is searched for. */
  readonly salvage?: boolean
}

const START: Restart = { stored: 0, plain: 0 }

/**
 * Opens a ZIP archive over its parts joined. Owns the source if that is disposable, also when it throws.
 * Reads the directory once: ARCHIVE_DAMAGED, LIMIT_EXCEEDED. With `salvage` an archive whose structure
 * does not hold is searched for local headers instead, and sums of sizes are not held to the limits.
 */
export function openZip(source: ByteSource, options: ZipOptions = {}): ArchiveReader {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  try {
    return open(source, limits, options.salvage === true)
  } catch (error) {
    if (isDisposable(source)) source[Symbol.dispose]()
    throw error
  }
}

function open(source: ByteSource, limits: ReaderLimits, salvage: boolean): ArchiveReader {
  try {
    return strict(source, limits, salvage)
  } catch (error) {
    if (!salvage || !(error instanceof BackupError) || error.code !== 'ARCHIVE_DAMAGED') throw error
    return new SalvagedReader(source, limits, scanArchive(source, limits), error.message)
  }
}

function strict(source: ByteSource, limits: ReaderLimits, salvage: boolean): ArchiveReader {
  const directory = new Directory(source, findEnd(source))
  const proof = proveDirectory(directory, source.size, limits, salvage)
  refuseJoined(source, proof.first)
  const reader = new DirectoryReader(source, limits, directory, proof)
  const [twice] = reader.damage
  if (twice !== undefined && !salvage) throw damaged(twice.message)
  return reader
}

/** What both readers share: finding an entry's data and giving it out. */
abstract class ZipReader implements ArchiveReader {
  abstract readonly count: number
  abstract readonly salvaged: boolean
  abstract readonly damage: readonly Damage[]
  readonly source: ByteSource
  readonly #limits: ReaderLimits

  constructor(source: ByteSource, limits: ReaderLimits) {
    this.source = source
    this.#limits = limits
  }

  abstract entries(from?: number): Iterable<ZipEntry>

  async *content(entry: ArchiveEntry, from: Restart = START): AsyncGenerator<Piece, void, undefined> {
    yield* contentOf(this.#locate(entry), from)
  }

  *blocksOf(entry: ArchiveEntry, from: Restart = START): Generator<RawBlock, void, undefined> {
    const located = this.#locate(entry)
    yield* rawBlocks(located.source, located.entry, located.start, from)
  }

  [Symbol.dispose](): void {
    if (isDisposable(this.source)) this.source[Symbol.dispose]()
  }

  #locate(wanted: ArchiveEntry): Located {
    const entry = isZipEntry(wanted) ? wanted : this.#again(wanted)
    if (entry.refused !== undefined) throw entry.refused
    checkTotals(`entry ${displayName(entry.path)}`, entry.size, entry.stored, this.#limits)
    return { source: this.source, entry, start: dataStart(this.source, entry) }
  }

  /** An entry that came from elsewhere (a list on disk) is looked up by its index. */
  #again(wanted: ArchiveEntry): ZipEntry {
    for (const entry of this.entries(wanted.index)) {
      if (entry.index === wanted.index && entry.path.equals(wanted.path)) return entry
      break
    }
    throw damaged(`the archive has no entry ${displayName(wanted.path)} at place ${wanted.index + 1}`)
  }
}

function isDisposable(source: object): source is Disposable {
  return Symbol.dispose in source && typeof source[Symbol.dispose] === 'function'
}

function isZipEntry(entry: ArchiveEntry): entry is ZipEntry {
  return 'bound' in entry && 'methodId' in entry
}

class DirectoryReader extends ZipReader {
  readonly count: number
  readonly salvaged = false
  readonly damage: readonly Damage[]
  readonly #directory: Directory
  readonly #duplicates: ReadonlyMap<number, number>

  constructor(source: ByteSource, limits: ReaderLimits, directory: Directory, proof: Proof) {
    super(source, limits)
    this.#directory = directory
    this.#duplicates = proof.duplicates
    this.count = directory.count
    this.damage = twice(proof.duplicates, (index) => directory.entries(index).next().value ?? null)
  }

  *entries(from = 0): Generator<ZipEntry, void, undefined> {
    for (const entry of this.#directory.entries(from)) if (!this.#duplicates.has(entry.index)) yield entry
  }
}

class SalvagedReader extends ZipReader {
  readonly count: number
  readonly salvaged = true
  readonly damage: readonly Damage[]
  readonly #found: FoundEntries
  readonly #duplicates: ReadonlyMap<number, number>

  constructor(source: ByteSource, limits: ReaderLimits, { entries, damage, duplicates }: Salvaged, why: string) {
    super(source, limits)
    this.#found = entries
    this.#duplicates = duplicates
    this.count = entries.count
    const named = twice(duplicates, (index) => entries.entry(source, index))
    this.damage = [{ entry: null, message: why }, ...damage, ...named]
  }

  *entries(from = 0): Generator<ZipEntry, void, undefined> {
    for (let index = from; index < this.count; index++) {
      const entry = this.#duplicates.has(index) ? null : this.#found.entry(this.source, index)
      if (entry !== null) yield entry
    }
  }
}

function twice(duplicates: ReadonlyMap<number, number>, find: (index: number) => ZipEntry | null): Damage[] {
  return Array.from(duplicates.keys(), (index) => {
    const entry = find(index)
    const name = entry === null ? '' : displayName(entry.path)
    return { entry, message: `entry ${name} is there twice; only the first one can be meant` }
  })
}
