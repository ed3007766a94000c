import type { BackupError } from '../lib/errors.ts'

/**
 * An archive format: pure, bytes in and bytes out. It knows no job, no file, no clock. The sink
 * decides where the bytes go and when they count; the format says what they are.
 */

export interface EntryHead {
  /** Path bytes as the format stores them (already escaped to UTF-8), `/`-separated, no trailing slash. */
  readonly name: Buffer
  readonly kind: 'file' | 'dir' | 'symlink'
  /** Full st_mode. */
  readonly mode: number
  /** Seconds since 1970, may be negative or fractional; formats round down. */
  readonly mtime: number
  readonly uid: number
  readonly gid: number
  /** Uncompressed size as announced: of the open file, or the length of a link's target. */
  readonly size: number
  readonly method: 'store' | 'deflate'
  /** The size is not known yet: 0, and at most what the format's plain fields hold. */
  readonly unsized?: true
}

/** What is known when an entry is complete. */
export interface EntryTotals extends EntryHead {
  readonly crc: number
  /** Bytes of data as stored. */
  readonly stored: number
  /** 0-based part in which the header begins, and its offset there. */
  readonly part: number
  readonly offset: number
}

/** Bytes to put over a hole, relative to the entry's header (or to the archive's start). */
export interface Patch {
  readonly at: number
  readonly bytes: Buffer
}

export interface ArchiveTotals {
  readonly entries: number
  readonly parts: number
  readonly uncompressed: number
  readonly stored: number
  /** Where the directory begins and how long it is. */
  readonly directoryPart: number
  readonly directoryOffset: number
  readonly directoryLength: number
  /** Entries whose directory record lies in the last part. */
  readonly lastPartRecords: number
  /** Where what follows the directory begins, within the last part. */
  readonly epilogueOffset: number
  /** Whether the archive was begun as a split one (`prologue(true)`), however many parts it came to. */
  readonly split: boolean
}

export interface FormatWriter {
  /** The archive's first bytes (part 0). May be empty. */
  prologue(split: boolean): Buffer
  /** Header with final values: for entries whose data is already at hand. */
  head(entry: EntryTotals): Buffer
  /** Header with holes, for an entry that is streamed. */
  openHead(entry: EntryHead): Buffer
  /** The holes of `openHead`, relative to its first byte. */
  patches(entry: EntryTotals): Patch[]
  /** The entry's record in the trailing directory; empty if the format has none. */
  record(entry: EntryTotals): Buffer
  /** What follows the directory. */
  epilogue(totals: ArchiveTotals): Buffer
  /** Holes at the archive's start, filled when it is finished. */
  finish(totals: ArchiveTotals): Patch[]
  /** Largest file an entry can hold; names longer than `maxName` bytes are refused. */
  readonly maxFile: number
  readonly maxName: number
  /** Smallest part size the format allows. */
  readonly minPart: number
  /** Room that `epilogue` takes at most. Bytes. */
  readonly ending: number
  /** Whether each entry's CRC-32 stands in the archive. If not, whoever writes keeps what reading back needs. */
  readonly holdsCrc: boolean
  /** Whether `finish` writes into the first part of several: it stays open until then. */
  readonly finishesFirst: boolean
  /** Larger files are stored, unless asked for otherwise: the format's usual readers unpack in memory. Bytes. */
  readonly deflateUpTo: number
}

export interface Format {
  readonly name: string
  readonly writer: FormatWriter
  /** File name of part `index` of `count`: `x.z01`, …, `x.zip`. */
  partName(base: string, index: number, count: number): string
}

/** One entry as a reader finds it. */
export interface ArchiveEntry {
  /** Position in the archive's own order. */
  readonly index: number
  /** Raw path bytes after undoing our escape; not yet proven safe to write. */
  readonly path: Buffer
  readonly kind: 'file' | 'dir' | 'symlink'
  readonly mode: number
  /** Seconds, fractional where the format holds more; null: the archive holds none for this entry. */
  readonly mtime: number | null
  readonly size: number
  readonly stored: number
  readonly method: 'store' | 'deflate'
  /** Null: the format holds none. */
  readonly crc: number | null
  /** Global offset of the entry's own header over all parts joined. */
  readonly offset: number
  /** CRC-32 of that header as it was read, in a format that says nothing twice; absent: the reader compares. */
  readonly headCrc?: number
  /**
   * Why nothing may be written for this entry, whatever its path: ENTRY_REFUSED (raw backslash, name not
   * in the encoding it claims, device, folder with data), ARCHIVE_UNSUPPORTED (method, encryption). Reading
   * its content throws this.
   */
  readonly refused?: BackupError
}
