import path from 'node:path'
import type { Disk } from '../lib/disk.ts'
import { BackupError } from '../lib/errors.ts'
import { firstPartOf, headerOf, openJpaParts } from './jpa-parts.ts'
import { openJpa } from './jpa-reader.ts'
import { HEADER_WITHIN, SIG_ARCHIVE } from './jpa-records.ts'
import { searchHeader } from './jpa-header.ts'
import { findPart, joinParts, openParts, readAt, type PartSource, type PartsOptions } from './parts.ts'
import type { ArchiveReader, ByteSource, ReaderLimits } from './reader.ts'
import { endRecordsIn } from './zip-end.ts'
import { openZip } from './zip-reader.ts'
import { END_SIZE } from './zip-records.ts'

/** One file of an archive, as it lies on the disk. */
export interface ArchivePart {
  readonly name: string
  readonly path: string
  readonly size: number
  readonly dev: bigint
  readonly ino: bigint
  readonly mtimeNs: bigint
}

export interface OpenArchive extends ArchiveReader {
  /** All parts that are there, in order. */
  readonly parts: readonly ArchivePart[]
}

export interface OpenOptions {
  readonly limits: ReaderLimits
  readonly salvage: boolean
}

interface Reading {
  parts(disk: Disk, lastPart: string, options: PartsOptions): PartSource
  open(source: ByteSource, options: OpenOptions): ArchiveReader
}

/** How the parts of each format are found and read. */
export const READINGS = {
  zip: { parts: openParts, open: openZip },
  jpa: { parts: openJpaParts, open: openJpa },
} as const satisfies Record<string, Reading>

/**
 * Which format a file is the last part of. By what stands at its ends and at the beginning of its set; the name
 * decides only where that says nothing (a damaged file, the last part of a split archive). ARCHIVE_UNSUPPORTED for
 * an encrypted one.
 */
export function formatOf(disk: Disk, lastPart: string): keyof typeof READINGS {
  const last = findPart(disk, lastPart)
  const named = /\.jpa$/i.test(lastPart)
  if (headerOf(disk, last) !== null) return 'jpa'
  if (named && headerOf(disk, firstPartOf(disk, lastPart)) !== null) return 'jpa'
  if (last === null) return named ? 'jpa' : 'zip'
  const head = readAt(disk, last.path, 0, 4)
  if (head.subarray(0, 3).equals(SIG_ENCRYPTED)) {
    throw new BackupError('ARCHIVE_UNSUPPORTED', `${lastPart} is an encrypted archive (JPS), which is not read`)
  }
  if (head.subarray(0, 3).equals(SIG_ARCHIVE)) return 'jpa'
  if (ZIP_BEGINS.some((signature) => head.equals(signature))) return 'zip'
  // Either may end with one of the other kind that was not packed: the name says which of both signs counts.
  const signs = named ? [isLaterJpa, isLaterZip] : [isLaterZip, isLaterJpa]
  const sign = signs.find((has) => has(disk, lastPart, last))
  return (sign === undefined ? named : sign === isLaterJpa) ? 'jpa' : 'zip'
}

type Last = NonNullable<ReturnType<typeof findPart>>

function isLaterZip(disk: Disk, _: string, { path: file, size }: Last): boolean {
  const length = Math.min(size, END_SIZE + 0xffff)
  return endRecordsIn(readAt(disk, file, size - length, length)).length > 0
}

/** A header behind something else, or parts that lie beside it. */
function isLaterJpa(disk: Disk, lastPart: string, { path: file, size }: Last): boolean {
  if (/\.jpa$/i.test(lastPart) && firstPartOf(disk, lastPart) !== null) return true
  using source = joinParts(disk, [{ name: path.basename(lastPart), path: file, size }])
  return source.read(0, HEADER_WITHIN).includes(SIG_ARCHIVE) && searchHeader(source) !== null
}

const SIG_ENCRYPTED = Buffer.from('JPS', 'latin1')

/** A local header, the end record of an empty archive, both marks of split ones. */
const ZIP_BEGINS = ['504b0304', '504b0506', '504b0708', '504b3030'].map((hex) => Buffer.from(hex, 'hex'))

/**
 * Opens the archive whose last part is `lastPart` (`x.zip`, `x.jpa`). ARCHIVE_NOT_FOUND, ARCHIVE_DAMAGED,
 * ARCHIVE_UNSUPPORTED, LIMIT_EXCEEDED.
 */
export function openArchive(disk: Disk, lastPart: string, options: OpenOptions): OpenArchive {
  const reading: Reading = READINGS[formatOf(disk, lastPart)]
  const source = reading.parts(disk, lastPart, { salvage: options.salvage })
  try {
    const reader = reading.open(source, options)
    const parts = source.names
      .filter((name) => !source.missing.includes(name))
      .map((name) => partOf(disk, path.join(path.dirname(lastPart), name), name))
    return {
      parts,
      count: reader.count,
      salvaged: reader.salvaged,
      damage: reader.damage,
      entries: (from) => reader.entries(from),
      content: (entry, from) => reader.content(entry, from),
      blocksOf: (entry, from) => reader.blocksOf(entry, from),
      [Symbol.dispose]: () => reader[Symbol.dispose](),
    }
  } catch (error) {
    source[Symbol.dispose]()
    throw error
  }
}

function partOf(disk: Disk, file: string, name: string): ArchivePart {
  const { size, dev, ino, mtimeNs } = disk.stat(file)
  return { name, path: file, size, dev, ino, mtimeNs }
}
