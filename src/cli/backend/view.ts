import { hasFailedParts, isEnded, lacksFiles, outcome } from '../../engine/job.ts'
import type { JobView } from '../../engine/job.ts'
import type { JobState } from '../backend.ts'
import { namesGap } from './gaps.ts'

/**
 * Whether something selected is missing from the result. The parts count what backups leave out;
 * restores name their gaps in warnings only, of which the record keeps the newest.
 */
export function hasGaps(job: JobView): boolean {
  if (hasFailedParts(job) || lacksFiles(job)) return true
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
      fresh: freshWarnings(job),
    },
    gaps: hasGaps(job),
    archive: job.archive,
    description: job.spec.description,
    error: job.error,
    createdAt: job.createdAt,
    finishedAt: job.finishedAt,
    ...job.standing,
  }
}

/** The record keeps the newest few; how many more there were in this step is said, and the log has them. */
function freshWarnings(job: JobView): string[] {
  const fresh = job.warnings.recent.filter((warning) => warning.step === job.steps).map((warning) => warning.message)
  const hidden = fresh.length === 0 ? 0 : job.warnings.total - job.warnings.before - fresh.length
  return hidden > 0 ? [`${hidden} more, see the log`, ...fresh] : fresh
}
