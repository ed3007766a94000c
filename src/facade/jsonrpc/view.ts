import { isEnded, type JobStatus, type JobView } from '../../engine/job.ts'
import type { Domain } from '../../engine/stage.ts'
import { ERROR_RULES, type ErrorRecord } from '../../lib/errors.ts'

/** Pure functions from the record to what this wire shows: asking twice answers the same twice. */

export type StepState = 'init' | 'prepared' | 'running' | 'postrun' | 'finished' | 'error'

/** The reply of every start and step; names and casing are the protocol's. */
export interface StepReply {
  /** More steps are needed. */
  HasRun: boolean
  Domain: Domain
  Step: string
  Substep: string
  /** Empty unless the job has failed. */
  Error: string
  /** Only those born in this step. */
  Warnings: string[]
  /** Whole number 0–100; 100 only when the job has succeeded. */
  Progress: number
  /** The job's number. */
  BackupID: number
  /** Base name of the archive once it is known, else empty. */
  Archive: string
  /** Milliseconds to wait before the next step. */
  sleepTime: number
  stepNumber: number
  stepState: StepState
  /** The job's id. */
  backupid: string
}

/** null: the domain says more. */
const STATES: Readonly<Record<JobStatus, StepState | null>> = {
  pending: 'init',
  running: null,
  stalled: 'error',
  completed: 'finished',
  failed: 'error',
  cancelled: 'error',
  timeout: 'error',
}

const RUNNING: Readonly<Record<Domain, StepState>> = {
  init: 'prepared',
  installer: 'running',
  db: 'running',
  pack: 'running',
  finalization: 'postrun',
  restore: 'running',
  verify: 'running',
}

/** What is said of a job that went wrong without leaving a reason of its own. */
const SILENT: Readonly<Record<JobStatus, string>> = {
  pending: '',
  running: '',
  completed: '',
  stalled: 'The job made no progress for too long. Step it again to go on.',
  failed: `The job failed. ${ERROR_RULES.INTERNAL.hint}`,
  cancelled: ERROR_RULES.CANCELLED.hint,
  timeout: `The job ran out of time. ${ERROR_RULES.TIMED_OUT.hint}`,
}

export function stepReply(job: JobView): StepReply {
  const over = isEnded(job) || job.status === 'stalled'
  return {
    HasRun: !over,
    Domain: job.domain,
    Step: job.progress.step,
    Substep: job.progress.substep ?? '',
    Error: errorText(job),
    Warnings: warningTexts(job),
    Progress: progressOf(job),
    BackupID: job.number,
    Archive: job.archive ?? '',
    sleepTime: over ? 0 : Math.max(0, Math.ceil(job.sleepMs)),
    stepNumber: job.steps,
    stepState: STATES[job.status] ?? RUNNING[job.domain],
    backupid: job.id,
  }
}

const sentence = (error: ErrorRecord): string => `${error.message.replace(/[.\s]*$/, '.')} ${error.hint}`

/**
 * A stalled job is shown as over, though a further step resumes it: clients that loop would otherwise
 * knock for ever at a place that has been gone for a quarter of an hour, and nobody would hear of it.
 */
function errorText(job: JobView): string {
  if (job.status === 'completed' || job.status === 'running' || job.status === 'pending') return ''
  if (job.error === null) return SILENT[job.status]
  return job.status === 'stalled' ? `${sentence(job.error)} Step the job again to go on.` : sentence(job.error)
}

/** A failure that another try may mend is a warning and a wait, not the end. */
function warningTexts(job: JobView): string[] {
  const { recent, total, before } = job.warnings
  const mine = recent.filter((w) => w.step === job.steps)
  const texts = mine.map((w) => w.message)
  const retrying = isEnded(job) || job.status === 'stalled' ? null : job.error
  if (retrying !== null && !texts.some((t) => t.includes(retrying.message))) texts.push(sentence(retrying))
  const dropped = total - before - mine.length
  if (dropped > 0) texts.push(`… and ${dropped} more`)
  return texts
}

function progressOf(job: JobView): number {
  if (job.status === 'completed') return 100
  return Number.isFinite(job.percent) ? Math.min(99, Math.max(0, Math.floor(job.percent))) : 0
}
