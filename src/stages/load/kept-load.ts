import { randomBytes } from 'node:crypto'
import type { Restart } from '../../archive/reader.ts'
import type { UnpackedPiece } from '../../archive/unpack-entry.ts'
import type { FileLoad, SqlLoad } from '../../load/sql-load.ts'
import type { ContentDigest } from '../restore/content-digest.ts'
import type { SqlEntry } from './slots.ts'

/** A file that is under way in this process. */
export interface OpenFile {
  readonly file: number
  readonly entry: SqlEntry
  readonly load: FileLoad
  readonly pieces: AsyncGenerator<UnpackedPiece, void, undefined>
  readonly digest: ContentDigest | null
  /** CRC of the bytes that were taken. */
  crc: number
  at: Restart
}

/** What this process has open of a load, and goes on with between steps. */
export class KeptLoad implements Disposable {
  readonly id = randomBytes(8).toString('hex')
  load: SqlLoad | null
  open: OpenFile | null

  constructor() {
    this.load = null
    this.open = null
  }

  [Symbol.dispose](): void {
    // Nobody waits for a connection to close.
    const { load, open } = this
    this.load = null
    this.open = null
    open?.pieces.return().catch((error: unknown) => error)
    if (load !== null) closed(load).catch((error: unknown) => error)
  }
}

const closed = async (load: SqlLoad): Promise<void> => load[Symbol.asyncDispose]()
