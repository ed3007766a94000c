import { describe, expect, test } from 'vitest'
import { outcome } from '../../src/engine/job.ts'
import { PLANS } from '../../src/engine/plans.ts'
import { JobStore } from '../../src/engine/store.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { takeStep } from '../../src/engine/take-step.ts'
import { WarmStore } from '../../src/engine/warm.ts'
import { sample } from '../archive/build.ts'
import { treeOf } from '../helpers/disk-tree.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import {
  HASTY,
  placeIn,
  processes,
  putItems,
  restoreSpecOf,
  runJob,
  stagesWith,
  storeOn,
  type TestItem,
  writeFile,
} from './restore-world.ts'

const place = placeIn('/w')
const MIB = 1 << 20
const ITEMS: TestItem[] = [
  { name: 'a', data: Buffer.from('a') },
  { name: 'big', data: sample(6 * MIB, 'zero'), how: 'store', blocks: true },
  { name: 'z', data: Buffer.from('z') },
]

function begun(): MemoryDisk {
  const disk = new MemoryDisk()
  putItems(disk, place, ITEMS)
  return disk
}

describe('a restore that does not simply end', () => {
  test('leaves no work folder in the target when it is cancelled, and keeps what is in place', async () => {
    const disk = begun()
    const clock = new FakeClock({ perLook: 1 })
    await runJob(disk, place, restoreSpecOf(place), { clock, maxSteps: 12, pacing: HASTY.pacing })
    expect(Object.keys(treeOf(disk, place.target)).some((name) => name.startsWith('/.ratchet-'))).toBe(true)
    writeFile(disk, jobPaths(place.data).cancel(1), Buffer.alloc(0))
    clock.advance(1000)
    const job = await runJob(disk, place, restoreSpecOf(place), { clock })
    expect(job.status).toBe('cancelled')
    expect(treeOf(disk, place.target)).toEqual({ '/a': 'a' })
    expect(disk.openDescriptors).toBe(0)
  })

  test('goes on in a work folder of its own when the old owner may still be writing', async () => {
    const disk = begun()
    const clock = new FakeClock({ perLook: 1 })
    const elsewhere = { ...processes, self: 'other|boot2|7|7|0', boot: 'boot2' }
    const frozen = new JobStore({ disk, clock, processes: elsewhere, paths: jobPaths(place.data) })
    const stages = stagesWith({}, place)
    const { number } = frozen.create(restoreSpecOf(place, HASTY), PLANS.restore)
    const warm = new WarmStore()
    for (let step = 0; step < 10; step++) {
      await takeStep({ store: frozen, stages, warm }, { number }, new AbortController().signal)
    }
    // It is taken once more and then never heard of again.
    const held = frozen.acquire(number, 1000)
    expect(held.job.stage).toBe(1)
    clock.advance(10 * 60_000)
    const unknown = { ...processes, state: () => 'unknown' as const }
    const store = new JobStore({ disk, clock, processes: unknown, paths: jobPaths(place.data) })
    const other = new WarmStore()
    for (let step = 0; step < 200 && store.read(number).status === 'running'; step++) {
      await takeStep(
        { store, stages, warm: other },
        { number, pacing: { maxMs: 60_000 } },
        new AbortController().signal,
      )
    }
    const job = store.read(number)
    expect(job.house).toBeGreaterThan(1)
    expect(job.error).toBeNull()
    expect(job.status).toBe('completed')
    expect(job.warnings.recent.map(({ code }) => code)).toEqual(['taken_over'])
    const tree = treeOf(disk, place.target)
    expect(Object.keys(tree)).toEqual(['/a', '/big', '/z'])
    expect(tree['/big']?.length).toBe(6 * MIB)
    warm[Symbol.dispose]()
    other[Symbol.dispose]()
    expect(disk.openDescriptors).toBe(0)
  })

  test('pauses on a full target and goes on from where it was', async () => {
    const disk = new MemoryDisk({ capacity: 20 * MIB })
    const items: TestItem[] = Array.from({ length: 8 }, (_, i) => ({
      name: `f${i}`,
      data: sample(MIB - 10, 'noise', i + 1),
      how: 'store',
    }))
    putItems(disk, place, items)
    const clock = new FakeClock({ perLook: 1 })
    let job = await runJob(disk, place, restoreSpecOf(place), { clock, maxSteps: 10, pacing: HASTY.pacing })
    const before = job.totals.files
    writeFile(disk, '/hog', Buffer.alloc(disk.free('/') - MIB / 2))
    job = await runJob(disk, place, restoreSpecOf(place), { clock, maxSteps: 3 })
    expect(job.status).toBe('running')
    expect(job.attempts).toBe(3)
    expect(job.totals.files).toBe(before)
    expect(job.sleepMs).toBeGreaterThan(0)
    // What could not be finished was taken away again: a full disk is not made fuller.
    expect(disk.free('/')).toBeGreaterThan(MIB / 4)
    disk.unlink('/hog')
    job = await runJob(disk, place, restoreSpecOf(place), { clock })
    expect(job.status).toBe('completed')
    expect(Object.keys(treeOf(disk, place.target)).length).toBe(8)
  })

  test('refuses to go on with another archive under the same name', async () => {
    const disk = begun()
    const clock = new FakeClock({ perLook: 1 })
    await runJob(disk, place, restoreSpecOf(place), { clock, maxSteps: 12, pacing: HASTY.pacing })
    disk.unlink(place.archive)
    putItems(disk, place, [{ name: 'other', data: Buffer.from('other') }])
    const job = await runJob(disk, place, restoreSpecOf(place), { clock })
    expect(job.error?.code).toBe('SOURCE_CHANGED')
    expect(Object.keys(treeOf(disk, place.target))).toEqual(['/a'])
  })

  test('keeps a small record whatever the archive holds', async () => {
    const disk = new MemoryDisk()
    const items: TestItem[] = Array.from({ length: 3000 }, (_, i) => ({
      name: `d${i % 50}/../${i}`,
      data: Buffer.alloc(0),
    }))
    putItems(disk, place, [...items, ...ITEMS], { manifest: false })
    let largest = 0
    const store = storeOn(disk, place, new FakeClock())
    const job = await runJob(disk, place, restoreSpecOf(place), {
      clock: new FakeClock({ perLook: 1 }),
      pacing: { maxMs: 40 },
      between: () => {
        largest = Math.max(largest, JSON.stringify({ ...store.read(1), spec: null }).length)
      },
    })
    expect(outcome(job)).toBe('completed_with_warnings')
    expect(job.parts[0]).toMatchObject({ omitted: 3000, files: 3 })
    expect(largest).toBeLessThan(16_384)
  })
})
