import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/lib/disk.ts'
import { sample } from '../archive/build.ts'
import { contentOf } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { slowDisk } from '../helpers/slow-disk.ts'
import { HASTY, placeIn, putItems, restoreSpecOf, runJob, type TestItem } from './restore-world.ts'

const place = placeIn('/w')
const MIB = 1 << 20
const holed = Buffer.concat([sample(100_000, 'noise', 3), Buffer.alloc(200_000)])

const ITEMS: TestItem[] = [
  { name: 'tiny', data: Buffer.from('tiny') },
  { name: 'middle', data: sample(300_000, 'noise', 1) },
  { name: 'holed', data: holed },
  { name: 'packed', data: sample(3 * MIB + 5, 'text', 2), how: 'blocks' },
  { name: 'stored', data: sample(3 * MIB + 5, 'noise', 4), how: 'store', blocks: true },
  { name: 'stream', data: sample(3 * MIB + 5, 'text', 5), how: 'whole' },
]

function filled(): MemoryDisk {
  const disk = new MemoryDisk()
  putItems(disk, place, ITEMS)
  return disk
}

function expectAll(disk: MemoryDisk): void {
  for (const { name, data } of ITEMS) {
    const path = `${place.target}/${name.toString()}`
    expect(contentOf(disk, path).equals(data ?? Buffer.alloc(0)), path).toBe(true)
  }
}

describe('background writes', () => {
  test.each([
    ['in one step', {}, 2],
    ['in many', HASTY, 1],
  ])('are over before their file is cut, synced or closed: %s', async (_, more, most) => {
    const inner = filled()
    const slow = slowDisk(inner)
    const view = await runJob(slow.disk, place, restoreSpecOf(place, more), { cold: true })
    expect(view.status).toBe('completed')
    expect(slow.early).toEqual([])
    expect(slow.most).toBeGreaterThanOrEqual(most)
    expectAll(inner)
    expect(inner.openDescriptors).toBe(0)
  })

  test('that fail end the step, and the next one makes everything good', async () => {
    for (let fail = 1; fail < 40; fail += 12) {
      const inner = filled()
      const slow = slowDisk(inner, { write: fail })
      for (let step = 0; step < 20 && !slow.failed; step++) {
        const view = await runJob(slow.disk, place, restoreSpecOf(place), { maxSteps: 1 })
        expect(view.status === 'completed').toBe(false)
      }
      expect(slow.failed).toBe(true)
      expect(slow.early).toEqual([])
      expect(inner.openDescriptors).toBe(0)
      const view = await runJob(slow.disk, place, restoreSpecOf(place))
      expect(view.status).toBe('completed')
      expectAll(inner)
    }
  })
})

describe('a large file is written back while more of it is unpacked', () => {
  const data = sample(20 * MIB + 17, 'text', 9)
  const nearlyDone = data.subarray(0, 8 * MIB + 17) // its last piece comes while the sync is under way
  const build = (): MemoryDisk => {
    const disk = new MemoryDisk()
    putItems(disk, place, [
      { name: 'before', data: Buffer.from('before') },
      { name: 'large', data, how: 'store', blocks: true },
      { name: 'second', data: nearlyDone, how: 'store' },
      { name: 'after', data: Buffer.from('after') },
    ])
    return disk
  }
  /** To write back what is there while more is written is the point; to cut or close would be wrong. */
  const wrong = (early: readonly string[]): string[] => early.filter((call) => call !== 'fsync')
  const wholes = (disk: MemoryDisk): boolean =>
    contentOf(disk, `${place.target}/large`).equals(data) &&
    contentOf(disk, `${place.target}/second`).equals(nearlyDone)

  test('and its handle is closed only after that', async () => {
    const inner = build()
    const slow = slowDisk(inner)
    const view = await runJob(slow.disk, place, restoreSpecOf(place))
    expect(view.status).toBe('completed')
    expect(wrong(slow.early)).toEqual([])
    expect(wholes(inner)).toBe(true)
    expect(inner.openDescriptors).toBe(0)
  })

  test('and a sync that fails on the way counts, though the next one of that handle would not say so', async () => {
    const clean = slowDisk(build())
    await runJob(clean.disk, place, restoreSpecOf(place))
    for (let sync = 1; sync <= clean.syncs; sync++) {
      const inner = build()
      const slow = slowDisk(inner, { sync })
      const view = await runJob(slow.disk, place, restoreSpecOf(place), { maxSteps: 1 })
      expect(slow.failed).toBe(true)
      expect(view.status).toBe('running')
      expect(wrong(slow.early)).toEqual([])
      expect(inner.openDescriptors).toBe(0)
      const done = await runJob(slow.disk, place, restoreSpecOf(place))
      expect(done.status).toBe('completed')
      expect(wholes(inner)).toBe(true)
    }
  })
})

describe('files that wait for their sync', () => {
  const many = (xattrs?: Record<string, string>): TestItem[] =>
    Array.from({ length: 1500 }, (_, i) => ({
      name: `f${i}`,
      data: Buffer.from(`content ${i}`),
      ...(xattrs === undefined ? {} : { xattrs }),
    }))

  /** The same disk; `most` is how many handles were open at once. */
  function counted(inner: MemoryDisk): { disk: Disk; most: () => number } {
    let most = 0
    const open: Disk['open'] = (file, mode) => {
      const fd = inner.open(file, mode)
      most = Math.max(most, inner.openDescriptors)
      return fd
    }
    const disk = new Proxy<Disk>(inner, {
      get(_, name) {
        const method: unknown = name === 'open' ? open : Reflect.get(inner, name)
        return typeof method === 'function' ? method.bind(inner) : method
      },
    })
    return { disk, most: () => most }
  }

  test.each([
    ['without attributes', undefined],
    ['with attributes', { 'user.note': 'eA==' }],
  ])('hold no more handles than a process may have: %s', async (_, xattrs) => {
    const inner = new MemoryDisk()
    putItems(inner, place, many(xattrs))
    const { disk, most } = counted(inner)
    const done = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), code: 0, overflow: false }
    const parts = { setfattr: '/usr/bin/setfattr', run: () => done }
    const view = await runJob(disk, place, restoreSpecOf(place), { parts })
    expect(view).toMatchObject({ status: 'completed', error: null, totals: { files: 1500 } })
    expect(most()).toBeLessThan(600)
    expect(inner.openDescriptors).toBe(0)
  })

  test('are closed and go by another step where syncing them together fails', async () => {
    const inner = new MemoryDisk()
    putItems(inner, place, many())
    let calls = 0
    const flush = async (): Promise<void> => {
      if (++calls === 2) throw Object.assign(new Error('EIO: sync'), { code: 'EIO', syscall: 'sync' })
    }
    const view = await runJob(inner, place, restoreSpecOf(place), { parts: { flush } })
    expect(view).toMatchObject({ status: 'completed', totals: { files: 1500 } })
    expect(calls).toBeGreaterThan(3)
    expect(inner.openDescriptors).toBe(0)
  })
})
