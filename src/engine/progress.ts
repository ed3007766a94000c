import type { Job } from './job.ts'
import type { JobSpec } from './spec.ts'
import type { Progress, Stage } from './stage.ts'

const TEXT = 300

const clip = (text: string): string => (text.length <= TEXT ? text : `…${text.slice(text.length - TEXT + 1)}`)

/** Percentage over the whole plan: never falls, and 99 at most until the job has ended (R40). */
export function percentOf(job: Job, stages: readonly Stage[], spec: JobSpec, progress: Progress): number {
  const weights = stages.map((stage) => Math.max(0, stage.weight(spec)))
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  if (all === 0) return job.percent
  const before = weights.slice(0, job.stage).reduce((sum, weight) => sum + weight, 0)
  const { done, total } = progress
  const share = done === undefined || total === undefined || total <= 0 ? 0 : Math.min(1, done / total)
  const percent = Math.floor((100 * (before + share * (weights[job.stage] ?? 0))) / all)
  return Math.max(job.percent, Math.min(99, percent))
}

export function noteProgress(job: Job, stages: readonly Stage[], spec: JobSpec, progress: Progress): void {
  job.percent = percentOf(job, stages, spec, progress)
  job.progress = { ...progress, step: clip(progress.step) }
  if (progress.substep !== undefined) job.progress.substep = clip(progress.substep)
  delete job.progress.durable
  delete job.progress.idle
  delete job.progress.beyond
  job.domain = stages[job.stage]?.domain ?? job.domain
}
