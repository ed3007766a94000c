import { randomInt } from 'node:crypto'
import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import type { ReaderLimits } from './reader.ts'
import type { Directory } from './zip-directory.ts'
import type { ZipEntry } from './zip-entry.ts'
import * as z from './zip-records.ts'

/** Ratio is a sign of a bomb only beyond this much output. Bytes. */
const RATIO_FROM = 10 << 20

export interface Proof {
  /** Global offset of the first header: foreign data may lie before it. */
  readonly first: number
  /** Entries whose path an earlier one has already, with the index of that one. Ascending. */
  readonly duplicates: ReadonlyMap<number, number>
}

export function checkRatio(what: string, plain: number, stored: number, limits: ReaderLimits): void {
  if (plain <= RATIO_FROM || plain <= stored * limits.ratio) return
  throw new BackupError(
    'LIMIT_EXCEEDED',
    `${what} unpacks to ${plain} bytes from ${stored}, more than ${limits.ratio}:1`,
    {
      data: { plain, stored, limit: limits.ratio },
    },
  )
}

/** Least end of an entry: the local header may have a longer extra field, which is checked when it is read. */
const leastEnd = (entry: ZipEntry): number => entry.offset + z.LOCAL_SIZE + entry.name.length + entry.stored

/** 53-bit hash of a path, seeded: only equal hashes are compared as names. */
function hashPath(path: Buffer, seed: number): number {
  let a = seed ^ 0xdeadbeef
  let b = seed ^ 0x41c6ce57
  for (let i = 0; i < path.length; i++) {
    const byte = path[i] ?? 0
    a = Math.imul(a ^ byte, 0x9e3779b1)
    b = Math.imul(b ^ byte, 0x5f356495)
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return (b >>> 0) * 0x20_0000 + ((a >>> 0) >>> 11)
}

/** Values that occur more than once. Sorts a copy. */
function repeated(values: Float64Array): Set<number> {
  const sorted = values.slice().sort()
  const found = new Set<number>()
  for (let i = 1; i < sorted.length; i++) {
    const value = sorted[i] ?? 0
    if (value === sorted[i - 1]) found.add(value)
  }
  return found
}

function findDuplicates(directory: Directory, hashes: Float64Array): Map<number, number> {
  const suspects = repeated(hashes)
  const duplicates = new Map<number, number>()
  if (suspects.size === 0) return duplicates
  const first = new Map<string, number>()
  for (const { index, path } of directory.entries()) {
    if (!suspects.has(hashes[index] ?? 0)) continue
    const key = path.toString('latin1')
    const earlier = first.get(key)
    if (earlier === undefined) first.set(key, index)
    else duplicates.set(index, earlier)
  }
  return duplicates
}

/** Intervals are disjoint exactly if, each sorted on its own, every end lies before the next start. */
function refuseOverlaps(directory: Directory): void {
  const starts = new Float64Array(directory.count)
  const ends = new Float64Array(directory.count)
  for (const entry of directory.entries()) {
    starts[entry.index] = entry.offset
    ends[entry.index] = leastEnd(entry)
  }
  starts.sort()
  ends.sort()
  for (let i = 1; i < starts.length; i++) {
    if ((starts[i] ?? 0) < (ends[i - 1] ?? 0)) throw z.damaged('entries of the archive overlap')
  }
  directory.useStarts(starts)
}

/**
 * Reads the directory once and proves: every record, their number, that entries do not overlap, and
 * the limits. LIMIT_EXCEEDED or ARCHIVE_DAMAGED. Memory: 8 bytes per entry, 24 where the records do
 * not come in the order of their data.
 */
export function proveDirectory(directory: Directory, archiveSize: number, limits: ReaderLimits): Proof {
  if (directory.count > limits.entries) {
    throw new BackupError(
      'LIMIT_EXCEEDED',
      `the archive holds ${directory.count} entries; the limit is ${limits.entries}`,
    )
  }
  const seed = randomInt(0x7fff_ffff)
  const hashes = new Float64Array(directory.count)
  let reached = 0
  let inOrder = true
  let first = Number.POSITIVE_INFINITY
  let total = 0
  for (const entry of directory.entries()) {
    if (entry.methodId === 0 && entry.stored !== entry.size && (entry.flags & z.FLAG_ENCRYPTED) === 0) {
      throw z.damaged(`entry ${displayName(entry.path)} is stored, but with another size than its own`)
    }
    hashes[entry.index] = hashPath(entry.path, seed)
    inOrder &&= entry.offset >= reached
    reached = leastEnd(entry)
    first = Math.min(first, entry.offset)
    total += entry.size
  }
  if (total > limits.bytes) {
    throw new BackupError('LIMIT_EXCEEDED', `the archive unpacks to ${total} bytes; the limit is ${limits.bytes}`)
  }
  checkRatio('the archive', total, archiveSize, limits)
  if (!inOrder) refuseOverlaps(directory)
  return { first: directory.count === 0 ? 0 : first, duplicates: findDuplicates(directory, hashes) }
}
