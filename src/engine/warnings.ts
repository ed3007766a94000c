import type { Job, WarningCode } from './job.ts'

/** The record keeps the newest few, so that it stays small; all of them are in the log. */
const KEPT = 10
const LONGEST = 200

export function pushWarning(job: Job, code: WarningCode, message: string): void {
  const short = message.length <= LONGEST ? message : `${message.slice(0, LONGEST - 1)}…`
  job.warnings.total++
  job.warnings.recent.push({ step: job.steps + 1, code, message: short })
  if (job.warnings.recent.length > KEPT) job.warnings.recent.shift()
}
