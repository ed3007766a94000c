import type { Job } from '../../src/engine/job.ts'
import type { BackupSpec, JobSpec } from '../../src/engine/spec.ts'

/** A backup of `/source` into `/out/site.zip`, for tests that care about something else. */
export function sampleSpec(changes: Partial<BackupSpec> = {}): BackupSpec {
  return {
    kind: 'backup',
    profile: 1,
    description: 'a test',
    comment: '',
    pacing: { minMs: 0, maxMs: 1000, bias: 100 },
    sources: [{ type: 'directory', path: '/source' }],
    output: '/out',
    format: 'zip',
    archive: 'site',
    partSize: 0,
    level: 6,
    ...changes,
  }
}

/** A job at its very beginning. */
export function sampleJob(spec: JobSpec): Job {
  const job = {
    format: 1,
    number: 1,
    id: '20260629-121045-000001',
    kind: spec.kind,
    salt: 'salt',
    specHash: 'test',
    plan: ['init'],
    status: 'running',
    stage: 0,
    steps: 0,
    slots: {},
    house: 1,
    moving: false,
    files: {},
    trash: [],
    progress: { step: 'begin' },
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
    createdAt: 0,
    updatedAt: 0,
    finishedAt: null,
    lease: { epoch: 1, owner: 'test', until: 0, boot: 'test', untilMono: 0, released: false },
    startKey: null,
    lastKey: null,
  }
  return job as unknown as Job
}
