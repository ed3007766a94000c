import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import { rawBlocks } from './blocks.ts'
import { findDuplicates, hashPath } from './duplicates.ts'
import { readBlock, toEntry, type Block, type JpaEntry } from './jpa-entity.ts'
import { decodeHeader, hitsOf, searchHeader } from './jpa-header.ts'
import * as j from './jpa-records.ts'
import { unpackBlock } from './pack-block.ts'
import type { ByteSource, Damage, ReaderLimits } from './reader.ts'

/** Named damage kept; beyond it only the number is told. */
const DAMAGE_MAX = 10_000
const START = { stored: 0, plain: 0 }
const FIELDS = 2
/** Enough to know a header by. */
const HEADER_GUESS = 512

/** Entities found, in the order of their offsets, 16 bytes each; the rest is read from there again. */
export class FoundEntities {
  #values = new Float64Array(FIELDS * 256)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(offset: number, hash: number): void {
    const at = this.#count++ * FIELDS
    if (at + FIELDS > this.#values.length) {
      const grown = new Float64Array(this.#values.length * 2)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values[at] = offset
    this.#values[at + 1] = hash
  }

  offset(index: number): number {
    return this.#values[index * FIELDS] ?? 0
  }

  get hashes(): Float64Array {
    return Float64Array.from({ length: this.#count }, (_, i) => this.#values[i * FIELDS + 1] ?? 0)
  }
}

export interface SalvagedJpa {
  readonly entries: FoundEntities
  readonly damage: readonly Damage[]
  /** See `findDuplicates`. */
  readonly duplicates: ReadonlyMap<number, number>
}

/**
 * Finds the entities of an archive that is damaged, cut off or was never finished: goes from header to header, and
 * where the chain is broken searches for the next block whose fields agree with each other. Entries that are cut
 * off, or that the break makes doubtful, are named. Stored content cannot be proven: a digest in our manifest can.
 * LIMIT_EXCEEDED.
 */
export function scanJpa(source: ByteSource, limits: ReaderLimits): SalvagedJpa {
  return new Scan(source, limits).run()
}

class Scan {
  readonly #source: ByteSource
  readonly #limits: ReaderLimits
  readonly #entries = new FoundEntities()
  readonly #damage: Damage[] = []
  /** Where a missing part would be. */
  readonly #seams: readonly number[]
  #unnamed = 0
  /** Bytes that may be unpacked to tell good from bad: bounds the work on a hostile file. */
  #budget: number

  constructor(source: ByteSource, limits: ReaderLimits) {
    this.#source = source
    this.#limits = limits
    this.#budget = 4 * source.size + (64 << 20)
    this.#seams = source.partOffsets.filter((at, i) => at === (source.partOffsets[i + 1] ?? source.size))
  }

  run(): SalvagedJpa {
    const header = searchHeader(this.#source)
    for (let at = header === null ? 0 : header.at + header.length; at < this.#source.size;) at = this.#step(at)
    if (this.#unnamed > 0) this.#damage.push({ entry: null, message: `and ${this.#unnamed} more` })
    const duplicates = findDuplicates(this.#entries.hashes, () => this.#all())
    return { entries: this.#entries, damage: this.#damage, duplicates }
  }

  *#all(): Generator<JpaEntry> {
    for (let index = 0; index < this.#entries.count; index++) {
      const offset = this.#entries.offset(index)
      const block = readBlock(this.#source, offset)
      if (typeof block !== 'string') yield toEntry(block, index, offset)
    }
  }

  /** Deals with what begins at `at`; returns where to go on. */
  #step(at: number): number {
    const block = this.#plausible(at)
    return block === null ? this.#gap(at) : this.#entity(at, block)
  }

  #gap(at: number): number {
    const next = this.#next(at + 1)
    this.#report(null, `${next - at} bytes at offset ${at} belong to no entry that could be found`)
    return next
  }

  /** A block that can be one: all its fields mean something. */
  #plausible(at: number): Block | null {
    const block = readBlock(this.#source, at)
    if (typeof block === 'string' || block.path.includes(0)) return null
    return block.type < j.TYPES.length && block.compression <= j.COMPRESSION.bzip2 ? block : null
  }

  /** Offset of the next such block, or the archive's size. */
  #next(from: number): number {
    for (const at of hitsOf(this.#source, j.SIG_ENTITY, from, this.#source.size)) {
      if (this.#plausible(at) !== null) return at
    }
    return this.#source.size
  }

  #entity(at: number, block: Block): number {
    const start = at + block.length
    const end = start + block.stored
    const seam = this.#seams.find((place) => at < place && place < end)
    if (seam !== undefined) return this.#bad(at, block, 'it lies partly in a missing part', seam)
    const whole = end <= this.#source.size
    if (whole && this.#continues(end)) return this.#take(at, block)
    const next = this.#next(start)
    const nested = next < end && this.#archiveIn(start, next)
    if (whole && (next >= end || nested)) {
      if (this.#trusted(at, block)) return this.#take(at, block)
      return this.#bad(at, block, 'its header or its data is damaged', nested ? end : next)
    }
    const why = whole ? 'its header or its data is damaged' : 'it is cut off'
    return this.#bad(at, block, why, nested ? Math.min(end, this.#source.size) : next)
  }

  /** Whether what follows the data is what has to follow it. */
  #continues(end: number): boolean {
    return end === this.#source.size || this.#seams.includes(end) || this.#plausible(end) !== null
  }

  /** Whether an archive begins there: the entities behind it are those of an archive within this one. */
  #archiveIn(from: number, to: number): boolean {
    for (const at of hitsOf(this.#source, j.SIG_ARCHIVE, from, to)) {
      if (decodeHeader(this.#source.read(at, HEADER_GUESS), 0) !== null) return true
    }
    return false
  }

  /** Sizes that stand twice and agree are right; others are if the data unpacks to them. */
  #trusted(at: number, block: Block): boolean {
    if (block.twice || block.compression === j.COMPRESSION.store) return true
    const entry = toEntry(block, -1, at)
    this.#budget -= block.stored
    return this.#budget >= 0 && entry.refused === undefined && unpacks(this.#source, entry)
  }

  #take(at: number, block: Block): number {
    if (this.#entries.count >= this.#limits.entries) {
      throw new BackupError('LIMIT_EXCEEDED', `the archive holds more than ${this.#limits.entries} entries`)
    }
    this.#entries.add(at, hashPath(toEntry(block, -1, at).path))
    return at + block.length + block.stored
  }

  #bad(at: number, block: Block, why: string, next: number): number {
    const entry = toEntry(block, -1, at)
    this.#report(entry, `entry ${displayName(entry.path)}: ${why}`)
    return next
  }

  #report(entry: JpaEntry | null, message: string): void {
    if (this.#damage.length < DAMAGE_MAX) this.#damage.push({ entry, message })
    else this.#unnamed++
  }
}

function unpacks(source: ByteSource, entry: JpaEntry): boolean {
  let plain = 0
  try {
    for (const block of rawBlocks(source, entry, entry.offset + entry.blockLength, START)) {
      unpackBlock({ data: block.data, method: block.method, size: block.plainSize, proof: true })
      plain = block.next.plain
    }
  } catch (error) {
    if (error instanceof BackupError && error.code === 'ARCHIVE_DAMAGED') return false
    throw error
  }
  return plain === entry.size
}
