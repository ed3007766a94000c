import { OWN_FROM } from '../lib/release.ts'
import { discarded } from '../lib/scavenge.ts'
import type { ByteSource, RawBlock, Restart } from './reader.ts'
import type { ArchiveEntry } from './format.ts'
import { BLOCK } from './zip-records.ts'

/**
 * Finding the independent blocks of our own writer inside a deflate stream: exactly 1 MiB of plain
 * bytes each, ended by the `00 00 FF FF` of a sync flush; the last one by `03 00`.
 */

const MARKER = Buffer.from('0000ffff', 'hex')
/** The empty final block. A block with it behind is a complete stream, so its end can be proven. */
const FINAL = Buffer.from('0300', 'hex')
/** Deflate cannot shrink 1 MiB further. */
const SHORTEST = Math.floor(BLOCK / 1032)
/** Nor does our writer ever let it grow beyond this. */
const LONGEST = BLOCK + (64 << 10)
/** Below this the read-ahead of `read` serves better. */
const PEEK_FROM = 512 << 10

/**
 * Skips stored deflate blocks, whose lengths stand in plain sight: where they begin, the plain bytes they
 * hold. A block of ours that was not compressible consists of nothing else, whatever its content looks like.
 */
function skipStored(data: Buffer): { at: number; plain: number } {
  let at = 0
  let plain = 0
  while (plain < BLOCK && at + 5 <= data.length && data[at] === 0) {
    const length = data.readUInt16LE(at + 1)
    if ((length ^ data.readUInt16LE(at + 3)) !== 0xffff) break
    at += 5 + length
    plain += length
  }
  return { at, plain }
}

/** Lengths at which the block at the beginning of `data` may end, likeliest first. */
export function* blockEnds(data: Buffer): Generator<number, void, undefined> {
  const stored = skipStored(data)
  if (stored.plain === BLOCK && stored.at <= data.length) {
    const marked = data.subarray(stored.at + 1, stored.at + 5).equals(MARKER) && data[stored.at] === 0
    yield marked ? stored.at + 5 : stored.at
    return
  }
  const from = Math.max(SHORTEST, stored.at) - MARKER.length
  for (let at = data.indexOf(MARKER, from); at !== -1; at = data.indexOf(MARKER, at + 1)) yield at + MARKER.length
}

/** Valid until the source is read again: the stored bytes from `at` on that hold the next block, and the plain length it must have. */
export function blockWindow(source: ByteSource, entry: ArchiveEntry, start: number, at: Restart): Buffer {
  const length = Math.min(LONGEST, entry.stored - at.stored)
  const from = start + at.stored
  return length >= PEEK_FROM && source.peek !== undefined ? source.peek(from, length) : source.read(from, length)
}

/** Whether what is left is the entry's last (or only) block and fits into one window. */
export function isLast(entry: ArchiveEntry, at: Restart): boolean {
  return entry.size - at.plain <= BLOCK && entry.stored - at.stored <= LONGEST
}

/** The block as a complete stream of its own. A copy, to be released by whoever used it. */
export function asStream(window: Buffer, length: number, last: boolean): Buffer {
  if (length < OWN_FROM) discarded(length)
  if (last) return Buffer.from(window.subarray(0, length))
  return Buffer.concat([window.subarray(0, length), FINAL])
}

/** Raw blocks of an entry whose data begins at `start`. Stops where no block end is in sight. */
export function* rawBlocks(
  source: ByteSource,
  entry: ArchiveEntry,
  start: number,
  from: Restart,
): Generator<RawBlock, void, undefined> {
  for (let at = from; at.plain < entry.size;) {
    const block = entry.method === 'store' ? storedBlock(source, entry, start, at) : deflated(source, entry, start, at)
    if (block === null) return
    yield block
    at = block.next
  }
}

function storedBlock(source: ByteSource, entry: ArchiveEntry, start: number, at: Restart): RawBlock {
  const plainSize = Math.min(BLOCK, entry.size - at.plain)
  const data = source.read(start + at.stored, plainSize)
  const next = { stored: at.stored + plainSize, plain: at.plain + plainSize }
  return { data, method: 'store', plainSize, at, next }
}

function deflated(source: ByteSource, entry: ArchiveEntry, start: number, at: Restart): RawBlock | null {
  const last = isLast(entry, at)
  const window = blockWindow(source, entry, start, at)
  const length = last ? window.length : (blockEnds(window).next().value ?? 0)
  if (length === 0 || (!last && entry.size - at.plain <= BLOCK)) return null
  const plainSize = last ? entry.size - at.plain : BLOCK
  const next = { stored: at.stored + length, plain: at.plain + plainSize }
  return { data: asStream(window, length, last), method: 'deflate', plainSize, at, next }
}
