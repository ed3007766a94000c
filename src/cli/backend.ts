import type { ErrorRecord } from '../lib/errors.ts'
import type { Outcome, Standing, Totals } from '../engine/job.ts'
import type {
  ArtifactInfo,
  JobQuery,
  JobSummary,
  LogPage,
  LogQuery,
  Removable,
  RestorePreview,
  RestoreRequest,
  DatabaseTest,
  RetentionPreview,
  VerifyRequest,
} from '../engine/services.ts'
import type { ImportChoice, ProfileDocument } from '../engine/profile-document.ts'
import type { AccountStore } from './backend/accounts.ts'
import type { ContentStore } from './backend/contents.ts'
import type { JobKind, Pacing, RetentionPolicy } from '../engine/spec.ts'

/**
 * What the commands need from Ratchet, whether it runs inside this process (`backend/embedded.ts`)
 * or behind a server (`backend/remote.ts`). Each command is written once, against this.
 */
export interface Backend extends AsyncDisposable {
  /** Options that lead to this backend again: part of the command line that takes a job up again. */
  readonly reach: readonly string[]
  /** Creates the job and takes its first step. */
  start(request: StartRequest): Promise<JobState>
  /** One slice. A job that has ended answers its last state again. */
  step(number: number, options?: StepRequest): Promise<JobState>
  get(number: number): Promise<JobState>
  cancel(number: number): Promise<JobState>
  remove(number: number, what: Removable): Promise<void>
  freeze(number: number, frozen: boolean): Promise<void>
  /** Of the profile's policy, or of one to be tried out. The first 10,000 backups; the totals are of all. */
  previewRetention(profile: number, policy?: RetentionPolicy): Promise<RetentionPreview>
  /** Databases of servers that the profile names, tried out. */
  testDatabases(profile: number, database?: string): Promise<DatabaseTest[]>
  /** The number behind an id; JOB_NOT_FOUND. */
  resolve(id: string): Promise<number>
  list(query: JobQuery): Promise<{ total: number; jobs: JobSummary[] }>
  artifacts(number: number): Promise<ArtifactInfo[]>
  /** What the dry run of a restore found; null for every other job, and while it has not ended. */
  restorePreview(number: number): Promise<RestorePreview | null>
  log(number: number, query: LogQuery): Promise<LogPage>
  readonly profiles: ProfileStore
  readonly accounts: AccountStore
  readonly contents: ContentStore
}

export interface ProfileStore {
  list(): Promise<ProfileData[]>
  get(id: number): Promise<ProfileData>
  save(profile: unknown): Promise<ProfileData>
  remove(id: number): Promise<void>
  export(id: number): Promise<ProfileDocument>
  /** PROFILE_EXISTS where the number is taken and nothing is chosen. */
  import(document: ProfileDocument, choice: ImportChoice): Promise<ProfileData>
}

/** A profile as JSON; its fields are checked where it is saved. */
export type ProfileData = { readonly id: number; readonly name: string; readonly [key: string]: unknown }

/** A backup under a profile, or (with everything in `overrides`) without one. */
export interface BackupStart {
  kind: 'backup'
  profile?: number
  description?: string
  comment?: string
  /** Keys of a profile that count for this run only. */
  overrides?: Record<string, unknown>
}

export type StartRequest = BackupStart | RestoreRequest | VerifyRequest

export interface StepRequest {
  /** The step number awaited; a stale or future one is refused. */
  expect?: number
  pacing?: Partial<Pacing>
}

/** What every face of a job can show. Sizes in bytes, times in milliseconds since 1970. */
export interface JobState extends Standing {
  readonly number: number
  readonly id: string
  readonly kind: JobKind
  readonly status: Outcome
  /** Nothing will ever change again. */
  readonly ended: boolean
  /** Steps answered for. */
  readonly step: number
  readonly percent: number
  readonly domain: string
  /** What is worked on, and detail about it: free text, names in it are data of strangers. */
  readonly activity: string
  readonly detail: string
  /** To wait before the next step. */
  readonly sleepMs: number
  readonly totals: Totals
  readonly warnings: {
    readonly total: number
    /** Raised in the step this state came from. */
    readonly fresh: readonly string[]
  }
  /** Whether something selected is missing from the result (each is named in warnings and log). */
  readonly gaps: boolean
  readonly archive: string | null
  readonly description: string
  readonly error: ErrorRecord | null
  readonly createdAt: number
  readonly finishedAt: number | null
}
