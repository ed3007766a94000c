import { expect, it, describe } from 'vitest'
import { AuditTrail } from '../../src/access/audit.ts'
import { encodeRecord } from '../../src/engine/record.ts'
import { BenchJob } from '../helpers/bench-job.ts'
import { published } from '../helpers/bench-check.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { MemoryWork } from '../helpers/memory-work.ts'
import { copyAgain, fatesOf, isFile, olderFile, putOlder, putReader, stateOf } from '../helpers/older-backups.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { openStages } from '../../src/step-parts.ts'
import type { RetentionPolicy } from '../../src/engine/spec.ts'
import type { JobView } from '../../src/engine/job.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { resumable, type ResumableRun } from '../suites/resumable.ts'

const DAY = 24 * 3_600_000
const NOW = new FakeClock().wall()
const SMALL = { source: { large: 0 } } as const

const bench = (retention: RetentionPolicy, clock?: FakeClock): BenchJob =>
  new BenchJob({ ...SMALL, spec: { retention }, ...(clock === undefined ? {} : { clock }) })

/** Older backups 1, 2, 3 …, one a day, the last of them yesterday. */
function daily(disk: Disk, count: number): void {
  for (let n = 1; n <= count; n++) putOlder(disk, { number: n, time: NOW - (count + 1 - n) * DAY })
}

const left = (disk: Disk, count: number): number[] =>
  Array.from({ length: count }, (_, i) => i + 1).filter((n) => isFile(disk, olderFile(n)))
const said = (job: JobView): string[] => job.warnings.recent.map(({ code, message }) => `${code}: ${message}`)

describe('runs of other data than the profile names', () => {
  const apart = sampleSpec({ apart: true })

  it('do not go, and take no place of those that would', async () => {
    const job = bench({ keepLast: 3 })
    for (let n = 1; n <= 6; n++) {
      const spec = n % 2 === 0 ? { spec: apart } : {}
      putOlder(job.disk, { number: n, time: NOW - (7 - n) * DAY, ...spec })
    }
    expect((await job.drive()).status).toBe('completed')
    expect(left(job.disk, 6)).toEqual([2, 3, 4, 5, 6])
  })

  it('let nothing go', async () => {
    const job = new BenchJob({ ...SMALL, spec: { retention: { keepLast: 1 }, apart: true } })
    daily(job.disk, 3)
    const end = await job.drive()
    expect([end.status, end.plan.includes('retention')]).toEqual(['completed', false])
    expect(left(job.disk, 3)).toEqual([1, 2, 3])
  })
})

