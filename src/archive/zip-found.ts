import type { ByteSource } from './reader.ts'
import { toEntry, type CentralRecord, type ZipEntry } from './zip-entry.ts'
import { readLocal, type LocalHeader } from './zip-local.ts'
import * as z from './zip-records.ts'

/** What must be kept of an entry found by its local header; the rest is read from there again. */
export interface Found {
  readonly offset: number
  readonly stored: number
  readonly size: number
  readonly crc: number
  /** Hash of its path. */
  readonly hash: number
}

const FIELDS = 6
const MADE_BY_DOS = 0
/** Central attributes and host of an entry whose directory record was found as well. */
const UNKNOWN = -1

/** Found entries in the order of their offsets, 48 bytes each. */
export class FoundEntries {
  #values = new Float64Array(FIELDS * 256)
  #count = 0
  /** Made when it is first asked for; every entry has been found by then. */
  #byHash: Map<number, number> | null = null

  get count(): number {
    return this.#count
  }

  add({ offset, stored, size, crc, hash }: Found): void {
    const at = this.#count++ * FIELDS
    if (at + FIELDS > this.#values.length) {
      const grown = new Float64Array(this.#values.length * 2)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values.set([offset, stored, size, crc, hash, UNKNOWN], at)
  }

  at(index: number): Found {
    const fields = this.#values.subarray(index * FIELDS, (index + 1) * FIELDS)
    const [offset = 0, stored = 0, size = 0, crc = 0, hash = 0] = fields
    return { offset, stored, size, crc, hash }
  }

  /** Index of the entry whose header begins at `offset`, or -1. */
  indexOf(offset: number): number {
    let low = 0
    let high = this.#count - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const value = this.#values[middle * FIELDS] ?? 0
      if (value === offset) return middle
      if (value < offset) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  /** The first entry with this path (by its hash) and CRC, wherever it was found, or -1. */
  indexBy(hash: number, crc: number): number {
    if (this.#byHash === null) {
      this.#byHash = new Map()
      for (let i = this.#count - 1; i >= 0; i--) this.#byHash.set(this.#values[i * FIELDS + 4] ?? 0, i)
    }
    const index = this.#byHash.get(hash) ?? -1
    return index >= 0 && this.at(index).crc === crc ? index : -1
  }

  /** Whether a directory record was found that means this entry. */
  isDescribed(index: number): boolean {
    return (this.#values[index * FIELDS + 5] ?? UNKNOWN) !== UNKNOWN
  }

  /** Notes the mode bits that only the directory knows. */
  describe(index: number, record: CentralRecord): void {
    this.#values[index * FIELDS + 5] = record.madeBy * 0x1_0000_0000 + record.attributes
  }

  get hashes(): Float64Array {
    const hashes = new Float64Array(this.#count)
    for (let i = 0; i < this.#count; i++) hashes[i] = this.#values[i * FIELDS + 4] ?? 0
    return hashes
  }

  *all(source: ByteSource): Generator<ZipEntry, void, undefined> {
    for (let index = 0; index < this.#count; index++) {
      const entry = this.entry(source, index)
      if (entry !== null) yield entry
    }
  }

  entry(source: ByteSource, index: number): ZipEntry | null {
    const found = this.at(index)
    const local = readLocal(source, found.offset)
    if (local === null) return null
    const known = this.#values[index * FIELDS + 5] ?? UNKNOWN
    const bound = index + 1 < this.#count ? this.at(index + 1).offset : source.size
    return describeLocal(local, found, index, bound, known)
  }
}

/** An entry made from its local header; `known` = made by · 2^32 + attributes from its directory record, or -1. */
export function describeLocal(
  local: LocalHeader,
  found: Omit<Found, 'hash'>,
  index: number,
  bound: number,
  known: number = UNKNOWN,
): ZipEntry {
  // Without the directory, our own mark for links is all there is; names of ours carry the UTF-8 flag.
  const link = local.needed === z.NEEDED_LINK
  const unix = 3 << 8
  const madeBy = known !== UNKNOWN ? Math.floor(known / 0x1_0000_0000) : link ? unix : MADE_BY_DOS
  const attributes = known !== UNKNOWN ? known % 0x1_0000_0000 : link ? ((z.S_IFLNK | 0o777) << 16) >>> 0 : 0
  const record: CentralRecord = {
    madeBy,
    flags: local.flags,
    method: local.method,
    dos: local.dos,
    crc: found.crc,
    stored: found.stored,
    size: found.size,
    disk: 0,
    attributes,
    offset: found.offset,
    name: Buffer.from(local.name),
    extra: Buffer.from(local.extra),
  }
  return toEntry(record, index, found.offset, bound)
}
