import path from 'node:path'
import type { Disk, DiskPath } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'
import { decodeHeader, type JpaHeader } from './jpa-header.ts'
import { jpa } from './jpa.ts'
import { MOST_PARTS, SIG_ENTITY } from './jpa-records.ts'
import {
  findPart,
  openListed,
  PARTS_MAX,
  partsNamed,
  partsSeen,
  readAt,
  type Part,
  type PartSource,
  type PartsOptions,
} from './parts.ts'

/** Enough for every header there is. */
const HEADER_GUESS = 512

type Found = { readonly path: DiskPath; readonly size: number } | null

/** The header at a file's very beginning, or null. */
export function headerOf(disk: Disk, file: Found): JpaHeader | null {
  return file === null ? null : decodeHeader(readAt(disk, file.path, 0, Math.min(file.size, HEADER_GUESS)), 0)
}

export const baseOf = (last: string): string => path.basename(last).replace(/\.jpa$/i, '')

/** The first part that would lie beside the last one of a split set. */
export function firstPartOf(disk: Disk, last: string): Found {
  return findPart(disk, path.join(path.dirname(last), jpa.partName(baseOf(last), 0, 2)))
}

/** Whether a header is that of an archive in one file. */
const isWhole = (header: JpaHeader | null): boolean => header !== null && (header.parts ?? 1) === 1

/** Parts counted up from `x.j01` until a name is missing, plus the last one. */
function countUp(disk: Disk, last: string): number {
  const folder = path.dirname(last)
  let count = 1
  while (count < PARTS_MAX && findPart(disk, path.join(folder, jpa.partName(baseOf(last), count - 1, count + 1))))
    count++
  return count
}

/**
 * A file that has a header of its own saying so is the whole archive, whatever lies beside it. Else it is the last
 * part, and how many come before it is what the header of `x.j01` says; older writers do not say: then what lies there.
 */
function countParts(disk: Disk, last: string, end: Found, salvage: boolean): number {
  if (isWhole(headerOf(disk, end))) return 1
  const said = headerOf(disk, firstPartOf(disk, last))?.parts ?? 0
  if (said > 1 && said < MOST_PARTS) return said
  const there = countUp(disk, last)
  const seen = partsSeen(disk, path.dirname(last), baseOf(last), 'j')
  if (there > 1) return salvage ? Math.max(there, seen) : there
  // Without its first part a set cannot be read; that it is one shows by its other parts, or by how its last one begins.
  return seen > 1 || startsInside(disk, end) ? Math.max(2, seen) : 1
}

function startsInside(disk: Disk, end: Found): boolean {
  return end !== null && readAt(disk, end.path, 0, 3).equals(SIG_ENTITY)
}

function listParts(disk: Disk, last: string, salvage: boolean): Part[] {
  const end = findPart(disk, last)
  if (end === null && !salvage) throw new BackupError('ARCHIVE_NOT_FOUND', `${last} does not exist`)
  const count = Math.min(countParts(disk, last, end, salvage), PARTS_MAX)
  return partsNamed(disk, last, count, salvage, (index) => jpa.partName(baseOf(last), index, count))
}

/**
 * The parts of a JPA archive as one run of bytes: `x.j01`, `x.j02`, … found beside `x.jpa`. Errors as `openParts`.
 */
export function openJpaParts(disk: Disk, lastPartPath: string, options: PartsOptions = {}): PartSource {
  return openListed(disk, lastPartPath, options, listParts)
}