describe('a backup with a policy', () => {
  it('lets the files of older ones go when it is complete; their records stay, and say so', async () => {
    const job = bench({ keepLast: 3 })
    daily(job.disk, 5)
    const end = await job.drive()
    expect([end.status, said(end), end.number]).toEqual(['completed', [], 6])
    expect(left(job.disk, 5)).toEqual([4, 5])
    const trail = new AuditTrail(job.disk, job.clock, '/data').read(1, 100).entries
    const told = trail.map(({ event, face, object, result }) => [event, face, object, result].join(' '))
    expect(told).toEqual(
      [1, 2, 3].flatMap((n) => ['begun', 'ok'].map((result) => `backup.delete retention job:${n} by job:6 ${result}`)),
    )
    await using process = job.boot()
    const gone = await process.engine.get(1)
    expect(gone.standing?.filesRemoved).toMatchObject({ by: 'retention', reason: expect.stringContaining('no rule') })
    expect(await process.engine.artifacts(1)).toEqual([])
    expect((await process.engine.list()).jobs.map(({ number, filesRemoved }) => [number, filesRemoved?.by])).toEqual([
      [6, undefined],
      [5, undefined],
      [4, undefined],
      [3, 'retention'],
      [2, 'retention'],
      [1, 'retention'],
    ])
    for (const kind of ['restore', 'verify'] as const) {
      const start = process.engine.start({ kind, archive: 1, target: '/restored' })
      await expect(start).rejects.toMatchObject({
        code: 'ARCHIVE_NOT_FOUND',
        message: expect.stringMatching(
          /^the files of backup 1 were removed by retention on 2026-06-29 12:1\d:\d\d UTC: no/,
        ),
      })
    }
  })

  it('leaves all alone without one, or with an empty one', async () => {
    for (const spec of [{}, { retention: {} }]) {
      const job = new BenchJob({ ...SMALL, spec })
      daily(job.disk, 3)
      const end = await job.drive()
      expect(end.plan).not.toContain('retention')
      expect(left(job.disk, 3)).toEqual([1, 2, 3])
    }
  })

  it('looks only at finished backups of its own profile whose files are there', async () => {
    const job = bench({ keepLast: 2 })
    daily(job.disk, 4)
    job.disk.unlink(olderFile(4)) // moved away by somebody
    putOlder(job.disk, { number: 5, time: NOW - DAY / 2, profile: 2 })
    putOlder(job.disk, { number: 6, time: NOW - DAY / 2, status: 'failed' })
    putOlder(job.disk, { number: 7, time: NOW - DAY / 2, status: 'cancelled' })
    putReader(job.disk, 8, olderFile(2), NOW - DAY / 2, 'completed')
    expect((await job.drive()).status).toBe('completed')
    expect(left(job.disk, 5)).toEqual([3, 5])
    expect(stateOf(job.disk, 4)).toBe('kept')
  })

  it('leaves frozen ones, ones in use, and files of others that have taken a name', async () => {
    const job = bench({ keepLast: 1 })
    daily(job.disk, 6)
    fatesOf(job.disk).freeze(1, true)
    for (const [number, archive] of [
      [7, olderFile(2)],
      [8, '/out/link.zip'],
    ] as const) {
      putReader(job.disk, number, archive, NOW - DAY / 2, 'running')
    }
    job.disk.symlink(Buffer.from('older-3.zip'), '/out/link.zip')
    copyAgain(job.disk, olderFile(4), 'backup 4')
    copyAgain(job.disk, olderFile(5), 'foreign!')
    const end = await job.drive()
    expect([end.status, said(end)]).toEqual(['completed', []])
    expect(left(job.disk, 6)).toEqual([1, 2, 3, 5])
    expect([1, 2, 3, 4, 5, 6].map((n) => stateOf(job.disk, n))).toEqual([
      'frozen',
      'kept',
      'kept',
      'gone',
      'gone',
      'gone',
    ])
  })

  it('ends removals that were cut short before', async () => {
    const job = bench({ keepLast: 9 })
    daily(job.disk, 3)
    fatesOf(job.disk).condemn(2, { by: 'user', reason: 'first' })
    await job.drive()
    expect(left(job.disk, 3)).toEqual([1, 3])
    expect(fatesOf(job.disk).of(2)).toMatchObject({ state: 'gone', by: 'user', reason: 'first' })
  })

  it('removes nothing when the clock is behind, and says why', async () => {
    const job = bench({ keepLast: 1 }, new FakeClock({ perLook: 40, wall: NOW - 3650 * DAY }))
    daily(job.disk, 4)
    const end = await job.drive()
    expect(end.status).toBe('completed')
    expect(said(end)).toEqual([
      expect.stringMatching(/^retention: no older backup was removed: backup 4 lies in the future/),
    ])
    expect(left(job.disk, 4)).toEqual([1, 2, 3, 4])
  })

  it('ages none when the clock is ahead', async () => {
    const job = bench({ keepWithinDays: 2 }, new FakeClock({ perLook: 40, wall: NOW + 3650 * DAY }))
    daily(job.disk, 5)
    const end = await job.drive()
    expect([end.status, said(end)]).toEqual(['completed', []])
    expect(left(job.disk, 5)).toEqual([3, 4, 5])
  })

  it('removes nothing while a job cannot be read, and names it', async () => {
    const job = bench({ keepLast: 1 })
    daily(job.disk, 4)
    job.disk.unlink('/data/jobs/3/spec.json')
    const end = await job.drive()
    expect(said(end)).toEqual([expect.stringMatching(/^retention: .*job 3 cannot be read/)])
    expect(left(job.disk, 4)).toEqual([1, 2, 3, 4])
  })

  it('stops when the newest complete one, which was to stay, has gone meanwhile', async () => {
    const job = bench({ keepLast: 1 })
    const disk = job.disk
    daily(disk, 4)
    const work = stageWork({ keepLast: 1 }, disk)
    work.committed.parts = [
      { name: 'a', critical: false, status: 'failed', files: 0, bytes: 0, omitted: 0, error: 'lost' },
    ]
    const context = work.open()
    using stages = openStages({ dataDir: '/data', threads: 0 })
    for await (const progress of stages.stages.retention.run(context)) {
      await work.commit()
      if (progress.substep === 'backup 1' && isFile(disk, olderFile(4))) disk.unlink(olderFile(4))
    }
    expect(left(disk, 4)).toEqual([2, 3])
    expect(context.job.warnings.recent.map(({ message }) => message)).toEqual([
      'backup 4, which was to stay, has gone: no other one is removed',
    ])
  })
})

