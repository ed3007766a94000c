import { isEnded, outcome } from '../../engine/job.ts'
import type { JobView } from '../../engine/job.ts'
import type { JobState } from '../backend.ts'
import { namesGap } from './gaps.ts'

/**
 * Whether something selected is missing from the result. The parts count what backups leave out;
 * restores name their gaps in warnings only, of which the record keeps the newest.
 */
export function hasGaps(job: JobView): boolean {
  if (job.parts.some((part) => part.status === 'failed' || part.omitted > 0)) return true
  return job.warnings.recent.some((warning) => namesGap(warning.code))
}

/** The record as the commands see it. */
export function stateOf(job: JobView): JobState {
  return {
    number: job.number,
    id: job.id,
    kind: job.kind,
    status: outcome(job),
    ended: isEnded(job),
    step: job.steps,
    percent: job.percent,
    domain: job.domain,
    activity: job.progress.step,
    detail: job.progress.substep ?? '',
    sleepMs: job.sleepMs,
    totals: job.totals,
    warnings: {
      total: job.warnings.total,
      fresh: job.warnings.recent.filter((w) => w.step === job.steps).map((w) => w.message),
    },
    gaps: hasGaps(job),
    archive: job.archive,
    description: job.spec.description,
    error: job.error,
    createdAt: job.createdAt,
    finishedAt: job.finishedAt,
  }
}
