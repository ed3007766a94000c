import type { ByteSource } from './reader.ts'
import * as z from './zip-records.ts'

/** What the end of an archive says about its directory. All offsets are global, over the parts joined. */
export interface EndRecord {
  readonly count: number
  readonly start: number
  readonly end: number
  /** Bytes of foreign data before the archive, to be added to every recorded offset. */
  readonly shift: number
}

interface RawEnd {
  readonly disk: number
  readonly directoryDisk: number
  readonly entriesHere: number
  readonly entries: number
  readonly length: number
  readonly offset: number
}

/** End record, its longest comment. */
const TAIL = z.END_SIZE + 0xffff

function rawEnd(b: Buffer): RawEnd {
  return {
    disk: b.readUInt16LE(4),
    directoryDisk: b.readUInt16LE(6),
    entriesHere: b.readUInt16LE(8),
    entries: b.readUInt16LE(10),
    length: b.readUInt32LE(12),
    offset: b.readUInt32LE(16),
  }
}

function rawEnd64(b: Buffer): RawEnd {
  return {
    disk: b.readUInt32LE(16),
    directoryDisk: b.readUInt32LE(20),
    entriesHere: z.readU64(b, 24),
    entries: z.readU64(b, 32),
    length: z.readU64(b, 40),
    offset: z.readU64(b, 48),
  }
}

/** Position in `tail` of every end record whose comment ends exactly at the tail's end. */
export function endRecordsIn(tail: Buffer): number[] {
  const found: number[] = []
  for (let at = tail.length - z.END_SIZE; at >= 0; at--) {
    if (tail[at] !== 0x50 || tail.readUInt32LE(at) !== z.SIG_END) continue
    if (at + z.END_SIZE + tail.readUInt16LE(at + 20) === tail.length) found.push(at)
  }
  return found
}

/** The end record of the run of bytes that ends at `limit`; null if there is none. */
function locate(source: ByteSource, limit: number): number | null {
  const length = Math.min(limit, TAIL)
  const found = endRecordsIn(source.read(limit - length, length))
  if (found.length > 1) throw z.damaged('the archive has several end records that disagree')
  return found[0] === undefined ? null : limit - length + found[0]
}

interface Found64 {
  readonly record: RawEnd
  readonly position: number
  /** How far it lies behind the place where the locator says it is. */
  readonly shift: number
}

/** The ZIP64 end record, which ends where its locator begins; null without a locator. */
function findEnd64(source: ByteSource, endAt: number): Found64 | null {
  const locatorAt = endAt - z.LOCATOR_SIZE
  const locator = locatorAt < z.END64_SIZE ? Buffer.alloc(0) : source.read(locatorAt, z.LOCATOR_SIZE)
  if (locator.length < z.LOCATOR_SIZE || locator.readUInt32LE(0) !== z.SIG_LOCATOR) return null
  const parts = source.partOffsets.length
  const disks = locator.readUInt32LE(16)
  if (disks !== parts && !(parts === 1 && disks === 0)) throw wrongParts(disks, parts)
  const base = source.partOffsets[locator.readUInt32LE(4)]
  if (base === undefined) throw z.damaged('the ZIP64 locator names a part that does not exist')
  const recorded = base + z.readU64(locator, 8)
  for (const position of [recorded, locatorAt - z.END64_SIZE]) {
    if (position < 0 || position > locatorAt - z.END64_SIZE) continue
    const record = source.read(position, z.END64_SIZE)
    if (record.length < z.END64_SIZE || record.readUInt32LE(0) !== z.SIG_END64) continue
    if (position + 12 + z.readU64(record, 4) !== locatorAt) continue
    return { record: rawEnd64(record), position, shift: position - recorded }
  }
  throw z.damaged('the ZIP64 end record is not where its locator says')
}

const wrongParts = (said: number, found: number): Error =>
  z.damaged(`the archive says it has ${said} part(s), but ${found} are there`)

/** Fields that are not all ones must say the same in both records. */
function agree(narrow: RawEnd, wide: RawEnd): void {
  const pairs: [number, number, number][] = [
    [narrow.disk, wide.disk, z.ONES16],
    [narrow.directoryDisk, wide.directoryDisk, z.ONES16],
    [narrow.entriesHere, wide.entriesHere, z.ONES16],
    [narrow.entries, wide.entries, z.ONES16],
    [narrow.length, wide.length, z.ONES32],
    [narrow.offset, wide.offset, z.ONES32],
  ]
  for (const [small, large, ones] of pairs) {
    if (small !== large && small !== ones) throw z.damaged('the end record and the ZIP64 end record disagree')
  }
}

/** An end record right before the archive's first byte: two archives joined, read differently by different tools. */
export function refuseJoined(source: ByteSource, first: number): void {
  if (first >= z.END_SIZE && locate(source, first) !== null) {
    throw z.damaged('another archive lies before this one')
  }
}

/** Finds and checks the end records. ARCHIVE_DAMAGED if there are none, several, or ones that contradict the parts. */
export function findEnd(source: ByteSource): EndRecord {
  const at = locate(source, source.size)
  if (at === null) throw z.damaged('the archive has no end record; it was cut off or is no ZIP archive')
  const narrow = rawEnd(source.read(at, z.END_SIZE))
  const wide = findEnd64(source, at)
  if (wide !== null) agree(narrow, wide.record)
  const { disk, directoryDisk, entriesHere, entries, length, offset } = wide?.record ?? narrow
  const parts = source.partOffsets.length
  if (disk !== parts - 1) throw wrongParts(disk + 1, parts)
  const base = source.partOffsets[directoryDisk]
  if (base === undefined) throw z.damaged('the directory begins in a part that does not exist')
  if (parts === 1 && entriesHere !== entries) throw z.damaged('the end record contradicts itself about the entries')
  if (entriesHere > entries) throw z.damaged('the end record counts more entries in the last part than in all')
  const end = wide?.position ?? at
  const shift = end - length - (base + offset)
  if (shift < 0 || (shift > 0 && parts > 1)) throw z.damaged('the directory is not where the end record says')
  if (wide !== null && wide.shift !== shift) throw z.damaged('the ZIP64 locator and the directory disagree')
  if (entries * z.CENTRAL_SIZE > length) {
    throw z.damaged(`a directory of ${length} bytes cannot hold ${entries} entries`)
  }
  return { count: entries, start: base + offset + shift, end, shift }
}
