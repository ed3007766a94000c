import zlib from 'node:zlib'
import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import { findDuplicates, hashPath } from './duplicates.ts'
import { unpackBlock } from './pack-block.ts'
import type { ByteSource, Damage, ReaderLimits } from './reader.ts'
import { rawBlocks } from './blocks.ts'
import { centralLength, decodeCentral, toEntry, type CentralRecord, type ZipEntry } from './zip-entry.ts'
import { describeLocal, FoundEntries, type Found } from './zip-found.ts'
import { readLocal, type LocalHeader } from './zip-local.ts'
import { crossesPart, findDescriptor, nextRecord, signatureAt } from './zip-scan.ts'
import * as z from './zip-records.ts'

/** Named damage kept; beyond it only the number is told. */
const DAMAGE_MAX = 10_000
/** Enough for an ordinary directory record. */
const RECORD_GUESS = 512
const START = { stored: 0, plain: 0 }

export interface Salvaged {
  readonly entries: FoundEntries
  readonly damage: readonly Damage[]
  /** See `findDuplicates`. */
  readonly duplicates: ReadonlyMap<number, number>
}

type Extent = Omit<Found, 'hash'>

/**
 * Finds the entries of an archive without its directory: walks from local header to local header, and
 * where the chain is broken searches for the next one. Entries that are cut off, or whose data proves
 * wrong where the chain breaks, are named as damage; directory records that are still there give the
 * mode bits back and name what is lost. Content is proven by whoever reads it. LIMIT_EXCEEDED.
 */
export function scanArchive(source: ByteSource, limits: ReaderLimits): Salvaged {
  return new Scan(source, limits).run()
}

class Scan {
  readonly #source: ByteSource
  readonly #limits: ReaderLimits
  readonly #entries = new FoundEntries()
  readonly #damage: Damage[] = []
  /** Offsets of entries named as damaged already. */
  readonly #named = new Set<number>()
  /** Foreign data before the archive, seen at the first directory record. */
  #shift: number | null = null
  /** Where a missing part would be. */
  readonly #seams: readonly number[]
  #unnamed = 0
  /** Bytes that may be read twice to tell good from bad: bounds the work on a hostile file. */
  #budget: number

  constructor(source: ByteSource, limits: ReaderLimits) {
    this.#source = source
    this.#limits = limits
    this.#budget = 4 * source.size + (64 << 20)
    this.#seams = source.partOffsets.filter((at, i) => at === (source.partOffsets[i + 1] ?? source.size))
  }

