import { BackupError } from '../lib/errors.ts'

/** The words of the ZIP format (PKWARE APPNOTE 6.3): signatures, limits, extra fields, times. Little-endian. */

export const SIG_LOCAL = 0x04034b50
export const SIG_CENTRAL = 0x02014b50
export const SIG_END = 0x06054b50
export const SIG_END64 = 0x06064b50
export const SIG_LOCATOR = 0x07064b50
export const SIG_DESCRIPTOR = 0x08074b50
/** First bytes of a split set; the second one when it came out as a single part. */
export const SIG_SPLIT = SIG_DESCRIPTOR
export const SIG_UNSPLIT = 0x30304b50

export const LOCAL_SIZE = 30
export const CENTRAL_SIZE = 46
export const END_SIZE = 22
export const END64_SIZE = 56
export const LOCATOR_SIZE = 20

/** All ones in a field: the value stands in a ZIP64 record. */
export const ONES16 = 0xffff
export const ONES32 = 0xffffffff

/** "Version needed" in our local headers of symlinks, the bytes 0A 03: readers of local headers know them by it. */
export const NEEDED_LINK = 0x030a

export const FLAG_ENCRYPTED = 0x0001
export const FLAG_DESCRIPTOR = 0x0008
export const FLAG_PATCHED = 0x0020
export const FLAG_STRONG = 0x0040
export const FLAG_UTF8 = 0x0800
export const FLAG_MASKED = 0x2000

export const EXTRA_ZIP64 = 0x0001
export const EXTRA_NTFS = 0x000a
export const EXTRA_UT = 0x5455
export const EXTRA_UNICODE_PATH = 0x7075

/** Plain bytes per independent deflate block of our own archives. */
export const BLOCK = 1 << 20

export const S_IFMT = 0o170000
export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000

export function damaged(message: string, cause?: unknown): BackupError {
  return new BackupError('ARCHIVE_DAMAGED', message, cause === undefined ? {} : { cause })
}

/** A u64 field. ARCHIVE_DAMAGED beyond 2^53, which no real archive reaches. */
export function readU64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at + 4) * 0x1_0000_0000 + bytes.readUInt32LE(at)
  if (value > Number.MAX_SAFE_INTEGER) throw damaged('a 64-bit field of the archive holds an impossible value')
  return value
}

/** Payload of the first extra field with this id, or null. A malformed tail is ignored, as everywhere. */
export function findExtra(extra: Buffer, id: number): Buffer | null {
  for (let at = 0; at + 4 <= extra.length;) {
    const length = extra.readUInt16LE(at + 2)
    const end = at + 4 + length
    if (end > extra.length) return null
    if (extra.readUInt16LE(at) === id) return extra.subarray(at + 4, end)
    at = end
  }
  return null
}

export interface DosTime {
  readonly date: number
  readonly time: number
}

const DOS_FIRST = Date.UTC(1980, 0, 1) / 1000
const DOS_LAST = Date.UTC(2107, 11, 31, 23, 59, 58) / 1000
const DAY = 86_400
/** Days from 1 March 2000 to 1 January 1970, and those of 400 and 4 years. */
const TO_2000 = 11_017
const DAYS_400 = 146_097
const DAYS_4 = 1461

/** Calendar date of a day since 1970, with years that begin in March (so that a leap day ends them). */
function dosDate(day: number): number {
  const era = Math.floor((day - TO_2000) / DAYS_400)
  const ofEra = day - TO_2000 - era * DAYS_400
  const centuries = Math.min(3, Math.floor(ofEra / 36_524))
  const ofCentury = ofEra - centuries * 36_524
  const fours = Math.floor(ofCentury / DAYS_4)
  const years = Math.min(3, Math.floor((ofCentury - fours * DAYS_4) / 365))
  const ofYear = ofCentury - fours * DAYS_4 - years * 365
  const month = Math.floor((5 * ofYear + 2) / 153) // 0 = March
  const date = ofYear - Math.floor((153 * month + 2) / 5) + 1
  const year = 2000 + era * 400 + centuries * 100 + fours * 4 + years + (month >= 10 ? 1 : 0)
  return ((year - 1980) << 9) | ((month >= 10 ? month - 9 : month + 3) << 5) | date
}

/** DOS date and time in UTC, clamped to 1980–2107; 2 s steps, rounded down. */
export function toDosTime(seconds: number): DosTime {
  const clamped = seconds >= DOS_FIRST ? Math.min(DOS_LAST, Math.floor(seconds)) : DOS_FIRST
  const day = Math.floor(clamped / DAY)
  const s = clamped - day * DAY
  return {
    date: dosDate(day),
    time: (Math.floor(s / 3600) << 11) | (Math.floor((s % 3600) / 60) << 5) | ((s % 60) >> 1),
  }
}

/** Seconds since 1970 of a DOS time read as UTC. */
export function fromDosTime({ date, time }: DosTime): number {
  const year = 1980 + (date >> 9)
  const day = Date.UTC(year, ((date >> 5) & 15) - 1, date & 31)
  return day / 1000 + (time >> 11) * 3600 + ((time >> 5) & 63) * 60 + (time & 31) * 2
}
