import { describe, expect, it } from 'vitest'
import { jobPaths } from '../../src/engine/paths.ts'
import { decodeRecord, encodeRecord } from '../../src/engine/record.ts'
import type { Job } from '../../src/engine/job.ts'
import { replaceFile } from '../../src/lib/durable-file.ts'
import { BenchJob, codeOf, type BenchOptions } from '../helpers/bench-job.ts'
import { checkCompleted, readJob } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import { contentOf } from '../helpers/disk-tree.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'
import { sampleJob, sampleSpec } from '../helpers/sample-job.ts'

const OPTIONS: BenchOptions = { slices: 'each', source: { large: TWO_BLOCKS } }
const paths = jobPaths('/data')

/** A job after some steps, its process gone. */
async function afterSteps(steps: number): Promise<BenchJob> {
  const job = new BenchJob(OPTIONS)
  await using process = job.boot()
  while ((job.told?.steps ?? 0) < steps) await job.call(process)
  return job
}

const epochs = (job: BenchJob): number[] =>
  job.disk
    .readdir(paths.job(1))
    .map((name) => /^state-(\d+)\.json$/.exec(name.toString())?.[1])
    .filter((epoch) => epoch !== undefined)
    .map(Number)
    .toSorted((a, b) => a - b)

function damage(disk: MemoryDisk, epoch: number, how: (bytes: Buffer) => Buffer): void {
  const file = paths.state(1, epoch)
  replaceFile(disk, file, how(contentOf(disk, file)))
}

const flipped = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes)
  copy[200] = (copy[200] ?? 0) ^ 1
  return copy
}

describe('a record', () => {
  const job: Job = { ...sampleJob(sampleSpec()), slots: { text: 'ß → 日本 \u0000 "quoted" \\' }, archive: 'site' }
  const bytes = encodeRecord(job)

  it('is read back as it was written', () => {
    expect(decodeRecord(bytes, 'x')).toEqual(job)
  })
  it('is known as damaged with any bit of any byte flipped', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const copy = Buffer.from(bytes)
        copy[at] = (copy[at] ?? 0) ^ (1 << bit)
        expect(decodeRecord(copy, 'x'), `byte ${at}, bit ${bit}`).toBeNull()
      }
    }
  })
  it('is known as damaged when cut anywhere, or longer', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeRecord(bytes.subarray(0, length), 'x'), `${length} bytes`).toBeNull()
      expect(
        decodeRecord(Buffer.concat([bytes.subarray(0, length), Buffer.alloc(bytes.length - length)]), 'x'),
      ).toBeNull()
    }
    for (const more of [' ', '\n', '\u0000', '}']) {
      expect(decodeRecord(Buffer.concat([bytes, Buffer.from(more)]), 'x')).toBeNull()
    }
  })
  it('of a newer release is refused by a message that names both', () => {
    const newer = encodeRecord({ ...job, format: 7 } as unknown as Job)
    expect(() => decodeRecord(newer, '/data/state-3.json')).toThrow(
      '/data/state-3.json has format 7; this release reads 1',
    )
  })
})

describe('a damaged record of a job under way', () => {
  it.each([
    ['flipped', flipped],
    ['empty', () => Buffer.alloc(0)],
    ['torn', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ['zeros', (bytes: Buffer) => Buffer.alloc(bytes.length)],
  ])('is replaced by the one before, once, and the job ends with the same bytes: %s', async (_how, how) => {
    for (const steps of [2, 7, 13, 20, 25]) {
      const job = await afterSteps(steps)
      damage(job.disk, epochs(job).at(-1) ?? 0, how)
      const back = readJob(job.disk, 1)
      expect(back.steps).toBe(steps - 1)
      job.told = null // this client cannot know that a step was lost with the disk's bytes
      await using process = job.boot()
      const next = await process.engine.step(1)
      expect(next.steps).toBe(steps)
      expect(next.warnings.recent.map((warning) => warning.code)).toContain('state_recovered')
      let end = next
      while (end.status === 'running') end = await process.engine.step(1)
      expect(end.status, `after step ${steps}: ${JSON.stringify(end.error)}`).toBe('completed')
      await checkCompleted(job.disk, job, OPTIONS)
    }
  })

  it('stops the job if the one before is damaged too; nothing is guessed', async () => {
    const job = await afterSteps(9)
    for (const epoch of epochs(job)) damage(job.disk, epoch, flipped)
    await using process = job.boot()
    await expect(process.engine.step(1)).rejects.toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }))
    expect(await process.engine.get(1).catch(codeOf)).toBe('STATE_DAMAGED')
    expect((await process.engine.list()).total).toBe(0)
  })

  it('of a newer release stops it, and nothing changes', async () => {
    const job = await afterSteps(9)
    const newest = epochs(job).at(-1) ?? 0
    const record = decodeRecord(contentOf(job.disk, paths.state(1, newest)), '')
    replaceFile(job.disk, paths.state(1, newest), encodeRecord({ ...record, format: 2 } as unknown as Job))
    const before = epochs(job)
    await using process = job.boot()
    await expect(process.engine.step(1)).rejects.toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
    expect(epochs(job)).toEqual(before)
  })

  it('with a stage that this release does not know is refused by its name', async () => {
    const job = await afterSteps(3)
    const newest = epochs(job).at(-1) ?? 0
    const record = decodeRecord(contentOf(job.disk, paths.state(1, newest)), '')
    const plan = ['init', 'encrypt', 'publish']
    replaceFile(job.disk, paths.state(1, newest), encodeRecord({ ...record, plan } as unknown as Job))
    await using process = job.boot()
    const end = await process.engine.step(1)
    expect(end).toMatchObject({ status: 'failed', error: { code: 'STATE_TOO_NEW' } })
    expect(end.error?.message).toContain('"encrypt"')
  })
})

describe('a damaged record of a job that has ended', () => {
  it('has a second copy', async () => {
    const job = new BenchJob(OPTIONS)
    const end = await job.drive()
    damage(job.disk, epochs(job).at(-1) ?? 0, flipped)
    const back = readJob(job.disk, 1)
    expect(back).toMatchObject({ status: 'completed', steps: end.steps, percent: 100, artifacts: end.artifacts })
    await using process = job.boot()
    expect(await process.engine.artifacts(1)).toHaveLength(1)
    expect((await process.engine.step(1)).status).toBe('completed')
    await checkCompleted(job.disk, job, OPTIONS)
  })
})
