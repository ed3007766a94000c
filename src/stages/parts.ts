import type { Codec } from '../archive/codec.ts'
import type { OpenArchive, OpenOptions } from '../archive/open-archive.ts'
import type { LoadSpec } from '../engine/spec.ts'
import type { SqlLoad } from '../load/sql-load.ts'
import type { Disk } from '../lib/disk.ts'
import type { ProgramOptions, ProgramResult } from '../lib/program.ts'

/** Which load of which job. */
export interface LoadFor {
  readonly id: string
  readonly trusted: boolean
}

export type { ArchivePart, OpenArchive, OpenOptions } from '../archive/open-archive.ts'

/** What the restore and verify stages may ask for; the composition root provides it. */
export interface Parts {
  /** `lastPart`: path of `x.zip` or `x.jpa`. ARCHIVE_NOT_FOUND, ARCHIVE_DAMAGED, ARCHIVE_UNSUPPORTED, LIMIT_EXCEEDED. */
  openArchive(disk: Disk, lastPart: string, options: OpenOptions): OpenArchive
  codec(): Codec
  /** Folders of the engine itself (state, settings, keys, program): a restore never writes there (S-RES-7). */
  ownPlaces(): readonly string[]
  /** Absolute path of `setfattr`, or null where it is not installed. */
  readonly setfattr: string | null
  readonly run: (path: string, args: readonly string[], options: ProgramOptions) => ProgramResult
  /**
   * Begins to make durable all that waits on the file system of `folder` (as a working folder of a program), together.
   * Null where that is not possible; a failure shows when the files are synced one by one.
   */
  readonly flush: ((folder: string) => Promise<void>) | null
  /** Connects to the server of a database, as the settings of this moment say. PROFILE_INVALID; those of `SqlLoad`. */
  openLoad(spec: LoadSpec, load: LoadFor): Promise<SqlLoad>
  /** Whether the process may set owners. */
  readonly root: boolean
}
