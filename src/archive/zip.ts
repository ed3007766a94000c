import { BackupError } from '../lib/errors.ts'
import type { ArchiveTotals, EntryHead, EntryTotals, Format, FormatWriter, Patch } from './format.ts'
import * as z from './zip-records.ts'

/**
 * ZIP as every ordinary tool opens it, and also readers that look at local headers only: real sizes
 * and CRC in local headers, no data descriptors, no flag but UTF-8, methods 0 and 8, ZIP64 only where
 * a value needs it.
 */

const MADE_BY = 0x031e // unix, so that the mode bits count; APPNOTE 3.0
const NEEDED = 20
const NEEDED_ZIP64 = 45
/** A deflated entry may come out a little larger than its source; beyond this size its ZIP64 field is reserved. */
const DEFLATE_MARGIN = 64 << 20
const CRC_AT = 14
const INT32_MIN = -0x8000_0000
const INT32_MAX = 0x7fff_ffff

/** Name as stored: folders end in a slash. */
function storedName(entry: EntryHead): Buffer {
  const name = entry.kind === 'dir' ? Buffer.concat([entry.name, Buffer.from('/')]) : entry.name
  if (name.length > 0xffff) {
    throw new BackupError('NAME_TOO_LONG', `a name of ${name.length} bytes does not fit into a ZIP archive`)
  }
  return name
}

/** Whether the local header carries both sizes as 64 bits. Known when the entry is opened, and stays. */
export function localNeedsZip64(entry: Pick<EntryHead, 'size' | 'method'>): boolean {
  return entry.size >= z.ONES32 - (entry.method === 'deflate' ? DEFLATE_MARGIN : 0)
}

/** Length of the extended timestamp: none where signed 32-bit seconds cannot hold the time. */
function timeLength(mtime: number): 0 | 9 {
  const seconds = Math.floor(mtime)
  return seconds >= INT32_MIN && seconds <= INT32_MAX ? 9 : 0
}

/** Extended timestamp: modification time only. */
function writeTime(out: Buffer, at: number, mtime: number): void {
  if (timeLength(mtime) === 0) return
  out.writeUInt16LE(z.EXTRA_UT, at)
  out.writeUInt16LE(5, at + 2)
  out.writeUInt8(1, at + 4)
  out.writeInt32LE(Math.floor(mtime), at + 5)
}

function u64s(...values: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(8 * values.length)
  values.forEach((value, i) => bytes.writeBigUInt64LE(BigInt(value), 8 * i))
  return bytes
}

function writeHeadFields(out: Buffer, at: number, entry: EntryHead, needed: number): void {
  const { date, time } = z.toDosTime(entry.mtime)
  out.writeUInt16LE(needed, at)
  out.writeUInt16LE(z.FLAG_UTF8, at + 2)
  out.writeUInt16LE(entry.method === 'deflate' ? 8 : 0, at + 4)
  out.writeUInt16LE(time, at + 6)
  out.writeUInt16LE(date, at + 8)
}

function local(entry: EntryHead, crc: number, stored: number): Buffer {
  const name = storedName(entry)
  const zip64 = localNeedsZip64(entry)
  const extra = (zip64 ? 20 : 0) + timeLength(entry.mtime)
  const out = Buffer.allocUnsafe(z.LOCAL_SIZE + name.length + extra)
  out.writeUInt32LE(z.SIG_LOCAL, 0)
  writeHeadFields(out, 4, entry, entry.kind === 'symlink' ? z.NEEDED_LINK : zip64 ? NEEDED_ZIP64 : NEEDED)
  out.writeUInt32LE(crc, CRC_AT)
  out.writeUInt32LE(zip64 ? z.ONES32 : stored, 18)
  out.writeUInt32LE(zip64 ? z.ONES32 : entry.size, 22)
  out.writeUInt16LE(name.length, 26)
  out.writeUInt16LE(extra, 28)
  let at = z.LOCAL_SIZE + name.copy(out, z.LOCAL_SIZE)
  if (zip64) {
    out.writeUInt16LE(z.EXTRA_ZIP64, at)
    out.writeUInt16LE(16, at + 2)
    at += 4 + u64s(entry.size, stored).copy(out, at + 4)
  }
  writeTime(out, at, entry.mtime)
  return out
}

/** The part of the finished local header that `openHead` could not know. */
function patches(entry: EntryTotals): Patch[] {
  const whole = local(entry, entry.crc, entry.stored)
  const cut = (at: number, length: number): Patch => ({ at, bytes: whole.subarray(at, at + length) })
  if (entry.method === 'store' && entry.unsized !== true) return [cut(CRC_AT, 4)]
  if (!localNeedsZip64(entry)) return [cut(CRC_AT, 12)]
  const extra = z.LOCAL_SIZE + whole.readUInt16LE(26)
  return [cut(CRC_AT, 4), cut(extra + 4, 16)]
}

const NOTHING = Buffer.alloc(0)

