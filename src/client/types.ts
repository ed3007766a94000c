import type { Database } from './database-types.ts'
import type { ErrorRecord } from '../lib/errors.ts'

export type * from './account-types.ts'
export type * from './content-types.ts'
export type * from './database-types.ts'

/** What goes over the wire, as a caller sees it. Times are milliseconds since 1970 UTC, sizes bytes. */

export type JobKind = 'backup' | 'restore' | 'verify'
export type JobStatus = 'pending' | 'running' | 'stalled' | 'completed' | 'failed' | 'cancelled' | 'timeout'

/** A job: its id as replied, or its number. */
export type JobHandle = string | number

/** The reply of every start and step. */
export interface StepReply {
  HasRun: boolean
  Domain: 'init' | 'installer' | 'db' | 'pack' | 'finalization' | 'restore' | 'verify'
  Step: string
  Substep: string
  /** Empty unless the job has failed, or pauses as stalled. */
  Error: string
  Warnings: string[]
  Progress: number
  BackupID: number
  Archive: string
  sleepTime: number
  stepNumber: number
  stepState: 'init' | 'prepared' | 'running' | 'postrun' | 'finished' | 'error'
  backupid: string
}

export interface Pacing {
  minMs: number
  maxMs: number
  bias: number
}

export interface DirectorySource {
  type: 'directory'
  path: string
  label?: string
  critical?: boolean
  include?: string[]
  exclude?: string[]
  excludeFolders?: string[]
  excludeFiles?: string[]
  excludeContent?: string[]
  excludeExtensions?: string[]
  maxSize?: number
  olderThan?: number
  newerThan?: number
  symlinks?: 'store' | 'follow'
  oneFileSystem?: boolean
  xattrs?: boolean
  databases?: 'copy' | 'raw'
}

/** Which older backups stay after each run. What is absent keeps nothing; {} keeps all. */
export interface RetentionPolicy {
  keepLast?: number
  keepHourly?: number
  keepDaily?: number
  keepWeekly?: number
  keepMonthly?: number
  keepYearly?: number
  keepWithinDays?: number
  maxBytes?: number
}

export interface Profile {
  id: number
  name: string
  sources: DirectorySource[]
  databases: Database[]
  type: 'full' | 'files' | 'databases'
  output: string
  format: 'zip' | 'jpa'
  archive: string
  partSize: number
  level: number
  deflate?: 'auto' | 'always' | number
  retention?: RetentionPolicy
  pacing: Pacing
}

/** What is absent gets its default; without an id the next free one. */
export type ProfileInput = Pick<Profile, 'name' | 'sources' | 'output'> &
  Partial<Omit<Profile, 'pacing'>> & { pacing?: Partial<Pacing> }

export interface ProfileDocument {
  format: 'ratchet-profile'
  version: 1
  profile: ProfileInput
}

export interface ImportChoice {
  /** Number to import it under; `new`: the next free one; default: the document's own. */
  as?: number | 'new'
  /** Replaces a profile that has the number. */
  replace?: boolean
}

export type ProfileOverrides = Partial<Omit<Profile, 'id' | 'name' | 'pacing'>> & { pacing?: Partial<Pacing> }

export interface StartBackupParams {
  profile?: number
  description?: string
  comment?: string
  overrides?: ProfileOverrides
  tag?: string
}

export interface StartVerifyParams {
  /** A backup's number, or the path of an archive's last part. */
  archive: number | string
  pacing?: Partial<Pacing>
  description?: string
  comment?: string
}

export interface StartRestoreParams extends StartVerifyParams {
  /** May be left out where databases are put back. */
  target?: string
  /** Into servers of the settings file, in place of restoring their SQL as files. */
  databases?: {
    name: string
    type?: 'mysql' | 'postgresql'
    server?: string
    database?: string
    mode?: 'new' | 'swap'
    scratch?: string
  }[]
  /** Run the SQL of an archive that is named by its path. */
  foreign?: boolean
  mode?: 'new' | 'inplace'
  patterns?: string[]
  salvage?: boolean
  owners?: boolean
  setuid?: boolean
  outsideLinks?: boolean
  skipInstallation?: boolean
  limits?: { ratio?: number; entries?: number; bytes?: number }
  /** Only find out what the restore would do; `BackupInfo.preview` tells once the job has ended. */
  dryRun?: boolean
}

