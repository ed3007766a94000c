import { describe, expect, it } from 'vitest'
import { isEnded, type Job, type JobView } from '../../src/engine/job.ts'
import { checkOrder } from '../../src/engine/order.ts'
import { BenchJob, codeOf, type BenchProcess } from '../helpers/bench-job.ts'
import { checkCompleted, readJob } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import { contentOf, treeOf } from '../helpers/disk-tree.ts'
import { seeded } from '../helpers/random.ts'
import { sampleJob, sampleSpec } from '../helpers/sample-job.ts'

const OPTIONS = { slices: 'each', source: { large: TWO_BLOCKS } } as const
const SEEDS = process.env['RATCHET_LONG'] === '1' ? 400 : 10

const at = (steps: number, changes: Partial<Job> = {}): Job => ({ ...sampleJob(sampleSpec()), steps, ...changes })

describe('the number a caller awaits', () => {
  it('of the next step is a new step, of the last one its answer', () => {
    expect(checkOrder(at(7), { expect: 8 })).toBe(false)
    expect(checkOrder(at(7), { expect: 7 })).toBe(true)
    expect(checkOrder(at(7), {})).toBe(false)
    expect(checkOrder(at(0), { expect: 1 })).toBe(false)
  })
  it('is refused when stale, in the future, or after the end', () => {
    for (const expect_ of [6, 9, 0, -1, 100, 1.5, Number.NaN]) {
      expect(() => checkOrder(at(7), { expect: expect_ }), String(expect_)).toThrow(
        expect.objectContaining({ code: 'STEP_OUT_OF_ORDER', data: { expected: 8, last: 7, asked: expect_ } }),
      )
    }
    for (const status of ['completed', 'failed', 'cancelled'] as const) {
      expect(checkOrder(at(7, { status }), { expect: 7 })).toBe(true)
      expect(checkOrder(at(7, { status }), {})).toBe(true)
      for (const expect_ of [6, 8, 9])
        expect(() => checkOrder(at(7, { status }), { expect: expect_ })).toThrow('was the last one')
    }
  })
  it('is not needed by whoever sends a key', () => {
    const job = at(7, { lastKey: { key: 'k', step: 7 } })
    expect(checkOrder(job, { key: 'k' })).toBe(true)
    expect(checkOrder(job, { key: 'other' })).toBe(false)
    // Noted by a step that never came to its end: the step is to be done.
    expect(checkOrder(at(6, { lastKey: { key: 'k', step: 7 } }), { key: 'k' })).toBe(false)
  })
})

/** What a reply says that a client may hold it to. */
const said = ({ steps, status, percent, id, totals, progress }: JobView): object => ({
  steps,
  status,
  percent,
  id,
  totals,
  progress,
})

async function caught(call: Promise<JobView>): Promise<JobView | string> {
  return call.catch(codeOf)
}

describe('any sequence of calls', () => {
  it('gives each number once, answers repeats alike, and changes nothing otherwise', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = seeded(seed)
      const job = new BenchJob(OPTIONS)
      let process: BenchProcess = job.boot()
      let last = await job.call(process)
      while (!isEnded(last)) {
        const before = contentOfRecord(job)
        const wish = random.int(6)
        if (wish === 0) last = await job.call(process)
        else if (wish === 1) expect(said(await process.engine.step(1, { expect: last.steps }))).toEqual(said(last))
        else if (wish === 2)
          expect(await caught(process.engine.step(1, { expect: last.steps + 2 + random.int(9) }))).toBe(
            'STEP_OUT_OF_ORDER',
          )
        else if (wish === 3)
          expect(await caught(process.engine.step(1, { expect: random.int(last.steps) }))).toBe('STEP_OUT_OF_ORDER')
        else if (wish === 4) {
          await process[Symbol.asyncDispose]()
          process = job.boot()
        } else {
          const replies = await Promise.all(
            [1, 2, 3].map(() => caught(process.engine.step(1, { expect: last.steps + 1 }))),
          )
          expect(replies.slice(1), `seed ${seed}`).toEqual(['JOB_BUSY', 'JOB_BUSY'])
          last = await job.call(process) // repeats the one that worked
          expect(said(last)).toEqual(said(replies[0] as JobView))
        }
        if (wish >= 1 && wish <= 4) expect(contentOfRecord(job), `seed ${seed}`).toEqual(before)
      }
      await checkCompleted(job.disk, job, OPTIONS)
      const whole = treeOf(job.disk, '/data')
      for (let again = 0; again < 3; again++) expect(said(await job.call(process))).toEqual(said(last))
      expect(await caught(process.engine.step(1, { expect: last.steps + 1 }))).toBe('STEP_OUT_OF_ORDER')
      expect(treeOf(job.disk, '/data')).toEqual(whole)
      await process[Symbol.asyncDispose]()
    }
  })
})

const contentOfRecord = (job: BenchJob): string => {
  const { epoch } = readJob(job.disk, 1).lease
  return contentOf(job.disk, `/data/jobs/1/state-${epoch}.json`).toString()
}

describe('a key', () => {
  it('starts one job, however often the start is repeated', async () => {
    const job = new BenchJob(OPTIONS)
    for (let n = 0; n < 3; n++) {
      await using process = job.boot()
      const reply = await process.engine.start({ kind: 'backup', spec: job.spec, key: 'bench' })
      expect(reply).toMatchObject({ number: 1, steps: 1 })
    }
    await using process = job.boot()
    expect((await process.engine.start({ kind: 'backup', spec: job.spec, key: 'another' })).number).toBe(2)
    expect((await process.engine.start({ kind: 'backup', spec: job.spec })).number).toBe(3)
  })
  it('makes a step once, also in another process', async () => {
    const job = new BenchJob(OPTIONS)
    await using process = job.boot()
    await job.call(process)
    for (let n = 2; n < 9; n++) {
      const reply = await process.engine.step(1, { key: `k${n}` })
      expect(reply.steps).toBe(n)
      expect(said(await process.engine.step(1, { key: `k${n}` }))).toEqual(said(reply))
      await using other = job.boot()
      expect(said(await other.engine.step(1, { key: `k${n}` }))).toEqual(said(reply))
    }
  })
})
