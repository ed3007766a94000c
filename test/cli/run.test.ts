import { describe, expect, it } from 'vitest'
import { BackupError } from '../../src/lib/errors.ts'
import { cli, failedWith, FakeBackend, jobState } from './helpers/fake.ts'

const BACKUP = ['backup', '/a', '--to', '/b']

describe('exit codes and last lines', () => {
  it('0: complete, with id, status and artifacts', async () => {
    const backend = new FakeBackend()
    const ran = await cli([...BACKUP, '--json'], { backend })
    expect(ran.code).toBe(0)
    expect(ran.lines.slice(0, -1).map((line) => line['event'])).toEqual(['step', 'step', 'step'])
    expect(ran.lines.at(-1)).toMatchObject({
      event: 'final',
      id: '20260629-121045-000001',
      number: 1,
      status: 'completed',
      artifacts: [{ path: '/out/a.zip', size: 10, sha256: 'ab'.repeat(32) }],
      warnings: 0,
      error: null,
    })
    expect(backend.disposed).toBe(1)
    expect(backend.stepped.map(({ options }) => options.expect)).toEqual([2, 3])
  })

  it('0: warnings that cost no content', async () => {
    const end = { status: 'completed_with_warnings', warnings: { total: 1, fresh: ['taken over'] } } as const
    const ran = await cli(BACKUP, { backend: new FakeBackend({ steps: 2, end }) })
    expect(ran.code).toBe(0)
    expect(ran.err).toContain('warning: taken over\n')
  })

  it('3: complete with gaps, named', async () => {
    const warnings = { total: 1, fresh: ['left out: a/\u001b[2Jb'] }
    const end = { status: 'completed_with_warnings', gaps: true, warnings } as const
    const text = await cli(BACKUP, { backend: new FakeBackend({ steps: 2, end }) })
    expect(text.code).toBe(3)
    expect(text.err).toContain('warning: left out: a/\\u001b[2Jb\n')
    const json = await cli([...BACKUP, '--json'], { backend: new FakeBackend({ steps: 2, end }) })
    expect(json.code).toBe(3)
    expect(json.lines).toContainEqual(expect.objectContaining({ event: 'warning', message: warnings.fresh[0] }))
    expect(json.lines.at(-1)).toMatchObject({ status: 'completed_with_warnings', gaps: true, warnings: 1 })
  })

  it('3: a part failed', async () => {
    const ran = await cli(BACKUP, { backend: new FakeBackend({ steps: 2, end: { status: 'partial' } }) })
    expect(ran.code).toBe(3)
  })

  it.each(['failed', 'cancelled', 'timeout'] as const)('1: %s', async (status) => {
    const end = { ...failedWith({}), status }
    const ran = await cli([...BACKUP, '--json'], { backend: new FakeBackend({ steps: 2, end }) })
    expect(ran.code).toBe(1)
    expect(ran.lines.at(-1)).toMatchObject({ status, error: { code: 'IO_ERROR' } })
    expect(ran.err).toBe('error: the disk is broken [IO_ERROR]\n  hint: Check it.\n')
  })

  it('1: the call itself fails; the job is kept and the way on is told', async () => {
    const throwAt = { 2: new BackupError('UNREACHABLE', 'no answer from http://127.0.0.1:1') }
    const ran = await cli([...BACKUP, '--json'], { backend: new FakeBackend({ steps: 3, throwAt }) })
    expect(ran.code).toBe(1)
    expect(ran.err).toContain('Go on with: ratchet backup --resume 1\n')
    expect(ran.err).toContain('error: no answer from http://127.0.0.1:1 [UNREACHABLE]\n  hint: ')
    expect(ran.lines.at(-1)).toMatchObject({ event: 'final', status: 'failed', error: { code: 'UNREACHABLE' } })
  })

  it('shows a stack only to those who debug', async () => {
    const script = { steps: 3, throwAt: { 2: new BackupError('INTERNAL', 'odd') } }
    const plain = await cli(BACKUP, { backend: new FakeBackend(structuredClone({ steps: 3 })) })
    expect(plain.err).not.toMatch(/ at /)
    const debug = await cli(BACKUP, { backend: new FakeBackend(script), env: { RATCHET_DEBUG: '1' } })
    expect(debug.err).toMatch(/BackupError: odd\n +at /)
  })
})

describe('signals', () => {
  it('130: the first one finishes the running step and says how to go on', async () => {
    let send = (): void => undefined
    const backend = new FakeBackend({ steps: 9, before: (step) => void (step === 3 && send()) })
    const ran = await cli([...BACKUP, '--json'], { backend, signals: (s) => (send = s) })
    expect(ran.code).toBe(130)
    expect(backend.jobs[0]).toMatchObject({ step: 3, status: 'running' })
    expect(ran.lines.at(-1)).toMatchObject({
      event: 'final',
      status: 'running',
      interrupted: true,
      resume: 'ratchet backup --resume 1',
    })
    expect(backend.disposed).toBe(1)
  })

  it('the second one leaves at once', async () => {
    let send = (): void => undefined
    const exits: number[] = []
    const before = (step: number): void => {
      if (step === 2) for (let i = 0; i < 2; i++) send()
    }
    const backend = new FakeBackend({ steps: 9, before })
    await cli(BACKUP, { backend, signals: (s) => (send = s), exited: (code) => exits.push(code) })
    expect(exits).toEqual([130])
  })

  it('a job that ended with the signal is complete all the same', async () => {
    let send = (): void => undefined
    const backend = new FakeBackend({ steps: 3, before: (step) => void (step === 3 && send()) })
    const ran = await cli(BACKUP, { backend, signals: (s) => (send = s) })
    expect(ran.code).toBe(0)
  })
})

