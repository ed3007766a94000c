import { randomInt } from 'node:crypto'
import type { ArchiveEntry } from './format.ts'

/** Finding paths that occur twice among millions, by hashes. */

/** Drawn anew in each process, so that nobody can craft names whose hashes all meet. */
const SEED = randomInt(0x7fff_ffff)

/** 53-bit hash of a path. */
export function hashPath(path: Buffer): number {
  let a = SEED ^ 0xdeadbeef
  let b = SEED ^ 0x41c6ce57
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

/**
 * Entries whose path an earlier one has already: index → index of the earlier one, ascending. Memory: the
 * hashes twice; names only of those whose hashes meet. `entries` is run through a second time if any do.
 */
export function findDuplicates(hashes: Float64Array, entries: () => Iterable<ArchiveEntry>): Map<number, number> {
  const suspects = repeated(hashes)
  const duplicates = new Map<number, number>()
  if (suspects.size === 0) return duplicates
  const first = new Map<string, number>()
  for (const { index, path } of entries()) {
    if (!suspects.has(hashes[index] ?? 0)) continue
    const key = path.toString('latin1')
    const earlier = first.get(key)
    if (earlier === undefined) first.set(key, index)
    else duplicates.set(index, earlier)
  }
  return duplicates
}
