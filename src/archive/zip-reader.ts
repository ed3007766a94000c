import { BackupError } from '../lib/errors.ts'
import { disposeSource, EntryReader, namedTwice } from './entry-reader.ts'
import type { ArchiveEntry } from './format.ts'
import { DEFAULT_LIMITS, type ArchiveReader, type ByteSource, type Damage, type ReaderLimits } from './reader.ts'
import { Directory } from './zip-directory.ts'
import { findEnd, refuseJoined } from './zip-end.ts'
import type { ZipEntry } from './zip-entry.ts'
import type { FoundEntries } from './zip-found.ts'
import { dataStart, readLocal } from './zip-local.ts'
import { proveDirectory, type Proof } from './zip-proof.ts'
import { damaged } from './zip-records.ts'
import { scanArchive, type Salvaged } from './zip-salvage.ts'

export interface ZipOptions {
  readonly limits?: Partial<ReaderLimits>
  /** Give back everything intact from a damaged archive: duplicates are named, a lost directory is searched for. */
  readonly salvage?: boolean
}

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
    disposeSource(source)
    throw error
  }
}

function open(source: ByteSource, limits: ReaderLimits, salvage: boolean): ArchiveReader {
  try {
    const reader = strict(source, limits, salvage)
    if (!salvage || !displaced(source, reader)) return reader
    const found = scanArchive(source, limits)
    return new SalvagedReader(source, limits, found, 'entries are not where the directory says', true)
  } catch (error) {
    if (!salvage || !(error instanceof BackupError) || error.code !== 'ARCHIVE_DAMAGED') throw error
    return new SalvagedReader(source, limits, scanArchive(source, limits), error.message)
  }
}

/**
 * Whether an entry's own header is missing where the directory says it is: bytes before it were lost or added, or it is
 * destroyed itself. The others may then lie elsewhere, all alike.
 */
function displaced(source: ByteSource, reader: DirectoryReader): boolean {
  for (const entry of reader.entries()) if (!headerAt(source, entry)) return true
  return false
}

function headerAt(source: ByteSource, entry: ZipEntry): boolean {
  try {
    return readLocal(source, entry.offset)?.name.equals(entry.name) === true
  } catch (error) {
    if (error instanceof BackupError && error.code === 'ARCHIVE_DAMAGED') return false
    throw error
  }
}

function strict(source: ByteSource, limits: ReaderLimits, salvage: boolean): DirectoryReader {
  const directory = new Directory(source, findEnd(source))
  const proof = proveDirectory(directory, source.size, limits, salvage)
  refuseJoined(source, proof.first)
  const reader = new DirectoryReader(source, limits, directory, proof)
  const [twice] = reader.damage
  if (twice !== undefined && !salvage) throw damaged(twice.message)
  return reader
}

/** What both readers share. */
abstract class ZipReader extends EntryReader<ZipEntry> {
  isOwn(entry: ArchiveEntry): entry is ZipEntry {
    return 'bound' in entry && 'methodId' in entry
  }

  dataStart(entry: ZipEntry): number {
    return dataStart(this.source, entry)
  }
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
    this.damage = namedTwice(proof.duplicates, (index) => directory.entries(index).next().value ?? null)
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
  /** The directory is whole: what it does not name (an archive within a damaged entry) is no entry. */
  readonly #onlyNamed: boolean

  constructor(source: ByteSource, limits: ReaderLimits, found: Salvaged, why: string, onlyNamed = false) {
    super(source, limits)
    const { entries, damage, duplicates } = found
    this.#onlyNamed = onlyNamed
    this.#found = entries
    this.#duplicates = duplicates
    this.count = entries.count
    const named = namedTwice(duplicates, (index) => entries.entry(source, index))
    this.damage = [{ entry: null, message: why }, ...damage, ...named]
  }

  *entries(from = 0): Generator<ZipEntry, void, undefined> {
    for (let index = from; index < this.count; index++) {
      if (this.#duplicates.has(index) || (this.#onlyNamed && !this.#found.isDescribed(index))) continue
      const entry = this.#found.entry(this.source, index)
      if (entry !== null) yield entry
    }
  }
}
