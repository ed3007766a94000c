import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { AuditTrail } from '../../src/access/audit.ts'
import { noteJobs } from '../../src/access/job-trail.ts'
import { EmbeddedBackend } from '../../src/cli/backend/embedded.ts'
import type { AuditEvent, EngineEvents } from '../../src/engine/services.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { Events } from '../../src/lib/events.ts'
import { FakeEngine } from '../facade/fake-engine.ts'

test('what the command line does on a data folder stands in the trail: begun, done, ended (S-LOG-2)', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-trail-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }))
  const at = (...names: string[]): string => path.join(folder, ...names)
  fs.mkdirSync(at('source'))
  fs.writeFileSync(at('source/file'), 'content')
  await using backend = await EmbeddedBackend.open(at('data'), [])
  const finish = async (number: number): Promise<string> => {
    for (;;) {
      const state = await backend.step(number)
      if (state.ended) return state.status
    }
  }
  const overrides = { sources: [{ type: 'directory', path: at('source') }], output: at('out') }
  const backup = await backend.start({ kind: 'backup', overrides })
  expect(await finish(backup.number)).toBe('completed')
  await finish(backup.number) // asked again, it has ended once
  const verify = await backend.start({ kind: 'verify', archive: backup.number })
  await finish(verify.number)
  const restore = await backend.start({ kind: 'restore', archive: backup.number, target: at('target') })
  await finish(restore.number)
  const dry = await backend.start({ kind: 'restore', archive: backup.number, target: at('none'), dryRun: true })
  await finish(dry.number)
  expect(fs.existsSync(at('none'))).toBe(false)
  const second = await backend.start({ kind: 'backup', overrides })
  await backend.cancel(second.number)
  await backend.remove(second.number, 'both')
  const { id } = await backend.profiles.save({ name: 'n', output: at('out') })
  await backend.profiles.remove(id)
  // What was refused did not happen, and the trail says so.
  await expect(backend.freeze(verify.number, true)).rejects.toThrow()
  await expect(backend.remove(99, 'both')).rejects.toThrow()
  await expect(backend.accounts.removeUser('nobody')).rejects.toThrow()
  await backend.freeze(backup.number, true)
  await backend.freeze(backup.number, false)
  const trail = new AuditTrail(realDisk, systemClock, at('data'))
  const { entries } = trail.read(1, 1000)
  const told = entries.map((entry) => `${entry.event} ${entry.object} ${entry.result}`)
  // A job may end with its first step, which belongs to its start.
  expect(told.filter((text) => !text.startsWith('job.cancel') && !text.includes('job:5')).toSorted()).toEqual(
    [
      'backup.start job:1 ok',
      'backup.end job:1 completed',
      'verify.start job:2 of job:1 ok',
      'verify.end job:2 completed',
      'restore.start job:1 begun',
      'restore.start job:3 of job:1 ok',
      'restore.end job:3 completed',
      'restore.start job:1 (dry run) begun',
      'restore.start job:4 of job:1 (dry run) ok',
      'restore.end job:4 completed',
      'profile.save profile begun',
      'profile.save profile:2 ok',
      'profile.delete profile:2 begun',
      'profile.delete profile:2 ok',
      'backup.freeze job:2 begun',
      'backup.freeze job:2 BAD_REQUEST',
      'backup.delete job:99 begun',
      'backup.delete job:99 JOB_NOT_FOUND',
      'user.delete user begun',
      'user.delete user USER_NOT_FOUND',
      'backup.freeze job:1 begun',
      'backup.freeze job:1 ok',
      'backup.freeze job:1 unfreeze begun',
      'backup.freeze job:1 unfreeze ok',
    ].toSorted(),
  )
  expect(told).toEqual(
    expect.arrayContaining(['job.cancel job:5 ok', 'backup.delete job:5 begun', 'backup.delete job:5 ok']),
  )
  expect(new Set(entries.map((entry) => entry.actor))).toEqual(new Set(['@local']))
  expect(trail.verify().ok).toBe(true)
}, 60_000)

test('jobs that stall are noted; who cannot write the trail does not stop the job', async () => {
  const failures: unknown[] = []
  const events = new Events<EngineEvents>((error) => void failures.push(error))
  const noted: AuditEvent[] = []
  const off = noteJobs(events, { note: (event) => void noted.push(event) } as Parameters<typeof noteJobs>[1])
  const job = await new FakeEngine().start({ kind: 'verify', archive: '/a.zip' })
  events.emit('progress', job)
  events.emit('progress', { ...job, status: 'stalled', startedBy: 'anna' })
  events.emit('finished', { ...job, status: 'failed' })
  expect(noted).toMatchObject([
    { event: 'verify.stall', actor: 'anna', object: 'job:1', result: 'stalled' },
    { event: 'verify.end', actor: '@local', object: 'job:1', result: 'failed' },
  ])
  off()
  events.emit('finished', job)
  expect([noted.length, failures]).toEqual([2, []])
})
