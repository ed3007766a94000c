import { BackupError } from '../lib/errors.ts'
import { findDuplicates, hashPath } from './duplicates.ts'
import { disposeSource, EntryReader, namedTwice } from './entry-reader.ts'
import type { ArchiveEntry } from './format.ts'
import { readBlock, toEntry, type JpaEntry } from './jpa-entity.ts'
import { requireHeader, type JpaHeader } from './jpa-header.ts'
import { MODULO } from './jpa-records.ts'
import { scanJpa, type SalvagedJpa } from './jpa-salvage.ts'
import { JpaWalk } from './jpa-walk.ts'
import { checkCount, checkTotals } from './limits.ts'
import { DEFAULT_LIMITS, type ArchiveReader, type ByteSource, type Damage, type ReaderLimits } from './reader.ts'
import { damaged } from './zip-records.ts'

export interface JpaOptions {
  readonly limits?: Partial<ReaderLimits>
  /** Give back everything intact from a damaged archive: duplicates are named, lost entities are searched for. */
  readonly salvage?: boolean
}

/**
 * Opens a JPA archive (1.0 to 1.3) over its parts joined. Owns the source if that is disposable, also when it
 * throws. Goes from header to header once and proves count and totals: the format has no end mark and no
 * checksum, so that is all it can say about itself. ARCHIVE_DAMAGED, ARCHIVE_UNSUPPORTED, LIMIT_EXCEEDED. With
 * `salvage` entities are searched for where that does not hold.
 */
export function openJpa(source: ByteSource, options: JpaOptions = {}): ArchiveReader {
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
    const header = requireHeader(source)
    const walk = new JpaWalk(source, header)
    checkCount(walk.count, limits)
    const reader = new WholeReader(source, limits, walk, prove(source, header, walk, limits, salvage))
    const [twice] = reader.damage
    if (twice !== undefined && !salvage) throw damaged(twice.message)
    return reader
  } catch (error) {
    if (!salvage || !(error instanceof BackupError) || error.code !== 'ARCHIVE_DAMAGED') throw error
    return new SalvagedReader(source, limits, scanJpa(source, limits), error.message)
  }
}

/**
 * Entries whose path an earlier one has already. Memory: 8 bytes an entry. With `salvage` a sum of sizes is
 * no reason to refuse; each entry is held to the limits when it is read.
 */
function prove(
  source: ByteSource,
  header: JpaHeader,
  walk: JpaWalk,
  limits: ReaderLimits,
  salvage: boolean,
): ReadonlyMap<number, number> {
  const hashes = new Float64Array(walk.count)
  let uncompressed = 0
  let stored = 0
  for (const entry of walk.entries()) {
    hashes[entry.index] = hashPath(entry.path)
    uncompressed += entry.size
    stored += entry.stored
  }
  if (!salvage) checkTotals('the archive', uncompressed, source.size, limits)
  proveTotals(header, 'plain', uncompressed, header.narrow.uncompressed, header.wide?.uncompressed)
  proveTotals(header, 'stored', stored, header.narrow.stored, header.wide?.stored)
  return findDuplicates(hashes, () => walk.entries())
}

function proveTotals(header: JpaHeader, what: string, found: number, narrow: number, wide: number | undefined): void {
  if ((wide ?? found) === found && found % MODULO === narrow && Number.isSafeInteger(found)) return
  const said = wide ?? narrow
  throw damaged(`its ${header.entries} entries come to ${found} ${what} bytes; the header says ${said}`)
}

abstract class JpaReader extends EntryReader<JpaEntry> {
  isOwn(entry: ArchiveEntry): entry is JpaEntry {
    return 'blockLength' in entry && 'headCrc' in entry
  }

  dataStart(entry: JpaEntry): number {
    return entry.offset + entry.blockLength
  }
}

class WholeReader extends JpaReader {
  readonly count: number
  readonly salvaged = false
  readonly damage: readonly Damage[]
  readonly #walk: JpaWalk
  readonly #duplicates: ReadonlyMap<number, number>

  constructor(source: ByteSource, limits: ReaderLimits, walk: JpaWalk, duplicates: ReadonlyMap<number, number>) {
    super(source, limits)
    this.#walk = walk
    this.#duplicates = duplicates
    this.count = walk.count
    this.damage = namedTwice(duplicates, (index) => walk.entries(index).next().value ?? null)
  }

  *entries(from = 0): Generator<JpaEntry, void, undefined> {
    for (const entry of this.#walk.entries(from)) if (!this.#duplicates.has(entry.index)) yield entry
  }
}

class SalvagedReader extends JpaReader {
  readonly count: number
  readonly salvaged = true
  readonly damage: readonly Damage[]
  readonly #found: SalvagedJpa

  constructor(source: ByteSource, limits: ReaderLimits, found: SalvagedJpa, why: string) {
    super(source, limits)
    this.#found = found
    this.count = found.entries.count
    const named = namedTwice(found.duplicates, (index) => this.#entry(index))
    this.damage = [{ entry: null, message: why }, ...found.damage, ...named]
  }

  *entries(from = 0): Generator<JpaEntry, void, undefined> {
    for (let index = from; index < this.count; index++) {
      const entry = this.#found.duplicates.has(index) ? null : this.#entry(index)
      if (entry !== null) yield entry
    }
  }

  #entry(index: number): JpaEntry | null {
    const offset = this.#found.entries.offset(index)
    const block = readBlock(this.source, offset)
    return typeof block === 'string' ? null : toEntry(block, index, offset)
  }
}
