import { describe, expect, it } from 'vitest'
import { BenchJob, type BenchOptions } from '../helpers/bench-job.ts'
import { checkAnyMoment, checkCompleted } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import { enumerateFaults, type Enumeration } from './enumerate.ts'

/** All points, instead of a sample: `RATCHET_LONG=1`. */
const LONG = process.env['RATCHET_LONG'] === '1'

const crashes = (options: BenchOptions, points: number): Enumeration<BenchJob> => ({
  build: () => new BenchJob(options),
  run: (disk, job) => job.drive(disk),
  check: (disk, job) => checkCompleted(disk, job, options),
  checkCrashed: (disk, job) => checkAnyMoment(disk, job, options),
  kinds: ['stop-before', 'stop-inside', 'stop-after'],
  ...(LONG ? {} : { points }),
})

const small = { large: TWO_BLOCKS }
const JPA = { format: 'jpa' } as const

/** Slices and parts, and how many points of each kind are enough for a change. */
const JOBS: readonly (readonly [name: string, options: BenchOptions, points: number])[] = [
  ['one step, one file', { slices: 'whole' }, 60],
  ['a few safe points a step, one file', { slices: 'some', source: small }, 70],
  ['a step for each safe point, one file', { slices: 'each', source: small }, 70],
  ['one step, parts of 64 KiB', { slices: 'whole', partSize: 65_536, source: small }, 60],
  ['a few safe points a step, parts of 64 KiB', { slices: 'some', partSize: 65_536 }, 100],
  ['a step for each safe point, parts of 64 KiB', { slices: 'each', partSize: 65_536, source: small }, 70],
  ['one step, a JPA archive', { slices: 'whole', spec: JPA, source: small }, 40],
  [
    'a few safe points a step, JPA in parts of 64 KiB',
    { slices: 'some', spec: JPA, partSize: 65_536, source: small },
    60,
  ],
  [
    'a step for each safe point, JPA in parts of 64 KiB',
    { slices: 'each', spec: JPA, partSize: 65_536, source: small },
    40,
  ],
  ['a few safe points a step, parts of 200 kB', { slices: 'some', partSize: 200_000 }, 60],
]

describe('a process that dies at any call: the next one ends with the same bytes and leaves nothing', () => {
  it.each(JOBS)('%s', { timeout: 600_000 }, async (_name, options, points) => {
    const report = await enumerateFaults(crashes(options, points))
    expect(report.points['stop-before']?.of).toBeGreaterThan(80)
    for (const { of, tried } of Object.values(report.points))
      expect(tried).toBeGreaterThanOrEqual(Math.min(of, points) * 0.9)
  })
})
