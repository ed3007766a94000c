import type { BackupError, ErrorRecord } from '../lib/errors.ts'
import type { Json } from './json.ts'
import type { PreviewCounts } from './restore-preview.ts'
import type { JobKind, JobSpec } from './spec.ts'
import type { Domain, Progress, StageName } from './stage.ts'

/** The release of the record's shape. A newer one is refused by name (R37). */
export const RECORD_FORMAT = 1

export type JobStatus = 'pending' | 'running' | 'stalled' | 'completed' | 'failed' | 'cancelled' | 'timeout'

/** Something the user should know that did not stop the job. */
export interface Warning {
  /** The step it was born in: a reply shows only its own. */
  step: number
  code: WarningCode
  message: string
}

export type WarningCode =
  | 'omitted'
  | 'metadata'
  | 'own_place'
  | 'state_recovered'
  | 'retry'
  | 'taken_over'
  | 'empty_source'
  | 'refused_entry'
  | 'damaged_entry'
  | 'not_restored'
  | 'slow_listing'
  | 'changed'
  | 'database'
  | 'retention'
  | 'unknown'

/** A participant: one source (later also one database), with its own verdict. */
export interface Part {
  name: string
  critical: boolean
  status: 'pending' | 'running' | 'completed' | 'failed'
  files: number
  bytes: number
  /** Selected paths that are not in the backup. */
  omitted: number
  error: string | null
}

export interface Totals {
  /** Everything stored: files, folders, links. */
  entries: number
  files: number
  bytesRead: number
  bytesWritten: number
  /** As counted by init; null until known. */
  filesExpected: number | null
  bytesExpected: number | null
}

export interface Lease {
  epoch: number
  /** `host|boot|pid|start|thread` */
  owner: string
  /** Wall clock, for other machines. */
  until: number
  /** Boot id and monotonic end, for this machine: a jump of the wall clock changes nothing (R34). */
  boot: string
  untilMono: number
  released: boolean
  /** The record this take went on from had been released: the last commit of its owner counts. */
  afterRelease?: boolean
  /** Taken from an owner that may be alive, and nothing committed since: the record before this one is what counts. */
  claim?: boolean
}

/**
 * The record: everything that is true about a job, in ≤ 16 kB whatever the number of files and
 * parts. What grows lies in work files whose valid length stands here.
 */
export interface Job {
  readonly format: typeof RECORD_FORMAT
  /** Allocated by an exclusive mkdir of `jobs/<number>`. */
  readonly number: number
  /** `20260629-121045-000001`: sorts, prints, names the log. */
  readonly id: string
  readonly kind: JobKind
  /** Random for backups: two data folders may begin jobs of one id within one second, for one output. Else empty. */
  readonly salt: string
  readonly specHash: string
  /** Stage names, frozen at start. */
  readonly plan: readonly StageName[]
  status: JobStatus
  /** Index into `plan`. */
  stage: number
  /** Steps answered for = stepNumber of the last reply. */
  steps: number
  slots: Record<string, Json>
  /** Epoch in the names of the folders that hold the work files; changes only when the house is moved. */
  house: number
  /** Taken from an owner that may be alive, and the house not yet moved: whoever takes the job next has to. */
  moving: boolean
  /** Work file → committed length. Names beginning with `out/` lie beside the output. */
  files: Record<string, number>
  /** Work files given up at the last commit: removed at the next take (the previous record may still need them). */
  trash: string[]
  progress: Progress
  domain: Domain
  /** Never falls; 100 only when published. */
  percent: number
  totals: Totals
  /** The participants touched last; `shelved` counts those that lie in a work file (`part-list.ts`). */
  parts: Part[]
  shelved: { total: number; failed: number; gaps: number }
  /** `before`: how many there were when the last step began, so that a reply can say how many are its own. */
  warnings: { total: number; before: number; recent: Warning[] }
  /** Base name of the archive, once it exists. */
  archive: string | null
  /** Number and bytes of finished artifacts; the list is the work file `artifacts`. */
  artifacts: { count: number; bytes: number }
  /** What the dry run of a restore has found; the paths are in the work file `preview`. */
  preview?: PreviewCounts
  error: ErrorRecord | null
  /** Failed attempts in a row, and when the first of them was (wall clock). */
  attempts: number
  failingSince: number | null
  /** What the client should wait before the next step. Milliseconds. */
  sleepMs: number
  /** Longest time between two safe points and cost of the last commits, as measured. Milliseconds. */
  costs: { gap: number; commit: number }
  createdAt: number
  updatedAt: number
  finishedAt: number | null
  lease: Lease
  /** Name of the user who started it; absent: somebody on the host, or a record of an earlier release. */
  readonly startedBy?: string
  /** Idempotency key of the call that started it. */
  startKey: string | null
  /** Idempotency key of the last step and the step it caused. */
  lastKey: { key: string; step: number } | null
}

/** A job with what it was asked to do. */
export interface JobView extends Job {
  readonly spec: JobSpec
  /** Of a finished backup, as the engine shows it: absent where nothing has been decided about it. */
  readonly standing?: Standing
}

/** What became of a finished backup after its end. */
export interface Standing {
  /** Neither people nor retention may delete it. */
  frozen?: true
  /** Its files have gone; the record is history. */
  filesRemoved?: FilesRemoved
}

/** When (milliseconds since 1970), by what, and why. */
export interface FilesRemoved {
  at: number
  by: 'user' | 'retention'
  reason: string
}

export type Outcome = JobStatus | 'completed_with_warnings' | 'partial'

/** The words every wire can map; derived, never stored. */
export function outcome(job: Job): Outcome {
  if (job.status !== 'completed') return job.status
  if (hasFailedParts(job)) return 'partial'
  return job.warnings.total > 0 || lacksFiles(job) ? 'completed_with_warnings' : 'completed'
}

/** The record has no room for texts of any length; the log has them whole. Characters. */
const LONGEST_VERDICT = 300

/** A participant that is not in the backup, and why. */
export function failPart(part: Part, { code, message }: BackupError): void {
  const text = `${code}: ${message}`
  part.status = 'failed'
  part.error = text.length <= LONGEST_VERDICT ? text : `${text.slice(0, LONGEST_VERDICT - 1)}…`
}

/** Whether a participant as a whole is missing. */
export const hasFailedParts = ({ parts, shelved }: Job): boolean =>
  shelved.failed > 0 || parts.some((part) => part.status === 'failed')

/** Whether a participant lacks something that was selected. */
export const lacksFiles = ({ parts, shelved }: Job): boolean =>
  shelved.gaps > 0 || parts.some((part) => part.omitted > 0)

const ENDED: ReadonlySet<JobStatus> = new Set(['completed', 'failed', 'cancelled', 'timeout'])

/** Whether nothing will ever change again. `stalled` jobs can be resumed. */
export function isEnded(job: Pick<Job, 'status'>): boolean {
  return ENDED.has(job.status)
}
