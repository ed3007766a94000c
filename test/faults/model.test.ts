import fc from 'fast-check'
import { describe, it } from 'vitest'
import { LONG, SEED } from './kill9-world.ts'
import { ModelRun, type Op } from './model.ts'

const RUNS = LONG ? 5000 : 150
const MINUTES = LONG ? 90 : 4

const job = fc.nat({ max: 2 })
const at = fc.integer({ min: 1, max: 120 })

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ op: fc.constant('start' as const), key: fc.nat({ max: 3 }) }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('step' as const), job }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constantFrom('repeat' as const, 'stale' as const, 'future' as const), job }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constantFrom('cancel' as const, 'delete' as const, 'get' as const), job }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom('kill' as const, 'list' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.constantFrom(10, 60_000, 3600_000) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('die' as const),
      job,
      act: fc.constantFrom('step' as const, 'step' as const, 'cancel' as const, 'delete' as const),
      at,
    }),
  },
)

const ops = fc.array(op, { minLength: 4, maxLength: 30 }).map((rest): Op[] => [{ op: 'start', key: 0 }, ...rest])

describe('whatever is asked, in whatever order, and whoever dies', { timeout: MINUTES * 60_000 }, () => {
  it('every answer is the one a client may rely on', async () => {
    const slices = fc.constantFrom('some' as const, 'each' as const, 'whole' as const)
    const property = fc.asyncProperty(slices, fc.constantFrom(0, 65_536), ops, (time, partSize, sequence) =>
      new ModelRun(time, partSize).run(sequence),
    )
    await fc.assert(property, { numRuns: RUNS, seed: SEED, endOnFailure: LONG })
  })
})