/** The stage alone, at the end of backup 50. */
function stageWork(retention: RetentionPolicy, disk: Disk): MemoryWork {
  const work = new MemoryWork({ spec: sampleSpec({ retention }), disk })
  work.committed = { ...work.committed, number: 50, createdAt: NOW }
  return work
}

const stages = openStages({ dataDir: '/data', threads: 0 })

resumable(
  'retention',
  (): ResumableRun => {
    const disk = new MemoryDisk()
    for (const folder of ['/data', '/out']) disk.mkdir(folder, 0o755)
    daily(disk, 9)
    putOlder(disk, { number: 10, time: NOW - DAY / 2, files: ['first part', 'second', 'last'] })
    putOlder(disk, { number: 11, time: NOW - DAY / 3, partial: true })
    putReader(disk, 12, olderFile(2), NOW - DAY / 2, 'running')
    fatesOf(disk).freeze(3, true)
    copyAgain(disk, olderFile(4), 'backup 4')
    copyAgain(disk, olderFile(5), 'foreign!')
    const work = stageWork({ keepLast: 2, keepYearly: 3 }, disk)
    return {
      work,
      steps: (ctx) => stages.stages.retention.run(ctx),
      result: () => ({
        files: [...published(work.disk as MemoryDisk).keys()],
        fates: Array.from({ length: 11 }, (_, i) => stateOf(work.disk, i + 1)),
        summary: work.summary,
      }),
    }
  },
  { power: true, cuts: 25 },
)

describe('thousands of older backups', () => {
  const COUNT = process.env['RATCHET_LONG'] === '1' ? 10_000 : 2_000
  it('are looked at and removed in slices, each of a few, with a small record', { timeout: 600_000 }, async () => {
    const clock = new FakeClock({ perLook: 1 })
    const job = new BenchJob({
      ...SMALL,
      clock,
      spec: { retention: { keepLast: 6 }, pacing: { minMs: 0, maxMs: 600, bias: 100 } },
    })
    for (let n = 1; n <= COUNT; n++) putOlder(job.disk, { number: n, time: NOW - (COUNT + 1 - n) * 3_600_000 })
    // All but some are gone from earlier runs: looked at, and no more.
    const before = COUNT - 100
    for (let n = 1; n <= before; n++) job.disk.unlink(olderFile(n))
    let looked = 0
    let most = 0
    let largest = 0
    const counting: Disk = new Proxy(job.disk, {
      get(disk, key) {
        const value: unknown = Reflect.get(disk, key, disk)
        if (key === 'open') {
          return (file: string, mode: 'read') => {
            if (/^\/data\/jobs\/\d+\/spec\.json$/.test(file)) looked++
            return disk.open(file, mode)
          }
        }
        return typeof value === 'function' ? (value.bind(disk) as unknown) : value
      },
    })
    await using process = job.boot(counting)
    let end = await job.call(process)
    for (; end.status === 'running'; end = await job.call(process)) {
      most = Math.max(most, looked)
      looked = 0
      const { standing: _, spec: __, ...record } = end
      largest = Math.max(largest, encodeRecord(record).length)
    }
    expect([end.status, said(end)]).toEqual(['completed', []])
    expect(left(job.disk, COUNT)).toEqual([4, 3, 2, 1, 0].map((n) => COUNT - n))
    expect(most).toBeGreaterThan(10)
    expect(most).toBeLessThan(700)
    expect(largest).toBeLessThan(16 << 10)
  })
})
