import { describe, expect, it } from 'vitest'
import type { JobView } from '../../src/engine/job.ts'
import { outFolder } from '../../src/engine/paths.ts'
import { BenchJob, bootProcess, type BenchProcess } from '../helpers/bench-job.ts'
import { checkCompleted, leftovers, published, readJob } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { faultDisk, type FaultCode } from '../helpers/fault-disk.ts'

const HOUR = 3600_000
const DAY = 24 * HOUR
const OPTIONS = { slices: 'some', source: { large: TWO_BLOCKS } } as const

/** A job whose output gives an error until `mend()`. */
function broken(code: FaultCode): { job: BenchJob; process: BenchProcess; mend(): void } {
  const job = new BenchJob(OPTIONS)
  let mended = false
  const disk = faultDisk(job.disk, {
    counts: (call) => !mended && call.path.startsWith('/out/.ratchet') && call.changes,
    at: 1,
    fault: { kind: 'error', code, sticky: true },
  })
  return { job, process: job.boot(disk), mend: () => void (mended = true) }
}

/** Steps as a patient client does, until a condition holds. */
async function until(job: BenchJob, process: BenchProcess, when: (reply: JobView) => boolean): Promise<JobView[]> {
  const replies: JobView[] = []
  for (let n = 0; n < 200; n++) {
    const reply = await job.call(process)
    replies.push(reply)
    if (when(reply)) return replies
    job.clock.advance(reply.sleepMs)
  }
  throw new Error('it never came to that')
}

describe('a job that fails again and again', () => {
  it('waits longer each time, stalls after fifteen minutes, and goes on once all is well', async () => {
    const { job, process, mend } = broken('ENOSPC')
    const replies = await until(job, process, (reply) => reply.status === 'stalled')
    const failing = replies.filter((reply) => reply.attempts > 0)
    const waits = failing.slice(0, -1).map((reply) => reply.sleepMs)
    expect(waits.slice(0, 8)).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThanOrEqual(15 * 60_000)
    expect(failing.map((reply) => reply.attempts)).toEqual(failing.map((_, i) => i + 1))
    const last = replies.at(-1)
    expect(last).toMatchObject({ status: 'stalled', error: { code: 'DISK_FULL', retry: 'later' } })
    expect(last?.error?.hint).toContain('Make room')
    expect(failing[0]?.warnings.recent.at(-1)).toMatchObject({ code: 'retry', step: failing[0]?.steps })
    // It stays stalled as long as it does not work, counts on, and is not given up.
    job.clock.advance(HOUR)
    expect(await job.call(process)).toMatchObject({ status: 'stalled', attempts: failing.length + 1 })
    mend()
    const next = await job.call(process)
    expect(next).toMatchObject({ status: 'running', attempts: 0, failingSince: null, error: null })
    await until(job, process, (reply) => reply.status === 'completed')
    await process[Symbol.asyncDispose]()
    await checkCompleted(job.disk, job, OPTIONS)
  })

  it('begins to count anew after a step that worked', async () => {
    const { job, process, mend } = broken('EIO')
    await until(job, process, (reply) => reply.attempts === 3)
    mend()
    expect((await job.call(process)).attempts).toBe(0)
    await process[Symbol.asyncDispose]()
  })

  it('stalls at once if the clock has jumped back, rather than never', async () => {
    const { job, process } = broken('EIO')
    await until(job, process, (reply) => reply.attempts === 1)
    job.clock.setWall(job.clock.wall() - 10 * 365 * DAY)
    expect((await job.call(process)).status).toBe('stalled')
    await process[Symbol.asyncDispose]()
  })

  it('fails at once where another try cannot help, with code, message and hint, and leaves nothing', async () => {
    const { job, process } = broken('EROFS')
    const [end] = (await until(job, process, (reply) => reply.status === 'failed')).slice(-1)
    expect(end?.error).toMatchObject({ code: 'READ_ONLY', retry: 'never' })
    expect(end?.error?.hint).toContain('remount')
    await process[Symbol.asyncDispose]()
    expect([...published(job.disk).keys(), ...leftovers(job.disk, readJob(job.disk, 1))]).toEqual([])
  })

  it('can be cancelled, stalled or not', async () => {
    for (const status of ['running', 'stalled']) {
      const { job, process } = broken('EIO')
      await until(job, process, (reply) => reply.attempts > 0 && reply.status === status)
      const end = await process.engine.cancel(1)
      expect(end.status).toBe('cancelled')
      await process[Symbol.asyncDispose]()
      expect([...published(job.disk).keys(), ...leftovers(job.disk, end)]).toEqual([])
    }
  })
})

describe('a job that nobody steps any more', () => {
  /** Some steps, then a new process after some time. */
  async function abandoned(after: number): Promise<{ job: BenchJob; process: BenchProcess }> {
    const job = new BenchJob(OPTIONS)
    {
      await using first = job.boot()
      for (let n = 0; n < 4; n++) await job.call(first)
    }
    job.clock.advance(after)
    return { job, process: job.boot() }
  }

  it('is shown as stalled after a day, and can go on', async () => {
    const { job, process } = await abandoned(DAY + 1)
    const seen = await process.engine.get(1)
    expect(seen).toMatchObject({ status: 'stalled', steps: 4 })
    await until(job, process, (reply) => reply.status === 'completed')
    await process[Symbol.asyncDispose]()
    await checkCompleted(job.disk, job, OPTIONS)
    const { process: early } = await abandoned(DAY - 1000)
    expect((await early.engine.get(1)).status).toBe('running')
    await early[Symbol.asyncDispose]()
  })

  it('is swept after a week, and not before', async () => {
    const early = await abandoned(7 * DAY - 60_000)
    expect(await early.process.engine.sweep()).toEqual([])
    await early.process[Symbol.asyncDispose]()
    const { job, process } = await abandoned(7 * DAY + 1)
    expect(await process.engine.sweep()).toEqual([1])
    const end = await process.engine.get(1)
    expect(end.status).toBe('cancelled')
    expect([...published(job.disk).keys(), ...leftovers(job.disk, end)]).toEqual([])
    expect(await process.engine.sweep()).toEqual([])
    await process[Symbol.asyncDispose]()
  })

  it('is not swept because somebody set the wall clock forward', async () => {
    const { job, process } = await abandoned(1000)
    job.clock.setWall(job.clock.wall() + 30 * DAY)
    expect(await process.engine.sweep()).toEqual([])
    expect((await process.engine.get(1)).status).toBe('running')
    await until(job, process, (reply) => reply.status === 'completed')
    await process[Symbol.asyncDispose]()
    await checkCompleted(job.disk, job, OPTIONS)
  })

  it('leaves nothing for ever if its process died while clearing up, or before its first record', async () => {
    const job = new BenchJob(OPTIONS)
    const end = await job.drive()
    job.disk.mkdir(outFolder('/out', end), 0o700)
    job.disk.close(job.disk.open('/data/jobs/1/reserve', 'create'))
    job.disk.mkdir('/data/jobs/2', 0o700)
    const late = new FakeClock({ wall: Date.UTC(2026, 6, 29) })
    await using process = bootProcess(job.disk, late, 'late')
    expect(await process.engine.sweep()).toEqual([])
    expect(leftovers(job.disk, end)).toEqual([])
    expect(job.disk.readdir('/data/jobs').map(String)).toEqual(['1'])
    await checkCompleted(job.disk, job, OPTIONS)
  })
})
