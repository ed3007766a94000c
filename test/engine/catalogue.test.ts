import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { memoryCatalogue, sqliteCatalogue, type Catalogue } from '../../src/engine/catalogue.ts'
import type { JobView } from '../../src/engine/job.ts'
import { inScope } from '../../src/engine/services.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { sampleJob, sampleSpec } from '../helpers/sample-job.ts'

function jobOf(number: number, changes: Partial<JobView> = {}): JobView {
  const spec = changes.spec ?? sampleSpec({ profile: 1 + (number % 3), description: `job ${number}` })
  const id = `20260629-121045-${String(number).padStart(6, '0')}`
  return { ...sampleJob(spec), number, id, createdAt: number * 1000, ...changes, spec }
}

function temporary(): { folder: string } & Disposable {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'catalogue-'))
  return { folder, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) }
}

const KINDS: readonly (readonly [string, (folder: string) => Catalogue])[] = [
  ['in memory', () => memoryCatalogue()],
  ['in a cache file', (folder) => sqliteCatalogue(realDisk, folder)],
]

describe.each(KINDS)('a catalogue %s', (_name, open) => {
  const filled = (folder: string): Catalogue => {
    const catalogue = open(folder)
    for (let n = 1; n <= 120; n++) {
      catalogue.put(jobOf(n, n % 2 === 0 ? { status: 'completed', artifacts: { count: 1, bytes: n } } : {}))
    }
    return catalogue
  }

  it('shows a caller what is in scope, and counts nothing else', () => {
    using place = temporary()
    using catalogue = open(place.folder)
    const jobs: JobView[] = []
    for (let n = 1; n <= 90; n++) {
      const kind = (['backup', 'restore', 'verify'] as const)[n % 3] ?? 'backup'
      const spec = sampleSpec({ profile: n % 4 })
      const startedBy = [undefined, 'anna', "o'tto", '@host'][n % 5]
      const job = { ...jobOf(n, { spec, kind }), ...(startedBy === undefined ? {} : { startedBy }) }
      jobs.push(job)
      catalogue.put(job)
    }
    for (const name of ['anna', "o'tto", '', 'nobody']) {
      for (const profiles of [null, [], [1], [0, 2, 7]]) {
        for (const kind of [undefined, 'backup', 'restore', 'verify'] as const) {
          const seenBy = { name, profiles }
          const list = catalogue.list({ seenBy, limit: 1000, ...(kind === undefined ? {} : { kind }) })
          const seen = jobs
            .filter((job) => kind === undefined || job.kind === kind)
            .filter((job) => inScope({ kind: job.kind, profile: job.spec.profile, startedBy: job.startedBy }, seenBy))
          expect(list.jobs.map((job) => job.number)).toEqual(seen.map((job) => job.number).toReversed())
          expect(list.total).toBe(seen.length)
        }
      }
    }
  })

  it('filters by when a job began, the end not included', () => {
    using place = temporary()
    using catalogue = filled(place.folder)
    const found = (since: number | undefined, until: number | undefined): number[] => {
      const bounds = { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) }
      const { total, jobs } = catalogue.list({ ...bounds, limit: 1000 })
      expect(total).toBe(jobs.length)
      return jobs.map((job) => job.number)
    }
    expect(found(118_000, undefined)).toEqual([120, 119, 118])
    expect(found(undefined, 3_000)).toEqual([2, 1])
    expect(found(50_000, 52_000)).toEqual([51, 50])
    expect(found(52_000, 50_000)).toEqual([])
  })

  it('lists the newest first, page by page', () => {
    using place = temporary()
    using catalogue = filled(place.folder)
    const first = catalogue.list({})
    expect(first.total).toBe(120)
    expect(first.jobs.map((job) => job.number)).toEqual(Array.from({ length: 50 }, (_, i) => 120 - i))
    expect(catalogue.list({ offset: 50, limit: 3 }).jobs.map((job) => job.number)).toEqual([70, 69, 68])
    expect(catalogue.list({ offset: 119 }).jobs).toHaveLength(1)
    expect(catalogue.list({ offset: 120 })).toEqual({ total: 120, jobs: [] })
    expect(catalogue.list({ limit: 100_000 }).jobs).toHaveLength(120)
  })
  it('filters by kind, status and profile together', () => {
    using place = temporary()
    using catalogue = filled(place.folder)
    expect(catalogue.list({ status: 'completed' }).total).toBe(60)
    expect(catalogue.list({ kind: 'restore' })).toEqual({ total: 0, jobs: [] })
    const both = catalogue.list({ kind: 'backup', status: 'completed', profile: 1, limit: 2 })
    expect(both.total).toBe(20)
    expect(both.jobs.map((job) => job.number)).toEqual([120, 114])
  })
  it('says what a list shows of a job, as it was last put', () => {
    using place = temporary()
    using catalogue = open(place.folder)
    catalogue.put(jobOf(1))
    catalogue.put(
      jobOf(1, { status: 'completed', warnings: { total: 2, before: 0, recent: [] }, archive: 'site', finishedAt: 5 }),
    )
    expect(catalogue.list({}).jobs).toEqual([
      expect.objectContaining({
        number: 1,
        status: 'completed',
        outcome: 'completed_with_warnings',
        warnings: 2,
        archive: 'site',
        finishedAt: 5,
        description: 'job 1',
        profile: 2,
      }),
    ])
  })
  it('knows how far it has seen each job, and which cannot change any more', () => {
    using place = temporary()
    using catalogue = open(place.folder)
    const lease = { ...jobOf(1).lease, epoch: 9 }
    catalogue.put(jobOf(1, { lease }))
    catalogue.put(jobOf(2, { status: 'stalled', lease }))
    for (const [n, status] of (['completed', 'failed', 'cancelled', 'timeout'] as const).entries())
      catalogue.put(jobOf(3 + n, { status, lease }))
    expect([...catalogue.known()].toSorted(([a], [b]) => a - b)).toEqual([
      [1, 9],
      [2, 9],
      [3, 'ended'],
      [4, 'ended'],
      [5, 'ended'],
      [6, 'ended'],
    ])
    expect(catalogue.idOf('20260629-121045-000002')).toBe(2)
    expect(catalogue.idOf('20260629-121045-000099')).toBeNull()
    catalogue.remove(2)
    catalogue.remove(77)
    expect(catalogue.known().has(2)).toBe(false)
    expect(catalogue.list({}).total).toBe(5)
  })
})

