import type { Events } from '../lib/events.ts'
import type { LogLevel } from '../lib/log-level.ts'
import type { Job, JobStatus, JobView, Part, Standing, Warning } from './job.ts'
import type { Archives } from './archives.ts'
import type { DatabaseTests } from './database-tests.ts'
import type { LoadRequest } from './load-request.ts'
import type { RestorePreview } from './restore-preview.ts'
import type { RetentionPreview } from './retention.ts'
import type { Access, Accounts, Audit, Scope, Tickets } from './who.ts'
import type {
  BackupSpec,
  BackupType,
  Deflate,
  JobKind,
  Pacing,
  RetentionPolicy,
  SourceSpec,
  DatabaseSpec,
  WrittenDatabase,
} from './spec.ts'

/**
 * What facades see. Implementations live elsewhere (`engine.ts`, `app`-level stores); no facade
 * imports them, so four wires show one truth (R42).
 */

/** What every start may carry. */
interface Keyed {
  /**
   * Idempotency key: the same key again answers with the job it started instead of starting another.
   * Durable where the engine keeps it as `lastKey` of step 1.
   */
  key?: string
  /** Name of the user who asks; absent: somebody on this host. Kept in the record. */
  startedBy?: string
}

export interface BackupRequest extends Keyed {
  kind: 'backup'
  spec: BackupSpec
}

export interface RestoreRequest extends Keyed {
  kind: 'restore'
  /** A backup's number, or the path of an archive's last part. */
  archive: number | string
  /** Folder for the files; may be absent where databases are put back. */
  target?: string
  databases?: LoadRequest[]
  /** Needed to run the SQL of an archive that is named by its path: it may be anybody's. */
  foreign?: boolean
  mode?: 'new' | 'inplace'
  patterns?: string[]
  salvage?: boolean
  owners?: boolean
  setuid?: boolean
  outsideLinks?: boolean
  skipInstallation?: boolean
  limits?: { ratio?: number; entries?: number; bytes?: number }
  /** Only finds out what the restore would do. */
  dryRun?: boolean
  pacing?: Partial<Pacing>
  description?: string
  comment?: string
}

export interface VerifyRequest extends Keyed {
  kind: 'verify'
  archive: number | string
  pacing?: Partial<Pacing>
  description?: string
  comment?: string
}

export type StartRequest = BackupRequest | RestoreRequest | VerifyRequest

export interface StepOptions {
  /** The step number the caller awaits: repeated → the recorded answer; stale or future → STEP_OUT_OF_ORDER. */
  expect?: number
  /** Pacing for this call only. */
  pacing?: Partial<Pacing>
  /** Idempotency key: the same key again answers with the step it caused. */
  key?: string
}

export interface JobQuery {
  kind?: JobKind
  status?: JobStatus
  profile?: number
  /** Begun at this time or later, and before this one. Milliseconds since 1970. */
  since?: number
  until?: number
  /** Newest first. */
  offset?: number
  limit?: number
  /** Only what this caller may see: see `Access.scope`. */
  seenBy?: Scope
}

/** One line of a list: what the catalogue keeps of each job, and what was decided about it since. */
export interface JobSummary extends Standing {
  number: number
  id: string
  kind: JobKind
  status: JobStatus
  outcome: string
  profile: number
  /** Name of the user who started it; absent: somebody on the host. */
  startedBy?: string
  description: string
  archive: string | null
  files: number
  bytes: number
  size: number
  warnings: number
  createdAt: number
  updatedAt: number
  finishedAt: number | null
}

export interface ArtifactInfo {
  name: string
  /** Absolute path of the published file. */
  path: string
  size: number
  sha256: string
}

export interface LogLine {
  /** 1-based. */
  line: number
  time: number
  level: LogLevel
  message: string
  step?: number
  stage?: string
  domain?: string
  /** Of a warning or an error. */
  code?: string
  /** What it is about, where that is one file. */
  path?: string
  /** Where in the program a fault of the program happened. */
  stack?: string
  /** The line is not one of ours any more; its text is the message. */
  damaged?: true
}

export interface LogQuery {
  /** First line wanted, counted from 1 (default). */
  from?: number
  /** At most so many lines; default 1000. */
  limit?: number
  /** Only lines of this level and graver ones; their numbers stay. */
  level?: LogLevel
}

export interface LogPage {
  lines: LogLine[]
  /** The line to ask for next. Beyond `total`: there is none yet. */
  next: number
  /** Whole lines in the log, of every level. */
  total: number
}

export interface EngineEvents {
  progress: JobView
  warning: { job: JobView; warning: Warning }
  finished: JobView
}

