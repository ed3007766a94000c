import type { ArchiveEntry } from './format.ts'

/** The parts of an archive joined into one run of bytes. */
export interface ByteSource {
  readonly size: number
  /** Global offset at which part `index` begins. */
  readonly partOffsets: readonly number[]
  /** Up to `length` bytes at `position`; fewer only at the end. */
  read(position: number, length: number): Buffer
  /** The same bytes, in memory that the next call uses again. Absent: `read` does. */
  peek?(position: number, length: number): Buffer
}

/** A place in an entry's data at which decoding can begin in a fresh process. */
export interface Restart {
  /** Bytes of stored data, and of plain data, before it. */
  readonly stored: number
  readonly plain: number
}

export interface Piece {
  /** Decompressed bytes; valid until the next call. */
  readonly bytes: Buffer
  /** Where decoding goes on after these bytes. */
  readonly next: Restart
  /** Whether a fresh process can begin at `next` (block boundaries of our own archives, any byte of a stored entry). */
  readonly restartable: boolean
}

/** A run of stored bytes that unpacks on its own: what `Codec.unpack` takes. */
export interface RawBlock {
  /** The caller's to keep and to hand over. */
  readonly data: Buffer
  readonly method: 'store' | 'deflate'
  readonly plainSize: number
  readonly at: Restart
  readonly next: Restart
}

export interface Damage {
  readonly entry: ArchiveEntry | null
  readonly message: string
}

/**
 * Random access to an archive. Opening proves the structure (end records, directory, counts, no
 * overlaps, headers that agree); content is proven by its CRC where it is read.
 */
export interface ArchiveReader extends Disposable {
  /** Entries the archive says it holds. */
  readonly count: number
  /** Whether the directory was lost and the entries were found by scanning (salvage). */
  readonly salvaged: boolean
  /** Damage found at opening or while scanning (salvage only; otherwise opening throws ARCHIVE_DAMAGED). */
  readonly damage: readonly Damage[]
  /** In the archive's order, beginning with entry `from`. Streams: never all in memory. */
  entries(from?: number): Iterable<ArchiveEntry>
  /**
   * The entry's content from `from` on, in pieces of exactly 1 MiB (the last one shorter). ARCHIVE_DAMAGED if
   * the entry's own header contradicts the directory, or the data does not decode or is longer or shorter than
   * announced; LIMIT_EXCEEDED beyond the ratio limit; the entry's `refused`. The CRC is the caller's to run over
   * the bytes (its state must survive a process); it compares at the end.
   *
   * Going on at a `next` that was not restartable is possible too, but unpacks everything before it again.
   */
  content(entry: ArchiveEntry, from?: Restart): AsyncIterable<Piece>
  /**
   * The same content as raw blocks that unpack independently, hence in parallel; several small entries make
   * one batch. Blocks of a large deflated entry end where a block of our own writer seems to end, which is
   * certain only once it has unpacked to `plainSize`: if it does not, or the blocks stop before the entry's
   * end (a stream without such blocks), go on with `content(entry, block.at)`. `unpackEntry` does all that.
   * Same errors as `content`, but for those of decoding.
   */
  blocksOf(entry: ArchiveEntry, from?: Restart): Iterable<RawBlock>
}

export interface ReaderLimits {
  /** Plain to stored beyond 10 MiB of output. */
  readonly ratio: number
  readonly entries: number
  /** Total plain bytes. */
  readonly bytes: number
}

export const DEFAULT_LIMITS: ReaderLimits = { ratio: 1000, entries: 50_000_000, bytes: Number.MAX_SAFE_INTEGER }