describe('the cache file', () => {
  it('is made anew if it is damaged or gone', () => {
    using place = temporary()
    for (const spoil of [
      (file: string) =>
        fs.writeFileSync(file, 'this is not a database, and long enough to be read as one '.repeat(200)),
      (file: string) => fs.writeFileSync(file, ''),
      (file: string) => fs.rmSync(file),
    ]) {
      {
        using catalogue = sqliteCatalogue(realDisk, place.folder)
        catalogue.put(jobOf(1))
        expect(catalogue.list({}).total).toBe(1)
      }
      const file = path.join(place.folder, 'cache', 'jobs.sqlite')
      for (const name of fs.readdirSync(path.dirname(file)))
        if (name !== 'jobs.sqlite') fs.rmSync(path.join(path.dirname(file), name))
      spoil(file)
      using again = sqliteCatalogue(realDisk, place.folder)
      expect(again.list({})).toEqual({ total: 0, jobs: [] })
      again.put(jobOf(2))
      expect(again.list({}).jobs.map((job) => job.number)).toEqual([2])
      again.remove(2)
    }
  })
  it('may be open in two processes', () => {
    using place = temporary()
    using one = sqliteCatalogue(realDisk, place.folder)
    using two = sqliteCatalogue(realDisk, place.folder)
    for (let n = 1; n <= 20; n++) (n % 2 === 0 ? one : two).put(jobOf(n))
    expect(one.list({}).total).toBe(20)
    expect(two.list({}).total).toBe(20)
  })
})
