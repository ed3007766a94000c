import path from 'node:path'
import type { Job } from './job.ts'
import type { JobSpec } from './spec.ts'

/** Where everything of a job lies. Numbers and ids are ours, never a client's text (S-API-1). */
export interface JobPaths {
  readonly jobs: string
  /** Highest number ever removed. */
  readonly last: string
  job(number: number): string
  /** Where a job's folder goes when it is deleted. */
  removed(number: number): string
  state(number: number, epoch: number): string
  spec(number: number): string
  log(number: number): string
  cancel(number: number): string
  reserve(number: number): string
  side(number: number, house: number): string
}

export const stateName = (epoch: number): string => `state-${epoch}.json`

/** The epoch in a record's name; null for anything else. */
export function stateEpoch(name: string): number | null {
  const match = /^state-([1-9]\d{0,14})\.json$/.exec(name)
  return match === null ? null : Number(match[1])
}

/** A temporary file nobody is writing any more; one of a later epoch belongs to whoever is taking the job right now. */
export function isLeftover(name: string, epoch: number): boolean {
  return name.endsWith('.tmp') && (stateEpoch(name.slice(0, name.indexOf('.json') + 5)) ?? 0) <= epoch
}

export function jobPaths(dataDir: string): JobPaths {
  const jobs = path.join(dataDir, 'jobs')
  const job = (number: number): string => path.join(jobs, String(number))
  return {
    jobs,
    last: path.join(jobs, 'last'),
    job,
    removed: (number) => `${job(number)}.removed`,
    state: (number, epoch) => path.join(job(number), stateName(epoch)),
    spec: (number) => path.join(job(number), 'spec.json'),
    log: (number) => path.join(job(number), 'log.txt'),
    cancel: (number) => path.join(job(number), 'cancel'),
    reserve: (number) => path.join(job(number), 'reserve'),
    side: (number, house) => path.join(job(number), `files-${house}`),
  }
}

/** The folder in which a job's growing output lies, or null where the kind has none. */
export function outputRoot(spec: JobSpec): string | null {
  if (spec.kind === 'backup') return spec.output
  return spec.kind === 'restore' && spec.dryRun !== true && spec.target !== '' ? spec.target : null
}

export const outFolderPrefix = (job: Pick<Job, 'id' | 'salt'>): string =>
  `.ratchet-${job.id}-${job.salt === '' ? '' : `${job.salt}-`}`

/** `<output>/.ratchet-<id>-<salt>-<house>`: on the output's own file system, so that publishing is a rename. */
export function outFolder(output: string, job: Pick<Job, 'id' | 'salt' | 'house'>): string {
  return path.join(output, `${outFolderPrefix(job)}${job.house}`)
}
