import { createHash } from 'node:crypto'
import zlib from 'node:zlib'
import type { ArchiveEntry } from '../archive/format.ts'
import type { ManifestEntry } from '../archive/manifest.ts'
import type { ArchiveReader } from '../archive/reader.ts'
import type { PartRef } from '../engine/archives.ts'
import { readFully, type Disk } from '../lib/disk.ts'
import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import { openPartFile } from './opened.ts'

/** Bytes read at a time. */
const PIECE = 1 << 20

/** Bytes [from, to) of a part. The handle is open from the first piece to the end of the generator, however it ends. */
export async function* partBytes(
  disk: Disk,
  part: PartRef,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const fd = openPartFile(disk, part)
  try {
    for (let at = from; at < to; at += PIECE) {
      const bytes = new Uint8Array(Math.min(PIECE, to - at))
      if (readFully(disk, fd, bytes, bytes.length, at) < bytes.length)
        throw new BackupError('ARCHIVE_DAMAGED', `${part.name} became shorter while it was read`)
      yield bytes // given away: it may be gone when the next one is asked for
    }
  } finally {
    disk.close(fd)
  }
}

/**
 * Content of a file in an archive. Its last piece comes only when all of it has proven to be what was backed up: by
 * the digest of its manifest line, else by the archive's CRC. VERIFY_FAILED, ARCHIVE_DAMAGED.
 */
export async function* entryBytes(
  reader: ArchiveReader,
  entry: ArchiveEntry,
  line: ManifestEntry | null,
): AsyncGenerator<Uint8Array, void, undefined> {
  const proof = new Proof(entry, line)
  let held: Uint8Array | null = null
  for await (const { bytes } of reader.content(entry)) {
    if (held !== null) yield held
    proof.update(bytes)
    held = new Uint8Array(bytes)
  }
  proof.end()
  if (held !== null) yield held
}

/** Over pieces of exactly 1 MiB, the last one shorter. */
class Proof {
  readonly #entry: ArchiveEntry
  readonly #expected: string | null
  readonly #hash = createHash('sha256')
  readonly #blocks: boolean
  #crc = 0
  #size = 0

  constructor(entry: ArchiveEntry, line: ManifestEntry | null) {
    this.#entry = entry
    this.#expected = line?.digest ?? null
    this.#blocks = this.#expected?.startsWith('sha256-1m:') === true
    if (line !== null && line.size !== entry.size) throw this.#wrong('its size is not the one in the manifest')
  }

  update(bytes: Buffer): void {
    this.#size += bytes.length
    if (this.#expected === null) this.#crc = zlib.crc32(bytes, this.#crc)
    else this.#hash.update(this.#blocks ? createHash('sha256').update(bytes).digest() : bytes)
  }

  end(): void {
    const { size, crc } = this.#entry
    if (this.#size !== size) throw this.#wrong('its content is shorter than announced')
    const kind = this.#blocks ? 'sha256-1m' : 'sha256'
    const same =
      this.#expected === null
        ? crc === this.#crc || size === 0
        : `${kind}:${this.#hash.digest('hex')}` === this.#expected
    if (!same) throw this.#wrong('its content is not what was backed up')
  }

  #wrong(why: string): BackupError {
    return new BackupError('VERIFY_FAILED', `${displayName(this.#entry.path)}: ${why}`)
  }
}

/** Whether its content can be told from another one of the same length. */
export const canBeProven = (entry: ArchiveEntry, line: ManifestEntry | null): boolean =>
  entry.size === 0 || entry.crc !== null || (line?.digest ?? null) !== null