/** ZIP64 field of a central record: only what does not fit, in this order. */
function centralZip64(entry: EntryTotals): Buffer {
  const disk = entry.part >= z.ONES16
  if (Math.max(entry.size, entry.stored, entry.offset) < z.ONES32 && !disk) return NOTHING
  const wide = [entry.size, entry.stored, entry.offset].filter((value) => value >= z.ONES32)
  const head = Buffer.allocUnsafe(4)
  head.writeUInt16LE(z.EXTRA_ZIP64, 0)
  head.writeUInt16LE(8 * wide.length + (disk ? 4 : 0), 2)
  const tail = Buffer.alloc(disk ? 4 : 0)
  if (disk) tail.writeUInt32LE(entry.part, 0)
  return Buffer.concat([head, u64s(...wide), tail])
}

const KIND_BITS = { file: z.S_IFREG, dir: z.S_IFDIR, symlink: z.S_IFLNK } as const

function attributes(entry: EntryHead): number {
  const mode = (entry.mode & z.S_IFMT) === 0 ? entry.mode | KIND_BITS[entry.kind] : entry.mode
  return (((mode & 0xffff) << 16) | (entry.kind === 'dir' ? 0x10 : 0)) >>> 0
}

const narrow32 = (value: number): number => Math.min(value, z.ONES32)
const narrow16 = (value: number): number => Math.min(value, z.ONES16)

function record(entry: EntryTotals): Buffer {
  const name = storedName(entry)
  const zip64 = centralZip64(entry)
  const extra = zip64.length + timeLength(entry.mtime)
  const out = Buffer.allocUnsafe(z.CENTRAL_SIZE + name.length + extra)
  out.writeUInt32LE(z.SIG_CENTRAL, 0)
  out.writeUInt16LE(MADE_BY, 4)
  writeHeadFields(out, 6, entry, zip64.length > 0 || localNeedsZip64(entry) ? NEEDED_ZIP64 : NEEDED)
  out.writeUInt32LE(entry.crc, 16)
  out.writeUInt32LE(narrow32(entry.stored), 20)
  out.writeUInt32LE(narrow32(entry.size), 24)
  out.writeUInt16LE(name.length, 28)
  out.writeUInt16LE(extra, 30)
  out.writeUInt16LE(0, 32) // no comment
  out.writeUInt16LE(narrow16(entry.part), 34)
  out.writeUInt16LE(0, 36) // internal attributes
  out.writeUInt32LE(attributes(entry), 38)
  out.writeUInt32LE(narrow32(entry.offset), 42)
  let at = z.CENTRAL_SIZE + name.copy(out, z.CENTRAL_SIZE)
  at += zip64.length > 0 ? zip64.copy(out, at) : 0
  writeTime(out, at, entry.mtime)
  return out
}

function end64(totals: ArchiveTotals): Buffer {
  const out = Buffer.alloc(z.END64_SIZE + z.LOCATOR_SIZE)
  out.writeUInt32LE(z.SIG_END64, 0)
  u64s(z.END64_SIZE - 12).copy(out, 4)
  out.writeUInt16LE(MADE_BY, 12)
  out.writeUInt16LE(NEEDED_ZIP64, 14)
  out.writeUInt32LE(totals.parts - 1, 16)
  out.writeUInt32LE(totals.directoryPart, 20)
  u64s(totals.lastPartRecords, totals.entries, totals.directoryLength, totals.directoryOffset).copy(out, 24)
  out.writeUInt32LE(z.SIG_LOCATOR, 56)
  out.writeUInt32LE(totals.parts - 1, 60)
  u64s(totals.epilogueOffset).copy(out, 64)
  out.writeUInt32LE(totals.parts, 72)
  return out
}

function epilogue(totals: ArchiveTotals): Buffer {
  const out = Buffer.alloc(z.END_SIZE)
  out.writeUInt32LE(z.SIG_END, 0)
  out.writeUInt16LE(narrow16(totals.parts - 1), 4)
  out.writeUInt16LE(narrow16(totals.directoryPart), 6)
  out.writeUInt16LE(narrow16(totals.lastPartRecords), 8)
  out.writeUInt16LE(narrow16(totals.entries), 10)
  out.writeUInt32LE(narrow32(totals.directoryLength), 12)
  out.writeUInt32LE(narrow32(totals.directoryOffset), 16)
  const wide =
    Math.max(totals.entries, totals.parts - 1) >= z.ONES16 ||
    Math.max(totals.directoryLength, totals.directoryOffset) >= z.ONES32
  return wide ? Buffer.concat([end64(totals), out]) : out
}

function marker(signature: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32LE(signature, 0)
  return bytes
}

const writer: FormatWriter = {
  prologue: (split) => (split ? marker(z.SIG_SPLIT) : Buffer.alloc(0)),
  head: (entry) => local(entry, entry.crc, entry.stored),
  openHead: (entry) => local(entry, 0, entry.method === 'store' ? entry.size : 0),
  patches,
  record,
  epilogue,
  finish: (totals) => (totals.split && totals.parts === 1 ? [{ at: 0, bytes: marker(z.SIG_UNSPLIT) }] : []),
  maxFile: Number.MAX_SAFE_INTEGER,
  maxName: 65_535,
  minPart: 65_536,
  ending: 256, // the three end records
  holdsCrc: true,
  finishesFirst: false,
  deflateUpTo: Number.POSITIVE_INFINITY,
}

export const zip: Format = {
  name: 'zip',
  writer,
  partName: (base, index, count) =>
    index === count - 1 ? `${base}.zip` : `${base}.z${String(index + 1).padStart(2, '0')}`,
}
