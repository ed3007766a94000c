import type { Dumper } from '../dump/dumper.ts'
import type { Consistency, SqlDump } from '../dump/sql-dump.ts'
import type { OlderBackups } from '../engine/shelf.ts'
import type { Progress, StageContext, Steps } from '../engine/stage.ts'
import type { ServerDatabaseSpec, SourceSpec } from '../engine/spec.ts'
import type { Sink } from '../sink/sink.ts'
import type { Entry, Omission, Pause, Source } from '../source/source.ts'

/** Device and inode: how our own places are recognised, whatever name leads there (R25). */
export interface PlaceId {
  readonly dev: bigint
  readonly ino: bigint
}

/** As the sources know it. */
export interface DatabaseCopier {
  /** `file`: absolute path of the database, null where no program takes it. */
  copy(entry: Entry, file: Buffer | null): AsyncGenerator<Pause, Entry | Omission, void>
  isFile(path: Buffer): boolean
}

/** What the backup stages may ask for; the composition root provides it. */
export interface BackupParts {
  /** Labels for the sources, in order: the first path components in the archive. PROFILE_INVALID. */
  labels(sources: readonly SourceSpec[]): string[]
  /** `databases` makes what is stored in the place of a database that is found. */
  openSource(
    spec: SourceSpec,
    label: string,
    ctx: StageContext,
    found: { readonly own: readonly PlaceId[]; readonly databases: DatabaseCopier },
  ): Source
  /** Copies databases that are in use. */
  openDumper(): Dumper
  /** Connects to a server. Errors as in `dump/mysql/errors.ts`; PROFILE_INVALID if no password can be had. */
  openSqlDump(spec: ServerDatabaseSpec, consistency: Consistency): Promise<SqlDump>
  /** Counts what a source would yield; `count` is told the growing totals. Resumable by its own slot. */
  countSource(
    spec: SourceSpec,
    label: string,
    own: readonly PlaceId[],
    ctx: StageContext,
    count: (files: number, bytes: number) => void,
  ): AsyncGenerator<Progress, void, void>
  openSink(ctx: StageContext): Sink
  /** File name of part `index` of `count`, in the job's format. */
  partName(ctx: StageContext, base: string, index: number, count: number): string
  /** Whether the job's format holds the CRC of each entry: if not, our manifest needs a proof of its own. */
  holdsCrc(ctx: StageContext): boolean
  /** Folders of the engine that are never backed up: data folder and output. */
  ownPlaces(ctx: StageContext): PlaceId[]
  /** Reads the finished parts back: their SHA-256s, and each entry against its CRC. */
  proveParts(
    ctx: StageContext,
    parts: readonly { name: string; path: string; size: number }[],
    done: (sha256: string[]) => void,
  ): Steps
  /** What retention looks at and removes. */
  olderBackups(ctx: StageContext): OlderBackups
  readonly version: string
  /** `installation/restore.mjs` and `installation/README.txt`. */
  restoreScript(): string
  restoreReadme(format: string): string
}
