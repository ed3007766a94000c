import { describe, expect, it } from 'vitest'
import type { Disk } from '../../src/lib/disk.ts'
import type { ErrorCode } from '../../src/lib/errors.ts'
import { BenchJob, type BenchOptions } from '../helpers/bench-job.ts'
import { checkAnyMoment, checkCompleted, leftovers, published, readJob } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import { faultDisk, type Call } from '../helpers/fault-disk.ts'
import { seeded } from '../helpers/random.ts'
import { enumerateFaults, type Enumeration } from './enumerate.ts'
import type { FaultKind } from './kinds.ts'

const LONG = process.env['RATCHET_LONG'] === '1'

/** What a source answers is its own affair: there, entries are left out. Here, only our own disk fails. */
const ofSource = (call: Call): boolean => /^\/(source|proc\/self\/fd)\b/.test(call.path)

/** A completed job has the right archive; a failed one says why, and leaves nothing. */
async function checkEnded(disk: Disk, job: BenchJob, options: BenchOptions, mayFail: ErrorCode[]): Promise<void> {
  const record = readJob(disk, job.told?.number ?? 1)
  if (record.status !== 'failed') return checkCompleted(disk, job, options)
  if (!mayFail.includes(record.error?.code ?? 'INTERNAL'))
    throw new Error(`failed with ${JSON.stringify(record.error)}`)
  const left = [...published(disk).keys(), ...leftovers(disk, record)]
  if (left.length > 0) throw new Error(`failed, and left behind: ${left.join(', ')}`)
}

const errors = (options: BenchOptions, kinds: FaultKind[], mayFail: ErrorCode[]): Enumeration<BenchJob> => ({
  build: () => new BenchJob(options),
  run: (disk, job) => job.insist(disk, 4),
  finish: (disk, job) => job.drive(disk), // at least one look: it clears what a disk without mercy would not let go
  check: (disk, job) => checkEnded(disk, job, options, mayFail),
  checkCrashed: (disk, job) => checkAnyMoment(disk, job, options),
  spares: ofSource,
  kinds,
  ...(LONG ? {} : { points: 20, tail: 8 }),
})

const small = { large: TWO_BLOCKS }
const JOBS: readonly (readonly [name: string, options: BenchOptions])[] = [
  ['one step, one file', { slices: 'whole', source: small }],
  ['a step for each safe point, parts of 64 KiB', { slices: 'each', partSize: 65_536, source: small }],
  ['one step, JPA in parts of 64 KiB', { slices: 'whole', partSize: 65_536, source: small, spec: { format: 'jpa' } }],
]

const FAULTS: readonly (readonly [name: string, kinds: FaultKind[], mayFail: ErrorCode[]])[] = [
  ['a sync fails', ['sync-once', 'sync-on'], []],
  ['the disk is full', ['ENOSPC-once', 'ENOSPC-on'], []],
  ['the disk reports an error', ['EIO-once', 'EIO-on'], []],
  ['the file system becomes read-only', ['EROFS-once', 'EROFS-on'], ['READ_ONLY']],
  ['there are too many open files', ['EMFILE-once', 'EMFILE-on'], []],
]

describe.each(FAULTS)('%s at any call, once or from then on', (_fault, kinds, mayFail) => {
  it.each(JOBS)('%s', { timeout: 3_600_000 }, async (_name, options) => {
    const report = await enumerateFaults(errors(options, kinds, mayFail))
    expect(report.runs).toBeGreaterThanOrEqual(40)
  })
})

describe.each(FAULTS)('%s until somebody puts it right, under the same process', (_fault, kinds, mayFail) => {
  it.each(JOBS)('%s', { timeout: 3_600_000 }, async (_name, options) => {
    let right = false
    const report = await enumerateFaults({
      ...errors(
        options,
        kinds.filter((kind) => kind.endsWith('-on')),
        mayFail,
      ),
      build() {
        right = false
        return new BenchJob(options)
      },
      async run(disk, job) {
        job.crashed = true
        await job.insist(disk, 6, (failures) => {
          right = failures >= 3
        })
        right = true
        await job.drive(disk) // one more look, if the fault struck while all was cleared up
      },
      spares: (call) => right || ofSource(call),
      checkCrashed: (disk, job) => checkEnded(disk, job, options, mayFail),
    })
    expect(report.runs).toBeGreaterThanOrEqual(20)
  })
})

describe('reads and writes that do only a part', () => {
  it.each(JOBS)('%s', async (_name, options) => {
    for (const part of ['half', seeded(5)] as const) {
      const job = new BenchJob(options)
      await job.drive(faultDisk(job.disk, { short: { reads: part, writes: part } }))
      await checkCompleted(job.disk, job, options)
    }
  })
})