export interface Engine {
  /** Creates the job and takes its first step. The reply is step 1. */
  start(request: StartRequest): Promise<JobView>
  /** One slice. A finished job answers its final record again. */
  step(number: number, options?: StepOptions): Promise<JobView>
  /** Durable and prompt; cancelling a finished job changes nothing. */
  cancel(number: number): Promise<JobView>
  get(number: number): Promise<JobView>
  /** Number of the job with this id; JOB_NOT_FOUND. */
  resolve(id: string): Promise<number>
  list(query?: JobQuery): Promise<{ total: number; jobs: JobSummary[] }>
  /**
   * Removes what an ended job published, its record, or (by default) both. Killed on the way, it may be called again.
   * JOB_RUNNING if it has not ended, or another job is reading its files; FROZEN.
   */
  remove(number: number, what?: Removable): Promise<void>
  /** A frozen backup is deleted by nobody until it is unfrozen. ARCHIVE_NOT_FOUND where there is nothing to freeze. */
  freeze(number: number, frozen: boolean): Promise<JobView>
  /** What the policy would remove of this profile's backups right now. Changes nothing. */
  previewRetention(profile: number, policy: RetentionPolicy): Promise<RetentionPreview>
  artifacts(number: number): Promise<ArtifactInfo[]>
  /** Each source and database with its verdict, in the order of the spec. */
  parts(number: number): Promise<readonly Part[]>
  /** What the dry run of a restore found; null while it has not ended, and for jobs of every other kind. */
  restorePreview(number: number): Promise<RestorePreview | null>
  log(number: number, query?: LogQuery): Promise<LogPage>
  readonly events: Events<EngineEvents>
  /** Waits for running steps (bounded by their slices) and releases everything. */
  close(): Promise<void>
}

export type { DatabaseProbe, DatabaseTest, DatabaseTests } from './database-tests.ts'
export type { LoadRequest } from './load-request.ts'
export type { RestorePreview } from './restore-preview.ts'
export type { KeptBy, RemovedFor, RetentionPreview, RetentionVerdict } from './retention.ts'
export { filesGone } from './fate.ts'

export type Removable = 'files' | 'record' | 'both'

/** A saved profile, as people write it. Passwords in it are never told: see `WrittenServerDatabase`. */
export interface Profile {
  id: number
  name: string
  sources: SourceSpec[]
  databases: WrittenDatabase[]
  type: BackupType
  output: string
  format: 'zip' | 'jpa'
  /** Archive name template: `[host]`, `[date]`, `[time]`, `[profile]`, `[number]` are replaced. */
  archive: string
  partSize: number
  level: number
  deflate?: Deflate
  /** Default: nothing ever goes. */
  retention?: RetentionPolicy
  pacing: Pacing
}

/** What one run may change of its profile. */
export type ProfileOverrides = Partial<Omit<Profile, 'id' | 'name' | 'pacing'>> & { pacing?: Partial<Pacing> }

/** One run of a profile, as a caller asks for it. */
export interface ProfileRun {
  /** Default: "Backup taken on <date> <time>" (UTC). */
  description?: string
  comment?: string
  overrides?: ProfileOverrides
}

export interface Profiles {
  list(): Profile[]
  /** PROFILE_NOT_FOUND. */
  get(id: number): Profile
  /** Validates, writes durably, passwords sealed. `id` absent: the next free one. PROFILE_INVALID. */
  save(profile: unknown): Profile
  /** What the profile names, to be connected to: with passwords, sealed. PROFILE_NOT_FOUND. */
  databases(id: number): DatabaseSpec[]
  /** PROFILE_NOT_FOUND. */
  remove(id: number): void
  /**
   * Freezes one run of a profile: overrides applied, the archive's name expanded except `[number]`, which
   * only the engine knows. PROFILE_NOT_FOUND; PROFILE_INVALID when it names no sources. Passwords are sealed in it.
   * Paths are not held against the roots here: whoever took them from a network has done so.
   */
  plan(id: number, run?: ProfileRun): BackupSpec
}

/** Whether a path may be used over the network (S-PATH-1). Throws PATH_OUTSIDE_ROOTS; returns the resolved path. */
export interface Roots {
  check(use: 'source' | 'output' | 'restore' | 'archive', path: string): string
}

export type * from './archives.ts'
export type * from './who.ts'
export { inScope } from './who.ts'

export interface Catalogue {
  put(job: Job, profile: number, description: string): void
  remove(number: number): void
  list(query: JobQuery): { total: number; jobs: JobSummary[] }
}

export interface Services {
  readonly engine: Engine
  readonly archives: Archives
  readonly profiles: Profiles
  readonly databases: DatabaseTests
  readonly roots: Roots
  readonly access: Access
  readonly accounts: Accounts
  readonly tickets: Tickets
  readonly audit: Audit
  readonly version: string
}
