import { describe, expect, test } from 'vitest'
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
      const slow = slowDisk(inner, fail)
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