  run(): Salvaged {
    const first = signatureAtStart(this.#source)
    for (let at = first; at < this.#source.size;) at = this.#step(at)
    if (this.#unnamed > 0) this.#damage.push({ entry: null, message: `and ${this.#unnamed} more` })
    const duplicates = findDuplicates(this.#entries.hashes, () => this.#entries.all(this.#source))
    return { entries: this.#entries, damage: this.#damage, duplicates }
  }

  /** Deals with what begins at `at`; returns where to go on. */
  #step(at: number): number {
    switch (signatureAt(this.#source, at)) {
      case z.SIG_LOCAL:
        return this.#local(at)
      case z.SIG_CENTRAL:
        return this.#central(at)
      case z.SIG_END64:
        return Math.min(at + z.END64_SIZE, this.#source.size)
      case z.SIG_LOCATOR:
        return Math.min(at + z.LOCATOR_SIZE, this.#source.size)
      case z.SIG_END:
        return Math.min(at + z.END_SIZE, this.#source.size)
      default:
        return this.#gap(at)
    }
  }

  #gap(at: number): number {
    const next = nextRecord(this.#source, at + 1)
    this.#report(null, `${next - at} bytes at offset ${at} belong to no entry that could be found`)
    return next
  }

  #local(at: number): number {
    const header = this.#header(at)
    if (header === null) return this.#gap(at)
    const start = at + header.length
    const { crc, stored, size } = header
    const open = (header.flags & z.FLAG_DESCRIPTOR) !== 0 && stored === 0 && size === 0
    const descriptor = open ? this.#descriptor(start) : { crc, stored, size, end: start + stored }
    if (descriptor === null) return this.#bad(at, header, { offset: at, crc, stored, size }, 'its end was not found')
    const found = { offset: at, crc: descriptor.crc, stored: descriptor.stored, size: descriptor.size }
    const end = descriptor.end
    if (end > this.#source.size) return this.#bad(at, header, found, 'it is cut off')
    if (this.#seams.some((seam) => at < seam && seam < end)) {
      return this.#bad(at, header, found, 'it lies partly in a missing part')
    }
    const next = this.#afterDescriptor(header, end)
    if (next !== null) return this.#take(header, found, next)
    if (this.#intact(header, found, start)) return this.#take(header, found, end)
    return this.#bad(at, header, found, 'its header or its data is damaged')
  }

  /** A header that can be one: names nothing impossible. */
  #header(at: number): LocalHeader | null {
    try {
      const header = readLocal(this.#source, at)
      if (header === null || header.name.length === 0 || header.name.includes(0)) return null
      return crossesPart(this.#source, at, at + header.length) ? null : header
    } catch (error) {
      if (error instanceof BackupError && error.code === 'ARCHIVE_DAMAGED') return null
      throw error
    }
  }

  #descriptor(start: number): { crc: number; stored: number; size: number; end: number } | null {
    const found = findDescriptor(this.#source, start, this.#budget)
    this.#budget -= (found?.end ?? this.#source.size) - start
    return found
  }

  /** Where the record after the data begins; null if there is none, so the chain is broken here. */
  #afterDescriptor(header: LocalHeader, end: number): number | null {
    const lengths = (header.flags & z.FLAG_DESCRIPTOR) !== 0 ? [0, 16, 12, 24, 20] : [0]
    for (const length of lengths) {
      if (end + length <= this.#source.size && signatureAt(this.#source, end + length) !== 0) return end + length
    }
    return null
  }

  #take(header: LocalHeader, found: Extent, next: number): number {
    if (this.#entries.count >= this.#limits.entries) {
      throw new BackupError('LIMIT_EXCEEDED', `the archive holds more than ${this.#limits.entries} entries`)
    }
    this.#entries.add({ ...found, hash: hashPath(describeLocal(header, found, -1, next).path) })
    return next
  }

  #bad(at: number, header: LocalHeader, found: Extent, why: string): number {
    const entry = describeLocal(header, found, -1, this.#source.size)
    this.#named.add(at)
    this.#report(entry, `entry ${displayName(entry.path)}: ${why}`)
    return nextRecord(this.#source, at + header.length)
  }

  /** Whether the data gives the CRC: asked only where the chain is broken and the entry may be to blame. */
  #intact(header: LocalHeader, found: Extent, start: number): boolean {
    this.#budget -= found.stored
    if (this.#budget < 0 || (header.method === 0 && found.stored !== found.size)) return false
    const entry = describeLocal(header, found, -1, this.#source.size)
    if (entry.refused !== undefined) return false
    try {
      return crcOf(this.#source, entry, start) === found.crc
    } catch (error) {
      if (error instanceof BackupError && error.code === 'ARCHIVE_DAMAGED') return false
      throw error
    }
  }

  #central(at: number): number {
    let window = this.#source.read(at, RECORD_GUESS)
    if (centralLength(window, 0) === null) window = this.#source.read(at, z.CENTRAL_SIZE + 3 * 0xffff)
    const length = centralLength(window, 0)
    if (length === null || crossesPart(this.#source, at, at + length)) return this.#gap(at)
    let record: CentralRecord
    try {
      record = decodeCentral(window, 0)
    } catch (error) {
      if (error instanceof BackupError && error.code === 'ARCHIVE_DAMAGED') return this.#gap(at)
      throw error
    }
    const offset = (this.#source.partOffsets[record.disk] ?? Number.NaN) + record.offset + this.#shiftOf(record)
    const index = this.#indexOf(record, offset)
    if (index >= 0) this.#describe(index, record)
    else if (!this.#named.has(offset)) {
      this.#report(null, `entry ${displayName(record.name)} is in the directory, but its data was not found`)
    }
    return at + length
  }

  /** The entry a record means: at its place, or displaced with all that lies around it. */
  #indexOf(record: CentralRecord, offset: number): number {
    const index = this.#entries.indexOf(offset)
    if (index >= 0 || this.#named.has(offset)) return index
    return this.#entries.indexBy(hashPath(toEntry(record, -1, 0, 0).path), record.crc)
  }

  #describe(index: number, record: CentralRecord): void {
    const entry = this.#entries.entry(this.#source, index)
    if (entry !== null && !entry.name.equals(record.name)) {
      const names = `${displayName(entry.path)} is called ${displayName(record.name)} in the directory`
      this.#report(entry, `entry ${names}: one of the names is damaged`)
      return
    }
    this.#entries.describe(index, record)
  }

  #shiftOf(record: CentralRecord): number {
    if (this.#shift === null) {
      const first = this.#entries.entry(this.#source, 0)
      this.#shift = first !== null && first.name.equals(record.name) ? Math.max(0, first.offset - record.offset) : 0
    }
    return this.#source.partOffsets.length === 1 ? this.#shift : 0
  }

  #report(entry: ZipEntry | null, message: string): void {
    if (this.#damage.length < DAMAGE_MAX) this.#damage.push({ entry, message })
    else this.#unnamed++
  }
}

/** Behind the marker of a split set, if there is one. */
function signatureAtStart(source: ByteSource): number {
  const bytes = source.read(0, 4)
  const first = bytes.length < 4 ? 0 : bytes.readUInt32LE(0)
  return first === z.SIG_SPLIT || first === z.SIG_UNSPLIT ? 4 : 0
}

/** CRC of an entry's plain bytes, block by block. ARCHIVE_DAMAGED if it does not decode (or is no stream of ours). */
function crcOf(source: ByteSource, entry: ZipEntry, start: number): number {
  let crc = 0
  let plain = 0
  for (const block of rawBlocks(source, entry, start, START)) {
    crc = zlib.crc32(unpackBlock({ data: block.data, method: block.method, size: block.plainSize }).bytes, crc)
    plain = block.next.plain
  }
  if (plain !== entry.size) throw z.damaged('the data does not decode')
  return crc
}
