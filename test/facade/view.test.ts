import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { JobStatus, JobView, Warning } from '../../src/engine/job.ts'
import type { Domain } from '../../src/engine/stage.ts'
import { stepReply as schema } from '../../src/facade/jsonrpc/schemas.ts'
import { stepReply } from '../../src/facade/jsonrpc/view.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { newJob } from './fake-engine.ts'

/** Replies are pinned in `test/golden/rpc-view.json`; RATCHET_GOLDEN=1 writes it anew. */
const GOLDEN = path.join(import.meta.dirname, '../golden/rpc-view.json')

function job(changes: Partial<JobView>): JobView {
  const spec = {
    kind: 'backup',
    profile: 1,
    description: 'd',
    comment: '',
    pacing: { minMs: 0, maxMs: 1000, bias: 75 },
    sources: [{ type: 'directory', path: '/srv/site' }],
    output: '/backups',
    format: 'zip',
    archive: 'site',
    partSize: 0,
    level: 6,
  } as const
  const base = newJob(7, { ...spec, sources: [...spec.sources] }, 1_782_727_845_000)
  return { ...base, status: 'running', domain: 'pack', steps: 4, percent: 40, archive: 'site.zip', ...changes }
}

const warning = (step: number, message: string): Warning => ({ step, code: 'omitted', message })
const fullDisk = new BackupError('DISK_FULL', 'no room left on /backups').toRecord()
const ten = Array.from({ length: 10 }, (_, i) => warning(4, `w${i}`))

const CASES: Readonly<Record<string, JobView>> = {
  'not yet stepped': job({ status: 'pending', domain: 'init', steps: 0, percent: 0, archive: null }),
  'first step': job({ domain: 'init', steps: 1, percent: 0.9, archive: null, progress: { step: 'counting' } }),
  packing: job({ progress: { step: 'packing', substep: 'site/a.txt' }, sleepMs: 12.3 }),
  database: job({ domain: 'db' }),
  installer: job({ domain: 'installer' }),
  finalization: job({ domain: 'finalization', percent: 99.99 }),
  '100 too early': job({ domain: 'finalization', percent: 100 }),
  'percent that is none': job({ percent: Number.NaN }),
  finished: job({ status: 'completed', domain: 'finalization', steps: 9, percent: 100, sleepMs: 500 }),
  'finished with warnings of its last step': job({
    status: 'completed',
    steps: 9,
    percent: 100,
    warnings: { total: 2, before: 1, recent: [warning(3, 'old'), warning(9, 'new')] },
  }),
  'warnings of this step only': job({
    warnings: { total: 3, before: 1, recent: [warning(3, 'old'), warning(4, 'a'), warning(4, 'b')] },
  }),
  'more warnings than the record holds': job({ warnings: { total: 250, before: 200, recent: ten } }),
  'dropped ones are older': job({
    warnings: { total: 250, before: 241, recent: [warning(3, 'old'), ...ten.slice(1)] },
  }),
  'dropped, none of this step': job({ warnings: { total: 250, before: 250, recent: [] } }),
  failed: job({ status: 'failed', error: new BackupError('SOURCE_NOT_FOUND', '/srv/site is not there').toRecord() }),
  'failed without a reason': job({ status: 'failed' }),
  cancelled: job({ status: 'cancelled' }),
  'cancelled with its record': job({
    status: 'cancelled',
    error: new BackupError('CANCELLED', 'cancelled by admin').toRecord(),
  }),
  timeout: job({ status: 'timeout' }),
  'a full disk is a warning and a wait': job({ error: fullDisk, attempts: 2, sleepMs: 5000 }),
  'a full disk already among the warnings': job({
    error: fullDisk,
    sleepMs: 5000,
    warnings: { total: 1, before: 0, recent: [warning(4, 'no room left on /backups; trying again')] },
  }),
  stalled: job({ status: 'stalled', error: fullDisk, sleepMs: 5000 }),
  'stalled without a reason': job({ status: 'stalled' }),
  restore: { ...job({ domain: 'restore', archive: null }), kind: 'restore' },
  verify: { ...job({ domain: 'verify', archive: null }), kind: 'verify' },
}

describe('the reply of a step', () => {
  const replies = Object.fromEntries(Object.entries(CASES).map(([name, record]) => [name, stepReply(record)]))
  if (process.env['RATCHET_GOLDEN'] === '1') fs.writeFileSync(GOLDEN, `${JSON.stringify(replies, null, 2)}\n`)
  const golden = JSON.parse(fs.readFileSync(GOLDEN, 'utf8')) as Record<string, unknown>

  test('every case is pinned, and nothing else', () => {
    expect(Object.keys(golden)).toEqual(Object.keys(CASES))
  })

  for (const [name, reply] of Object.entries(replies)) {
    test(name, () => {
      expect(reply).toEqual(golden[name])
      expect(Object.keys(reply)).toEqual(Object.keys(golden[name] as object))
      expect(schema.parse(reply)).toEqual(reply)
    })
  }

  test('what holds for every status and domain', () => {
    const statuses: JobStatus[] = ['pending', 'running', 'stalled', 'completed', 'failed', 'cancelled', 'timeout']
    const domains: Domain[] = ['init', 'installer', 'db', 'pack', 'finalization', 'restore', 'verify']
    for (const status of statuses) {
      for (const domain of domains) {
        const reply = stepReply(job({ status, domain, error: fullDisk, percent: 100 }))
        expect(schema.safeParse(reply).success).toBe(true)
        expect(reply.stepState === 'finished').toBe(!reply.HasRun && reply.Error === '')
        expect(reply.Progress === 100).toBe(status === 'completed')
        if (reply.Error !== '') expect([reply.HasRun, reply.stepState, reply.sleepTime]).toEqual([false, 'error', 0])
      }
    }
  })
})
