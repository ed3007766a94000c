import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/lib/disk.ts'
import { isEnded } from '../../src/engine/job.ts'
import { sample } from '../archive/build.ts'
import { CRASHES, type FaultKind } from '../faults/kinds.ts'
import { enumerateFaults, type FaultReport } from '../faults/enumerate.ts'
import { contentOf, treeOf } from '../helpers/disk-tree.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { PLANS } from '../../src/engine/plans.ts'
import { HASTY, placeIn, putItems, restoreSpecOf, runJob, storeOn, type TestItem, writeFile } from './restore-world.ts'

const place = placeIn('/w')
const text = (content: string): Buffer => Buffer.from(content)
const LONG = process.env['RATCHET_LONG'] !== undefined

const ITEMS: TestItem[] = [
  { name: 's', kind: 'dir' },
  { name: 's/a', data: text('new a') },
  { name: 's/b', data: text('new b') },
  { name: 's/fresh', kind: 'dir', mode: 0o40500 },
  { name: 's/fresh/c', data: text('new c') },
  { name: 's/big', data: sample((2 << 20) + 100, 'zero'), how: 'store', blocks: true },
  { name: 's/link', kind: 'symlink', data: text('a') },
  { name: 's/name1', data: text('one file'), group: '1:2' },
  { name: 's/name2', data: text('one file'), group: '1:2' },
]

const OLD: Record<string, string> = {
  '/s': 'dir',
  '/s/a': 'old a',
  '/s/big': 'old big',
  '/s/mine': 'mine',
  '/s/link': '→ mine',
  '/s/name2': 'old name',
}
const NEW: Record<string, string> = {
  ...OLD,
  '/s/a': 'new a',
  '/s/b': 'new b',
  '/s/fresh': 'dir',
  '/s/fresh/c': 'new c',
  '/s/big': sample((2 << 20) + 100, 'zero').toString('latin1'),
  '/s/link': '→ a',
  '/s/name1': 'one file',
  '/s/name2': 'one file',
}

function build(): { disk: MemoryDisk } {
  const disk = new MemoryDisk()
  putItems(disk, place, ITEMS)
  disk.mkdir(place.target, 0o755)
  disk.mkdir(`${place.target}/s`, 0o755)
  for (const name of ['a', 'big', 'mine', 'name2'])
    writeFile(disk, `${place.target}/s/${name}`, text(OLD[`/s/${name}`] ?? ''))
  disk.symlink(text('mine'), `${place.target}/s/link`)
  for (const folder of ['/', '/w', place.target, `${place.target}/s`]) {
    const fd = disk.open(folder, 'dir')
    disk.fsync(fd)
    disk.close(fd)
  }
  storeOn(disk, place, new FakeClock()).create(restoreSpecOf(place, { mode: 'inplace' }), PLANS.restore)
  return { disk }
}

/** Each name has its old or its new content (or, if it is new, is not there yet); nothing else is there. */
function oldOrNew(disk: Disk): void {
  const found = treeOf(disk, place.target)
  for (const name of Object.keys(found)) {
    if (name.startsWith('/.ratchet-')) continue
    expect([OLD[name], NEW[name]].includes(found[name]), `${name} holds neither old nor new`).toBe(true)
  }
  for (const name of Object.keys(OLD)) expect(found[name], `${name} is gone`).toBeDefined()
}

async function finished(disk: Disk, hasty: boolean): Promise<void> {
  const clock = new FakeClock({ perLook: hasty ? 1 : 0 })
  await runJob(disk, place, restoreSpecOf(place), { clock, maxSteps: 400, ...(hasty ? HASTY : {}) })
}

async function check(disk: Disk): Promise<void> {
  const job = await runJob(disk, place, restoreSpecOf(place, { mode: 'inplace' }))
  expect(isEnded(job)).toBe(true)
  oldOrNew(disk)
  const found = treeOf(disk, place.target)
  // A read-only file system ends the job; whatever else happens it gets there in the end.
  if (job.status === 'failed') expect(job.error?.code).toBe('READ_ONLY')
  else {
    expect(job.status).toBe('completed')
    // Work on a large file is never lost once a record names it: its rename waits for the record.
    expect(contentOf(disk, `${place.data}/jobs/1/log.txt`).toString()).not.toContain('restored again')
    expect(job.warnings.recent.filter(({ code }) => code !== 'retry')).toEqual([])
    expect(found).toEqual(NEW)
    expect(disk.lstat(`${place.target}/s/fresh`).mode & 0o7777).toBe(0o500)
    expect(disk.lstat(`${place.target}/s/name1`).ino).toBe(disk.lstat(`${place.target}/s/name2`).ino)
  }
}

function enumerate(kinds: readonly FaultKind[], hasty: boolean, points: number): Promise<FaultReport> {
  return enumerateFaults({
    build,
    run: (disk) => finished(disk, hasty),
    finish: (disk) => finished(disk, false),
    checkCrashed: oldOrNew,
    check: (disk) => check(disk),
    kinds,
    points: LONG ? 100_000 : points,
    cuts: 1,
    seed: 11,
  })
}

describe('a restore in place, with a fault at every call', () => {
  test(
    'the process or the machine dies: old or new, never neither, and the next one finishes',
    async () => {
      const report = await enumerate(CRASHES, false, 40)
      expect(report.runs).toBeGreaterThan(150)
    },
    LONG ? 3_600_000 : 120_000,
  )

  test(
    'the same with a safe point after every piece',
    async () => {
      await enumerate(['stop-before', 'stop-after', 'power'], true, 25)
    },
    LONG ? 3_600_000 : 120_000,
  )

  test(
    'an error of the disk, once or from then on',
    async () => {
      await enumerate(['sync-once', 'ENOSPC-once', 'ENOSPC-on', 'EIO-once', 'EROFS-on', 'EMFILE-once'], false, 25)
    },
    LONG ? 3_600_000 : 120_000,
  )
})
