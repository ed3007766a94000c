import { BackupError } from '../lib/errors.ts'
import * as j from './jpa-records.ts'
import type { ByteSource } from './reader.ts'
import { damaged } from './zip-records.ts'

/** What the header of an archive says. */
export interface JpaHeader {
  /** Offset of its first byte, and its length with all extras. */
  readonly at: number
  readonly length: number
  readonly entries: number
  /** The lower 32 bits of both totals. */
  readonly narrow: Totals
  /** Both totals whole (1.3). */
  readonly wide: Totals | null
  /** Number of parts of a split archive; 0 until it is finished; null: not split. */
  readonly parts: number | null
}

export interface Totals {
  readonly uncompressed: number
  readonly stored: number
}

const MAJOR = 1
/** Longest header there can be: its length is a u16. */
const LONGEST = 0xffff

/** A u64, or null beyond 2^53, which no real archive reaches. */
export function u64At(b: Buffer, at: number): number | null {
  const value = b.readUInt32LE(at + 4) * j.MODULO + b.readUInt32LE(at)
  return value > Number.MAX_SAFE_INTEGER ? null : value
}

/** Header at `at`, or null if there is none: lengths that do not add up, another major version. Unknown extras are skipped. */
export function decodeHeader(b: Buffer, at: number): JpaHeader | null {
  if (at + j.HEADER_SIZE > b.length || !b.subarray(at, at + 3).equals(j.SIG_ARCHIVE)) return null
  const length = b.readUInt16LE(at + 3)
  const end = at + length
  if (length < j.HEADER_SIZE || end > b.length || b[at + 5] !== MAJOR) return null
  let wide: Totals | null = null
  let parts: number | null = null
  let extra = at + j.HEADER_SIZE
  for (; extra + 6 <= end; extra += 4 + b.readUInt16LE(extra + 4)) {
    const size = b.readUInt16LE(extra + 4)
    const signature = b.readUInt32LE(extra)
    if (size < 2 || extra + 4 + size > end) return null
    if (signature === j.EXTRA_SPANNED && size >= j.SPANNED_LENGTH) parts = b.readUInt16LE(extra + 6)
    if (signature !== j.EXTRA_TOTALS || size < j.TOTALS_LENGTH) continue
    const [uncompressed, stored] = [u64At(b, extra + 6), u64At(b, extra + 14)]
    if (uncompressed === null || stored === null) return null
    wide = { uncompressed, stored }
  }
  if (extra !== end) return null
  const narrow = { uncompressed: b.readUInt32LE(at + 11), stored: b.readUInt32LE(at + 15) }
  return { at, length, entries: b.readUInt32LE(at + 7), narrow, wide, parts }
}

/** What a search reads at first and at most. Bytes. */
const WINDOW_FIRST = 4 << 10
const WINDOW_MOST = 1 << 20

/**
 * Offsets of `what` in `source` from `from` up to `to`; windows overlap, so that none is missed. They begin small:
 * a hostile archive makes a search begin every few bytes, which must not read a large window each time.
 */
export function* hitsOf(source: ByteSource, what: Buffer, from: number, to: number): Generator<number> {
  let most = WINDOW_FIRST
  for (let base = from; base + what.length <= to; most = Math.min(4 * most, WINDOW_MOST)) {
    const window = source.read(base, Math.min(most, to - base))
    if (window.length < what.length) return
    for (let at = window.indexOf(what); at !== -1; at = window.indexOf(what, at + 1)) yield base + at
    base += window.length - what.length + 1
  }
}

/**
 * The archive's header: at the beginning, or within the first 128 KiB where something else lies before it
 * (then only if an entity follows at once). Null if there is none. ARCHIVE_UNSUPPORTED for another major version.
 */
export function searchHeader(source: ByteSource): JpaHeader | null {
  const limit = Math.min(source.partOffsets[1] ?? source.size, source.size)
  const first = source.read(0, Math.min(limit, LONGEST))
  const own = decodeHeader(first, 0)
  if (own !== null) return own
  if (first.length >= j.HEADER_SIZE && first.subarray(0, 3).equals(j.SIG_ARCHIVE) && first[5] !== MAJOR) {
    throw new BackupError('ARCHIVE_UNSUPPORTED', `the archive is JPA ${first[5]}.${first[6]}; 1.x is known`)
  }
  for (const at of hitsOf(source, j.SIG_ARCHIVE, 1, Math.min(limit, j.HEADER_WITHIN + j.SIG_ARCHIVE.length))) {
    const found = decodeHeader(source.read(at, Math.min(LONGEST, limit - at)), 0)
    if (found === null) continue
    const behind = source.read(at + found.length, 3)
    if (behind.equals(j.SIG_ENTITY)) return { ...found, at }
  }
  return null
}

/** The header of an archive that can be read. ARCHIVE_DAMAGED if there is none, or the archive was never finished. */
export function requireHeader(source: ByteSource): JpaHeader {
  const header = searchHeader(source)
  if (header === null) {
    throw damaged('there is no JPA header; the archive is cut off, is none, or its first part (.j01) is missing')
  }
  if (header.entries === 0) {
    throw damaged('the archive was never finished: its header counts no entries')
  }
  const parts = source.partOffsets.length
  const { parts: said } = header
  if (said !== null && said !== parts && said !== 0 && said < j.MOST_PARTS) {
    throw damaged(`the archive says it has ${said} part(s), but ${parts} are there`)
  }
  return header
}
