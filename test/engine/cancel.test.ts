import { describe, expect, it } from 'vitest'
import { isEnded, type JobView } from '../../src/engine/job.ts'
import { createFileOnce } from '../../src/lib/durable-file.ts'
import { spread } from '../faults/enumerate.ts'
import { BenchJob, codeOf, type BenchOptions } from '../helpers/bench-job.ts'
import { checkCompleted, leftovers, published, readJob } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import { everyCall, faultDisk } from '../helpers/fault-disk.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'

const small = { large: TWO_BLOCKS }
const JOBS: readonly (readonly [name: string, options: BenchOptions])[] = [
  ['a few safe points a step, parts of 64 KiB', { slices: 'some', partSize: 65_536, source: small }],
  ['a step for each safe point, one file', { slices: 'each', source: small }],
]
const POINTS = process.env['RATCHET_LONG'] === '1' ? 10_000 : 80

function nothingLeft(disk: MemoryDisk, job: JobView): void {
  expect([...published(disk).keys(), ...leftovers(disk, job)]).toEqual([])
}

describe('a cancel', () => {
  it.each(JOBS)(
    'by somebody else, at any call of a step, ends the job clean or complete: %s',
    async (_name, options) => {
      const whole = new BenchJob(options)
      const counting = faultDisk(whole.disk, { counts: everyCall })
      await whole.drive(counting)
      let cancelled = 0
      for (const at of spread(counting.counted, POINTS, 3)) {
        const job = new BenchJob(options)
        let seen = 0
        const plant = (): boolean => {
          if (++seen === at && job.disk.readdir('/data').length > 0) {
            if (job.disk.readdir('/data/jobs').some((name) => name.toString() === '1')) {
              createFileOnce(job.disk.process(), '/data/jobs/1/cancel', Buffer.alloc(0))
            }
          }
          return false
        }
        const end = await job.drive(faultDisk(job.disk, { counts: plant }))
        if (end.status === 'completed') {
          await job.drive() // too late: at the next look the mark goes
          await checkCompleted(job.disk, job, options)
          continue
        }
        cancelled++
        expect(end.status).toBe('cancelled')
        nothingLeft(job.disk, end)
        nothingLeft(job.disk.powerCut('lose'), end)
      }
      expect(cancelled).toBeGreaterThan(POINTS / 3)
    },
  )

  it('after every step, by a process that has not worked on it, leaves nothing', async () => {
    for (let steps = 1; ; steps++) {
      const job = new BenchJob({ slices: 'each', partSize: 65_536, source: small })
      {
        await using worker = job.boot()
        while ((job.told?.steps ?? 0) < steps && job.told?.ended !== true) await job.call(worker)
      }
      if (job.told?.ended === true) break
      await using other = job.boot()
      const begun = readJob(job.disk, 1).slots['publish'] !== undefined
      const end = await other.engine.cancel(1)
      if (begun) {
        // Its files are getting their names: there is no way back.
        expect(['running', 'completed']).toContain(end.status)
        continue
      }
      expect(end.status, `after step ${steps}`).toBe('cancelled')
      expect(end.steps).toBe(steps + 1)
      nothingLeft(job.disk, end)
      // Once more changes nothing.
      expect(await other.engine.cancel(1)).toEqual(end)
      expect(await other.engine.step(1)).toMatchObject({ status: 'cancelled', steps: end.steps })
    }
  })

  it('wins against the step that is running in the same engine', async () => {
    const job = new BenchJob({ slices: 'some', source: small })
    await using process = job.boot()
    await job.call(process)
    const [step, end] = await Promise.all([process.engine.step(1), process.engine.cancel(1)])
    expect(end.status).toBe('cancelled')
    expect(['running', 'cancelled']).toContain(step.status)
    nothingLeft(job.disk, end)
  })

  it('of a finished job changes nothing', async () => {
    const options = { slices: 'some', source: small } as const
    const job = new BenchJob(options)
    await using process = job.boot()
    let last = await job.call(process)
    while (!isEnded(last)) last = await job.call(process)
    expect(await process.engine.cancel(1)).toMatchObject({ status: 'completed', steps: last.steps })
    await checkCompleted(job.disk, job, options)
  })

  it('of a job that does not exist says so', async () => {
    await using process = new BenchJob().boot()
    expect(await process.engine.cancel(7).catch(codeOf)).toBe('JOB_NOT_FOUND')
  })
})
