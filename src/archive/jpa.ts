import { BackupError } from '../lib/errors.ts'
import type { ArchiveTotals, EntryHead, EntryTotals, Format, FormatWriter, Patch } from './format.ts'
import * as j from './jpa-records.ts'
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './zip-records.ts'

/**
 * JPA 1.3: a header with totals, then one entity per entry: a description block, which lies whole in one
 * part, and its data, which may be cut anywhere. Sizes stand twice, as 32 and as 64 bits. There is no
 * directory and no checksum.
 */

const NOTHING = Buffer.alloc(0)
const KIND_BITS = { file: S_IFREG, dir: S_IFDIR, symlink: S_IFLNK } as const

/** Extras included, a block's length is a u16. */
const MAX_NAME = 0xffff - j.ENTITY_SIZE - j.TIME_LENGTH - j.SIZES_LENGTH

/** Name as stored: folders end in a slash, links never do. */
function storedName(entry: EntryHead): Buffer {
  const name = entry.kind === 'dir' ? Buffer.concat([entry.name, Buffer.from('/')]) : entry.name
  if (name.length > MAX_NAME) {
    throw new BackupError('NAME_TOO_LONG', `a name of ${name.length} bytes does not fit into a JPA archive`)
  }
  return name
}

/** Only files have a time, and only one that unsigned 32 bits hold; 0 means none. */
function timeOf(entry: EntryHead): number | null {
  const seconds = Math.floor(entry.mtime)
  return entry.kind === 'file' && seconds > 0 && seconds < j.MODULO ? seconds : null
}

function describe(entry: EntryHead, stored: number): Buffer {
  const name = storedName(entry)
  const time = timeOf(entry)
  const length = j.ENTITY_SIZE + name.length + (time === null ? 0 : j.TIME_LENGTH) + j.SIZES_LENGTH
  const out = Buffer.allocUnsafe(length)
  j.SIG_ENTITY.copy(out, 0)
  out.writeUInt16LE(length, 3)
  out.writeUInt16LE(name.length, 5)
  let at = 7 + name.copy(out, 7)
  out.writeUInt8(j.TYPES.indexOf(entry.kind), at)
  out.writeUInt8(j.COMPRESSION[entry.method], at + 1)
  out.writeUInt32LE(stored % j.MODULO, at + 2)
  out.writeUInt32LE(entry.size % j.MODULO, at + 6)
  out.writeUInt32LE((entry.mode & S_IFMT) === 0 ? entry.mode | KIND_BITS[entry.kind] : entry.mode, at + 10)
  at += 14
  if (time !== null) {
    out.writeUInt16LE(j.EXTRA_TIME, at)
    out.writeUInt16LE(j.TIME_LENGTH, at + 2)
    out.writeUInt32LE(time, at + 4)
    at += j.TIME_LENGTH
  }
  out.writeUInt16LE(j.EXTRA_SIZES, at)
  out.writeUInt16LE(j.SIZES_LENGTH, at + 2)
  out.writeBigUInt64LE(BigInt(stored), at + 4) // stored first here, last in the archive's header
  out.writeBigUInt64LE(BigInt(entry.size), at + 12)
  return out
}

/**
 * The stored size, in both places, and the plain one behind it where that was not known either. Both of a file that is
 * stored mostly were from the beginning.
 */
function patches(entry: EntryTotals): Patch[] {
  if (entry.method === 'store' && entry.unsized !== true) return []
  const whole = describe(entry, entry.stored)
  const cut = (at: number, length: number): Patch => ({ at, bytes: whole.subarray(at, at + length) })
  const sizes = entry.unsized === true ? 2 : 1
  return [cut(9 + whole.readUInt16LE(5), 4 * sizes), cut(whole.length - j.SIZES_LENGTH + 4, 8 * sizes)]
}

type Counted = Pick<ArchiveTotals, 'entries' | 'parts' | 'uncompressed' | 'stored'>

/** Of a length that does not change when the archive is finished. */
function header(split: boolean, { entries, parts, uncompressed, stored }: Counted): Buffer {
  const spanned = split ? 4 + j.SPANNED_LENGTH : 0
  const out = Buffer.alloc(j.HEADER_SIZE + spanned + 4 + j.TOTALS_LENGTH)
  j.SIG_ARCHIVE.copy(out, 0)
  out.writeUInt16LE(out.length, 3)
  out.writeUInt8(1, 5)
  out.writeUInt8(3, 6)
  out.writeUInt32LE(entries, 7)
  out.writeUInt32LE(uncompressed % j.MODULO, 11)
  out.writeUInt32LE(stored % j.MODULO, 15)
  let at = j.HEADER_SIZE
  if (split) {
    out.writeUInt32LE(j.EXTRA_SPANNED, at)
    out.writeUInt16LE(j.SPANNED_LENGTH, at + 4)
    out.writeUInt16LE(Math.min(parts, j.MOST_PARTS), at + 6) // readers count files; beyond, the field says "at least"
    at += spanned
  }
  out.writeUInt32LE(j.EXTRA_TOTALS, at)
  out.writeUInt16LE(j.TOTALS_LENGTH, at + 4)
  out.writeBigUInt64LE(BigInt(uncompressed), at + 6)
  out.writeBigUInt64LE(BigInt(stored), at + 14)
  return out
}

function finish(totals: ArchiveTotals): Patch[] {
  if (totals.entries >= j.MODULO) {
    throw new BackupError('LIMIT_EXCEEDED', `a JPA archive cannot count ${totals.entries} entries`, {
      hint: 'Back up into a ZIP archive, or in several runs.',
    })
  }
  return [{ at: 0, bytes: header(totals.split, totals) }]
}

const writer: FormatWriter = {
  prologue: (split) => header(split, { entries: 0, parts: 0, uncompressed: 0, stored: 0 }),
  head: (entry) => describe(entry, entry.stored),
  openHead: (entry) => describe(entry, entry.method === 'store' ? entry.size : 0),
  patches,
  record: () => NOTHING,
  epilogue: () => NOTHING,
  finish,
  maxFile: Number.MAX_SAFE_INTEGER,
  maxName: MAX_NAME,
  minPart: 65_536,
  ending: 0,
  holdsCrc: false,
  finishesFirst: true,
  deflateUpTo: 10 << 20,
}

export const jpa: Format = {
  name: 'jpa',
  writer,
  // A set of one part is `x.jpa` alone: a `x.j01` beside it would be taken for its beginning.
  partName: (base, index, count) =>
    index === count - 1 ? `${base}.jpa` : `${base}.j${String(index + 1).padStart(2, '0')}`,
}