describe('other processes on the same job', () => {
  it.each(['JOB_BUSY', 'STEP_OUT_OF_ORDER', 'LEASE_LOST'] as const)(
    '%s: looks where it stands and goes on',
    async (code) => {
      const throwAt = { 2: new BackupError(code, 'elsewhere'), 3: new BackupError(code, 'elsewhere') }
      const ran = await cli([...BACKUP, '--json'], { backend: new FakeBackend({ steps: 4, throwAt }) })
      expect(ran.code).toBe(0)
    },
  )

  it('gives up on a job that is held and never moves', async () => {
    const backend = new FakeBackend({ steps: 4 })
    backend.step = () => Promise.reject(new BackupError('JOB_BUSY', 'held'))
    const ran = await cli(BACKUP, { backend })
    expect(ran.code).toBe(1)
    expect(ran.err).toContain('[JOB_BUSY]')
  })

  it('tells the end that another process brought about', async () => {
    const backend = new FakeBackend({ steps: 4 })
    backend.step = async (number) => {
      backend.put({ ...(await backend.get(number)), step: 4, ended: true, status: 'completed', finishedAt: 9 })
      throw new BackupError('STEP_OUT_OF_ORDER', 'stale')
    }
    const ran = await cli([...BACKUP, '--json'], { backend })
    expect(ran.code).toBe(0)
    expect(ran.lines.at(-1)).toMatchObject({ status: 'completed', step: 4 })
  })
})

describe('backup --resume', () => {
  const ended = { ended: true, status: 'completed', finishedAt: 5 } as const

  it('takes the newest unfinished one', async () => {
    const backend = new FakeBackend({ steps: 5 })
    backend.put(jobState({ number: 1, step: 2 }))
    backend.put(jobState({ number: 2, step: 3 }))
    backend.put(jobState({ number: 3, ...ended }))
    const ran = await cli(['backup', '--resume', '--json'], { backend })
    expect(ran.code).toBe(0)
    expect(backend.stepped.map(({ number }) => number)).toEqual([2, 2])
    expect(ran.lines.at(-1)).toMatchObject({ number: 2, status: 'completed' })
  })

  it('takes the one named, with its own slice', async () => {
    const backend = new FakeBackend({ steps: 3 })
    backend.put(jobState({ number: 1 }))
    backend.put(jobState({ number: 2 }))
    await cli(['backup', '--resume', '1', '--slice', '100ms'], { backend })
    expect(backend.stepped[0]).toEqual({
      number: 1,
      options: { expect: 2, pacing: { minMs: 0, maxMs: 100, bias: 100 } },
    })
  })

  it('tells the last end again when nothing is left to do, with its code', async () => {
    const backend = new FakeBackend()
    backend.put(jobState({ number: 1, ...ended }))
    backend.put(jobState({ number: 2, ...ended, ...failedWith({}) }))
    const ran = await cli(['backup', '--resume', '--json'], { backend })
    expect(ran.code).toBe(1)
    expect(ran.lines.at(-1)).toMatchObject({ event: 'final', number: 2, status: 'failed' })
    expect(backend.stepped).toEqual([])
  })

  it('believes the record, not the list', async () => {
    const backend = new FakeBackend({ steps: 2 })
    backend.put(jobState({ number: 1, ...ended }))
    const list = await backend.list()
    backend.list = async () => ({ total: 1, jobs: list.jobs.map((job) => ({ ...job, status: 'running' })) })
    const ran = await cli(['backup', '--resume', '--json'], { backend })
    expect([ran.code, backend.stepped.length]).toEqual([0, 0])
  })

  it('says so when there is nothing at all', async () => {
    const ran = await cli(['backup', '--resume'], { backend: new FakeBackend() })
    expect(ran.code).toBe(1)
    expect(ran.err).toContain('[JOB_NOT_FOUND]')
  })

  it('stops at a job that stalls, and takes a stalled one up again', async () => {
    const stalled = {
      steps: 2,
      end: { status: 'stalled', ended: false, error: failedWith({}).error ?? null },
    } as const
    const first = new FakeBackend(stalled)
    const ran = await cli([...BACKUP, '--json'], { backend: first })
    expect(ran.code).toBe(1)
    expect(ran.lines.at(-1)).toMatchObject({ status: 'stalled', resume: 'ratchet backup --resume 1' })
    const second = new FakeBackend({ steps: 3 })
    second.put(jobState({ status: 'stalled' }))
    expect((await cli(['backup', '--resume'], { backend: second })).code).toBe(0)
  })
})
