import { crcCombine } from '../../archive/crc.ts'
import type { ArchiveEntry } from '../../archive/format.ts'
import type { Restart } from '../../archive/reader.ts'
import type { UnpackedPiece } from '../../archive/unpack-entry.ts'
import { BackupError } from '../../lib/errors.ts'
import type { FileLoad } from '../../load/sql-load.ts'
import { BLOCK, type ContentDigest } from '../restore/content-digest.ts'
import { contentFault } from '../restore/contents.ts'
import type { SqlEntry } from './slots.ts'

interface Opened {
  /** Its place in the order of loading. */
  readonly file: number
  readonly entry: SqlEntry
  /** As the archive has it. */
  readonly stored: ArchiveEntry
  readonly load: FileLoad
  readonly pieces: AsyncGenerator<UnpackedPiece, void, undefined>
  readonly digest: ContentDigest | null
  /** Of the bytes before `at`. */
  readonly crc: number
  readonly at: Restart
}

/** A file of SQL on its way out of the archive, digested as it comes. */
export class OpenSql {
  readonly #o: Opened
  crc: number
  at: Restart

  constructor(opened: Opened) {
    this.#o = opened
    this.crc = opened.crc
    this.at = opened.at
  }

  get file(): number {
    return this.#o.file
  }
  get entry(): SqlEntry {
    return this.#o.entry
  }
  get load(): FileLoad {
    return this.#o.load
  }
  get digest(): ContentDigest | null {
    return this.#o.digest
  }

  async next(): Promise<UnpackedPiece | null> {
    const next = await this.#o.pieces.next()
    if (next.done === true) return null
    const { bytes, crc, sha256 } = next.value
    const { digest } = this.#o
    this.at = next.value.next
    this.crc = crcCombine(this.crc, crc, bytes.length)
    if (digest !== null && digest.blocks && bytes.length === BLOCK) digest.block(sha256)
    else digest?.update(bytes)
    return next.value
  }

  /** Runs what is in a piece. */
  take(bytes: Buffer): Promise<void> {
    return this.#asked(() => this.load.take(bytes))
  }

  /** How many bytes of the file the database holds now. */
  commit(): Promise<number> {
    return this.#asked(() => this.load.commit())
  }

  /** What a server refuses may be no fault of anybody's but the archive's. */
  async #asked<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof BackupError && error.retry === 'never') await this.#proveRest()
      throw error
    }
  }

  async #proveRest(): Promise<void> {
    while ((await this.next()) !== null) continue
    this.prove()
  }

  /** After its last piece: only what is proven stays; whoever finds a fault takes all of it back. ARCHIVE_DAMAGED. */
  prove(): void {
    const { entry, stored, digest } = this.#o
    const line = entry.digest === null ? null : { digest: entry.digest }
    const fault =
      this.at.plain === stored.size
        ? contentFault({ entry: stored, line }, this.crc, digest?.digest() ?? null)
        : { message: 'the content is shorter than announced' }
    if (fault === null) return
    throw new BackupError('ARCHIVE_DAMAGED', `${entry.name}: ${fault.message}`, {
      hint: 'Nothing of it stays in the database. Restore another backup; or restore its SQL as files, and load what is intact by hand.',
    })
  }

  close(): void {
    this.#o.pieces.return().catch((error: unknown) => error)
  }
}
