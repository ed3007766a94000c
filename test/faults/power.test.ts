import { describe, expect, it } from 'vitest'
import { BenchJob, type BenchOptions } from '../helpers/bench-job.ts'
import { checkAnyMoment, checkCompleted } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import { enumerateFaults, type Enumeration } from './enumerate.ts'

const LONG = process.env['RATCHET_LONG'] === '1'

/** Points for a change, and states drawn at each; `RATCHET_LONG=1`: every call, ten states each. */
const POINTS = 22
const STATES = 4

const cuts = (options: BenchOptions, seed: number): Enumeration<BenchJob> => ({
  build: () => new BenchJob(options),
  run: (disk, job) => job.drive(disk),
  check: (disk, job) => checkCompleted(disk, job, options),
  checkCrashed: (disk, job) => checkAnyMoment(disk, job, options),
  seed,
  ...(LONG ? { cuts: 10 } : { points: POINTS, cuts: STATES }),
})

const small = { large: TWO_BLOCKS }
const JPA = { format: 'jpa' } as const
const JOBS: readonly (readonly [name: string, options: BenchOptions])[] = [
  ['one step, one file', { slices: 'whole', source: small }],
  ['a step for each safe point, one file', { slices: 'each', source: small }],
  ['one step, parts of 64 KiB', { slices: 'whole', partSize: 65_536, source: small }],
  ['a few safe points a step, parts of 64 KiB', { slices: 'some', partSize: 65_536 }],
  ['a few safe points a step, JPA in parts of 64 KiB', { slices: 'some', spec: JPA, partSize: 65_536, source: small }],
]

describe('power fails at any call, and any legal part of what was not synced is lost', () => {
  it.each(JOBS)('%s', { timeout: 3_600_000 }, async (_name, options) => {
    const report = await enumerateFaults({ ...cuts(options, 11), kinds: ['power'] })
    expect(report.runs).toBeGreaterThanOrEqual(POINTS * (STATES + 1) * 0.9)
  })

  it.each(JOBS)('%s, and whoever takes over dies too', { timeout: 3_600_000 }, async (_name, options) => {
    const report = await enumerateFaults({ ...cuts(options, 12), kinds: ['twice'] })
    expect(report.runs).toBeGreaterThanOrEqual(POINTS * (STATES + 1) * 0.9)
  })
})
