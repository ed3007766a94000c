import { describe, expect, it } from 'vitest'
import { inlineRunner } from '../../src/engine/runner.ts'
import { LogReader } from '../../src/engine/log-read.ts'
import { WarmStore } from '../../src/engine/warm.ts'
import { openStages } from '../../src/step-parts.ts'
import { BenchJob, DATA } from '../helpers/bench-job.ts'
import { PLANS } from '../../src/engine/plans.ts'

describe('the slice of a step', () => {
  it.each([
    ['asked for at once', 0, 1000],
    ['asked for 300 ms before its thread was ready', 300, 700],
    ['asked for long ago: half of it is left, so that it gets on', 5000, 500],
    ['asked for in the future, by a clock that is not ours', -5000, 1000],
  ])('%s', async (_name, waited, left) => {
    const job = new BenchJob({ slices: 'whole' })
    await using process = job.boot()
    const { store } = process
    const { number } = store.create(job.spec, PLANS.backup, null)
    const runner = inlineRunner({
      store,
      stages: openStages({ dataDir: DATA, threads: 0 }).stages,
      warm: new WarmStore(),
    })
    await runner.run({ number, asked: job.clock.mono() - waited })
    const { lines } = new LogReader(job.disk).page(store.deps.paths.log(number), {})
    expect(lines.map(({ message }) => message)).toContain(`step 1 begins in init for ${left} ms`)
    await runner.close()
  })
})
