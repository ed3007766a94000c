import path from 'node:path'
import type { Disk } from '../lib/disk.ts'
import { openParts } from './parts.ts'
import type { ArchiveReader, ReaderLimits } from './reader.ts'
import { openZip } from './zip-reader.ts'

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

/**
 * Opens the archive whose last part is `lastPart` (`x.zip`). ARCHIVE_NOT_FOUND, ARCHIVE_DAMAGED,
 * ARCHIVE_UNSUPPORTED, LIMIT_EXCEEDED.
 */
export function openArchive(disk: Disk, lastPart: string, options: OpenOptions): OpenArchive {
  const source = openParts(disk, lastPart, { salvage: options.salvage })
  try {
    const reader = openZip(source, options)
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
