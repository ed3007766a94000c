import path from 'node:path'
import type { ArchiveEntry } from '../archive/format.ts'
import { findManifest } from '../archive/find-manifest.ts'
import type { ManifestEntry } from '../archive/manifest.ts'
import { formatOf, READINGS } from '../archive/open-archive.ts'
import { findPart, joinParts, type PartSource } from '../archive/parts.ts'
import { DEFAULT_LIMITS, type ArchiveReader } from '../archive/reader.ts'
import type { PartRef } from '../engine/archives.ts'
import type { Disk } from '../lib/disk.ts'
import { BackupError, errnoOf } from '../lib/errors.ts'
import { Listing, sortedText } from './listing.ts'
import { EntryText } from './text.ts'

type FormatName = keyof typeof READINGS

/** An archive of a backup, by its parts as they were recorded; or any archive, by its last part. */
export type ArchiveRef =
  | { readonly format: FormatName; readonly parts: readonly PartRef[] }
  | { readonly lastPart: string }

/** An archive without a manifest is listed in memory: up to so many entries. */
const MOST_LISTED = 1_000_000

/** An archive that is being looked at. What it costs to know its entries is paid when they are first asked for. */
export class OpenedArchive implements Disposable {
  readonly #format: FormatName
  readonly #source: PartSource
  #listing: Listing | null = null
  #reader: ArchiveReader | null = null

  /** ARCHIVE_NOT_FOUND, SOURCE_UNREADABLE. */
  constructor(disk: Disk, ref: ArchiveRef) {
    if ('parts' in ref) {
      this.#format = ref.format
      this.#source = joinParts(disk, ref.parts)
    } else {
      this.#format = formatOf(disk, ref.lastPart)
      this.#source = READINGS[this.#format].parts(disk, ref.lastPart, { salvage: false })
    }
  }

  /** From its manifest, whose other words are not proven here; else from its directory. */
  listing(): Listing {
    this.#listing ??= this.#ownListing() ?? this.#foreignListing()
    return this.#listing
  }

  /** The line about a path in the manifest; null without one. */
  line(path: Buffer): ManifestEntry | null {
    return this.listing().find(path)
  }

  /** With its structure proven. */
  reader(): ArchiveReader {
    this.#reader ??= READINGS[this.#format].open(this.#source, { limits: DEFAULT_LIMITS, salvage: false })
    return this.#reader
  }

  [Symbol.dispose](): void {
    this.#listing?.[Symbol.dispose]()
    this.#source[Symbol.dispose]()
  }

  #ownListing(): Listing | null {
    try {
      const located = findManifest(this.#source)
      return located === null ? null : new Listing(new EntryText(located))
    } catch (error) {
      // Packed by somebody else, or damaged: the directory says what is there, or what is wrong.
      if (error instanceof BackupError && error.code === 'ARCHIVE_DAMAGED') return null
      throw error
    }
  }

  #foreignListing(): Listing {
    const reader = this.reader()
    if (reader.count > MOST_LISTED)
      throw new BackupError('LIMIT_EXCEEDED', `the archive holds ${reader.count} entries and no manifest of ours`, {
        hint: `Without a manifest up to ${MOST_LISTED} entries are shown; restore it to look at it.`,
      })
    return new Listing(sortedText(Array.from(reader.entries(), lineOf)))
  }
}

function lineOf({ path, kind, size, mode, mtime }: ArchiveEntry): ManifestEntry {
  const mtimeNs = mtime === null ? 0n : BigInt(Math.round(mtime * 1000)) * 1_000_000n
  return { path, type: kind, size, mode, mtimeNs, uid: 0, gid: 0, digest: null }
}

/** What tells whether an archive is still the one that was opened. ARCHIVE_NOT_FOUND. */
export function identityOf(disk: Disk, ref: ArchiveRef): string {
  if ('parts' in ref) return JSON.stringify(ref.parts.map((part) => identityOfPart(disk, part)))
  const found = findPart(disk, ref.lastPart)
  if (found === null) throw new BackupError('ARCHIVE_NOT_FOUND', `${ref.lastPart} does not exist`)
  const { ino, mtimeNs } = disk.stat(found.path)
  return JSON.stringify([ref.lastPart, found.size, String(ino), String(mtimeNs)])
}

function identityOfPart(disk: Disk, part: PartRef): string[] {
  try {
    const stat = disk.lstat(part.path)
    if (stat.kind !== 'file' || stat.size !== part.size) throw replaced(part)
    return [part.path, String(stat.size), String(stat.ino), String(stat.mtimeNs)]
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') throw gone(part, error)
    throw error
  }
}

const gone = ({ name }: PartRef, cause: unknown): BackupError =>
  new BackupError('ARCHIVE_NOT_FOUND', `${name} is not where it was published`, { cause })

export const replaced = ({ name }: PartRef): BackupError =>
  new BackupError('ARCHIVE_NOT_FOUND', `${path.basename(name)} is not the file that was published`)

/** Opens a recorded part for reading: no link, a file, as long as recorded. ARCHIVE_NOT_FOUND. */
export function openPartFile(disk: Disk, part: PartRef): number {
  let fd: number
  try {
    fd = disk.open(part.path, 'read')
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') throw gone(part, error)
    if (code === 'ELOOP') throw replaced(part)
    throw error
  }
  try {
    const { kind, size } = disk.fstat(fd)
    if (kind !== 'file' || size !== part.size) throw replaced(part)
    return fd
  } catch (error) {
    disk.close(fd)
    throw error
  }
}
