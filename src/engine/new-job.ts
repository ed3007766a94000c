import { randomBytes } from 'node:crypto'
import { isEnded, RECORD_FORMAT, type Job, type Lease } from './job.ts'
import type { JobSpec } from './spec.ts'
import type { StageName } from './stage.ts'

/** `20260629-121045-000001`, in UTC. */
export function jobId(number: number, wall: number): string {
  const iso = new Date(wall).toISOString()
  return `${iso.slice(0, 10).replaceAll('-', '')}-${iso.slice(11, 19).replaceAll(':', '')}-${String(number).padStart(6, '0')}`
}

/** A job's first record: nothing done, nobody holds it. */
export function newJob(
  number: number,
  wall: number,
  spec: JobSpec,
  specHash: string,
  plan: readonly StageName[],
  startKey: string | null,
): Job {
  return {
    format: RECORD_FORMAT,
    number,
    id: jobId(number, wall),
    kind: spec.kind,
    salt: spec.kind === 'backup' ? randomBytes(4).toString('hex') : '',
    specHash,
    plan,
    status: 'pending',
    stage: 0,
    steps: 0,
    slots: {},
    house: 1,
    moving: false,
    files: {},
    trash: [],
    progress: { step: '' },
    domain: 'init',
    percent: 0,
    totals: { entries: 0, files: 0, bytesRead: 0, bytesWritten: 0, filesExpected: null, bytesExpected: null },
    parts: [],
    shelved: { total: 0, failed: 0, gaps: 0 },
    warnings: { total: 0, before: 0, recent: [] },
    archive: null,
    artifacts: { count: 0, bytes: 0 },
    error: null,
    attempts: 0,
    failingSince: null,
    sleepMs: 0,
    costs: { gap: 0, commit: 0 },
    createdAt: wall,
    updatedAt: wall,
    finishedAt: null,
    lease: { epoch: 1, owner: '', until: 0, boot: '', untilMono: 0, released: true },
    startKey,
    lastKey: null,
  }
}

/** The record under a new hold. What a reply calls its own warnings is counted from here. */
export function takenFrom(job: Job, lease: Lease): Job {
  return { ...job, lease, ...(isEnded(job) ? {} : { warnings: { ...job.warnings, before: job.warnings.total } }) }
}
