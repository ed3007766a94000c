import type { Codec } from '../archive/codec.ts'
import type { OpenArchive, OpenOptions } from '../archive/open-archive.ts'
import type { Disk } from '../lib/disk.ts'

/** Starts a program without a shell, by absolute path; resolves with its exit code and what it printed. */
export type RunProgram = (
  path: string,
  args: string[],
  options: { timeoutMs: number; maxBuffer: number; cwd: string; input?: Uint8Array },
) => Promise<{ stdout: Buffer; code: number }>

export type { ArchivePart, OpenArchive, OpenOptions } from '../archive/open-archive.ts'

/** What the restore and verify stages may ask for; the composition root provides it. */
export interface Parts {
  /** `lastPart`: path of `x.zip`. ARCHIVE_NOT_FOUND, ARCHIVE_DAMAGED, ARCHIVE_UNSUPPORTED, LIMIT_EXCEEDED. */
  openArchive(disk: Disk, lastPart: string, options: OpenOptions): OpenArchive
  codec(): Codec
  /** Folders of the engine itself (state, settings, keys, program): a restore never writes there (S-RES-7). */
  ownPlaces(): readonly string[]
  /** Absolute path of `setfattr`, or null where it is not installed. */
  readonly setfattr: string | null
  readonly run: RunProgram
  /** Whether the process may set owners. */
  readonly root: boolean
}
