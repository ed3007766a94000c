import { describe, expect, it } from 'vitest'
import { isEnded, type JobView } from '../../src/engine/job.ts'
import { errnoOf } from '../../src/lib/errors.ts'
import { BenchJob, codeOf, DATA, OUT, type BenchOptions, type BenchProcess } from '../helpers/bench-job.ts'
import { checkCompleted, leftovers, namesIn, published, readJob } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import { quotaDisk, type QuotaDisk } from '../helpers/quota-disk.ts'

const LEVELS = process.env['RATCHET_LONG'] === '1' ? 200 : 20
const BLOCK = 4096

const JOBS: readonly (readonly [name: string, options: BenchOptions])[] = [
  ['one step, one file', { slices: 'whole' }],
  ['a few safe points a step, parts of 64 KiB', { slices: 'some', partSize: 65_536 }],
  ['a few safe points a step, JPA in parts of 64 KiB', { slices: 'some', partSize: 65_536, spec: { format: 'jpa' } }],
  ['a step for each safe point, one file', { slices: 'each', source: { large: TWO_BLOCKS, files: 150 } }],
]

/** Works until the job ended or the disk was full `times` times; returns how often it was. */
async function workUntilFull(job: BenchJob, process: BenchProcess, times: number): Promise<number> {
  for (let full = 0; ;) {
    let reply: JobView
    try {
      reply = await job.call(process)
    } catch (error) {
      // Only where not even the first record has room may a call fail without being written down.
      expect([job.told, codeOf(error) === 'DISK_FULL' || errnoOf(error) === 'ENOSPC']).toEqual([null, true])
      if (++full === times) return full
      continue
    }
    if (isEnded(reply)) return full
    if (reply.attempts === 0) continue
    expect(reply).toMatchObject({ status: 'running', attempts: full + 1 })
    expect(reply.sleepMs).toBeGreaterThan(0)
    expect(reply.warnings.recent.at(-1)?.message).toContain('DISK_FULL')
    if (++full === times) return full
  }
}

/** How much the folder comes to hold in an undisturbed run, in blocks. */
async function peakOf(options: BenchOptions, folder: string): Promise<number> {
  const job = new BenchJob(options)
  const disk = quotaDisk(job.disk, folder, Number.MAX_SAFE_INTEGER)
  await job.drive(disk)
  return disk.peak
}

const levels = (peak: number): number[] =>
  Array.from({ length: LEVELS }, (_, i) => Math.floor((peak * i) / LEVELS / BLOCK) * BLOCK)

describe.each([
  ['state', DATA],
  ['output', OUT],
])('the file system of the %s is full', (_name, folder) => {
  it.each(JOBS)('pauses, and goes on once there is room: %s', { timeout: 600_000 }, async (_job, options) => {
    let paused = 0
    for (const level of levels(await peakOf(options, folder))) {
      const job = new BenchJob(options)
      const disk = quotaDisk(job.disk, folder, level)
      await using process = job.boot(disk)
      paused += Math.min(1, await workUntilFull(job, process, 3))
      disk.quota = Number.MAX_SAFE_INTEGER
      if (job.told?.ended !== true) expect(await workUntilFull(job, process, 1), `level ${level}`).toBe(0)
      await checkCompleted(disk, job, options)
    }
    expect(paused).toBeGreaterThanOrEqual(LEVELS - 1)
  })

  it.each(JOBS)('can be cancelled while it is: %s', { timeout: 600_000 }, async (_job, options) => {
    for (const level of levels(await peakOf(options, folder))) {
      const job = new BenchJob(options)
      const disk = quotaDisk(job.disk, folder, level)
      await using process = job.boot(disk)
      await workUntilFull(job, process, 2)
      if (job.told === null || job.told.ended) continue
      // From the barrier before the first name on there is no way back; what is left to do has room.
      const begun = readJob(disk, job.told.number).slots['publish'] !== undefined
      const end = await process.engine.cancel(job.told.number)
      expect(end.status, `level ${level}`).toBe(begun ? 'completed' : 'cancelled')
      if (begun) continue
      expect([...published(disk).keys(), ...leftovers(disk, readJob(disk, end.number))]).toEqual([])
    }
  })
})

describe('deleting while the disk is full', () => {
  const fill = (disk: QuotaDisk): void => {
    disk.quota = disk.used
  }
  it.each([DATA, OUT])('frees what the backup took: %s', async (folder) => {
    const job = new BenchJob({ slices: 'some' })
    const disk = quotaDisk(job.disk, folder, Number.MAX_SAFE_INTEGER)
    await using process = job.boot(disk)
    while (!isEnded(await job.call(process))) continue
    fill(disk)
    await process.engine.remove(1)
    expect(namesIn(disk, OUT)).toEqual([])
    expect(namesIn(disk, `${DATA}/jobs`)).toEqual(['last'])
  })
})