export interface ListParams {
  kind?: JobKind
  status?: JobStatus
  profile?: number
  /** Begun at this time or later, and before this one. */
  since?: number
  until?: number
  offset?: number
  limit?: number
}

export interface JobSummary {
  number: number
  id: string
  kind: JobKind
  status: JobStatus
  /** `status`, or `completed_with_warnings`, or `partial`. */
  outcome: string
  profile: number
  /** The user; absent: somebody on the host. */
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
  /** Nobody can delete it until it is unfrozen. */
  frozen?: true
  /** Its files have gone; the record is history. */
  filesRemoved?: { at: number; by: 'user' | 'retention'; reason: string }
}

export interface PreviewParams {
  profile?: number
  /** To be tried out instead of the one of the profile. */
  policy?: RetentionPolicy
  offset?: number
  limit?: number
}

export interface RetentionPreview {
  /** Why nothing would go at all. */
  refused: string | null
  total: number
  /** Newest first. */
  backups: { number: number; time: number; bytes: number; complete: boolean; keep: boolean; reasons: string[] }[]
  totals: Record<'kept' | 'removed' | 'frozen', { count: number; bytes: number }>
}

export interface BackupInfo extends JobSummary {
  comment: string
  totals: {
    entries: number
    files: number
    bytesRead: number
    bytesWritten: number
    filesExpected: number | null
    bytesExpected: number | null
  }
  parts: {
    name: string
    critical: boolean
    status: 'pending' | 'running' | 'completed' | 'failed'
    files: number
    bytes: number
    omitted: number
    error: string | null
  }[]
  error: ErrorRecord | null
  /** The newest warnings; `warnings` counts all. */
  recentWarnings: { step: number; code: string; message: string }[]
  /** `path` only for callers who may see where files lie on the host. */
  artifacts: { name: string; path?: string; size: number; sha256: string }[]
  /** What a dry run of a restore has found, once it has ended. */
  preview?: RestorePreview
  /** The reply the job gave last. */
  current: StepReply
}

export interface PreviewedPath {
  /** In the archive, and so below the target. */
  path: string
  /** Why it would not be restored. */
  why?: string
}

/** What a restore would do, by its dry run. It would be whole if the job's `outcome` is `completed`. */
export interface RestorePreview {
  /** What would be written. */
  files: number
  folders: number
  links: number
  bytes: number
  /** Files and links at the target whose place would be taken. */
  replaced: number
  /** Entries that something at the target stands in the way of. */
  conflicts: number
  /** Entries that are not restored whatever the target is like. */
  refused: number
  /** Entries that do not agree with the manifest. Contents of files are not read. */
  damaged: number
  /** Entries whose setuid, setgid or sticky bit would be left out. */
  special: number
  /** Room that is needed at least, and what is free. */
  need: number
  free: number
  /** Whether the server's account may write into the target. */
  writable: boolean
  owners: 'set' | 'not_asked' | 'not_permitted'
  xattrs: { entries: number; settable: boolean }
  /** The first 100 of each. */
  paths: Record<'replaced' | 'conflicts' | 'refused' | 'damaged', PreviewedPath[]>
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface LogLine {
  line: number
  time: number
  level: LogLevel
  message: string
  step?: number
  stage?: string
  domain?: string
  /** Of a warning or an error. */
  code?: string
  path?: string
  /** Of a fault of the program; for admins only. */
  stack?: string
  damaged?: true
}

export interface LogParams {
  /** First line wanted, counted from 1. */
  from?: number
  /** 1 to 1000; default 200. */
  limit?: number
  /** Only lines of this level and graver ones. */
  level?: LogLevel
}

export interface LogPage {
  lines: LogLine[]
  /** The line to ask for next; beyond `total` there is none yet. */
  next: number
  total: number
}
