import { findDuplicates, hashPath } from './duplicates.ts'
import { displayName } from '../lib/entry-path.ts'
import { checkCount, checkTotals } from './limits.ts'
import type { ReaderLimits } from './reader.ts'
import type { Directory } from './zip-directory.ts'
import type { ZipEntry } from './zip-entry.ts'
import * as z from './zip-records.ts'

export interface Proof {
  /** Global offset of the first header: foreign data may lie before it. */
  readonly first: number
  /** Entries whose path an earlier one has already, with the index of that one. Ascending. */
  readonly duplicates: ReadonlyMap<number, number>
}

/** Least end of an entry: the local header may have a longer extra field, which is checked when it is read. */
const leastEnd = (entry: ZipEntry): number => entry.offset + z.LOCAL_SIZE + entry.name.length + entry.stored

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
 * not come in the order of their data. With `salvage` a sum of sizes is no reason to refuse: one damaged
 * size makes it meaningless, and each entry is held to the limits when it is read.
 */
export function proveDirectory(
  directory: Directory,
  archiveSize: number,
  limits: ReaderLimits,
  salvage: boolean,
): Proof {
  checkCount(directory.count, limits)
  const hashes = new Float64Array(directory.count)
  let reached = 0
  let inOrder = true
  let first = Number.POSITIVE_INFINITY
  let total = 0
  for (const entry of directory.entries()) {
    if (entry.methodId === 0 && entry.stored !== entry.size && (entry.flags & z.FLAG_ENCRYPTED) === 0) {
      throw z.damaged(`entry ${displayName(entry.path)} is stored, but with another size than its own`)
    }
    hashes[entry.index] = hashPath(entry.path)
    inOrder &&= entry.offset >= reached
    reached = leastEnd(entry)
    first = Math.min(first, entry.offset)
    total += entry.size
  }
  if (!salvage) checkTotals('the archive', total, archiveSize, limits)
  if (!inOrder) refuseOverlaps(directory)
  return { first: directory.count === 0 ? 0 : first, duplicates: findDuplicates(hashes, () => directory.entries()) }
}
