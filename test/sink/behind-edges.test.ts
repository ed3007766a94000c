import { describe, expect, test } from 'vitest'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { sample } from '../archive/build.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { faultDisk } from '../helpers/fault-disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { slowDisk } from '../helpers/slow-disk.ts'
import { entriesOf, partsOf, runWhole, sinkWorld, type SinkWorld } from './sink-world.ts'

const MIB = 1 << 20

function source(files: Readonly<Record<string, Buffer>>): MemoryDisk {
  const disk = new MemoryDisk()
  for (const folder of ['/source', '/data', '/out']) disk.mkdir(folder, 0o755)
  for (const [name, bytes] of Object.entries(files)) putFile(disk, `/source/${name}`, bytes)
  return disk.settle()
}

/** Packed while each background write takes its time. */
async function packedSlowly(files: Readonly<Record<string, Buffer>>, changes: Partial<BackupSpec>): Promise<SinkWorld> {
  const disk = source(files)
  const slow = slowDisk(disk)
  const world = sinkWorld(disk, { level: 1, ...changes }, slow.disk)
  await runWhole(world)
  expect(slow.early).toEqual([])
  const entries = await entriesOf(world.work)
  for (const [name, bytes] of Object.entries(files)) {
    expect((entries.get(`source/${name}`) as Buffer).equals(bytes), name).toBe(true)
  }
  return world
}

describe('a hole is filled only when nothing is being written any more', () => {
  test.each([0, 3_000_000])('the header of a JPA archive, at its end, with parts of %d bytes', async (partSize) => {
    const files = Object.fromEntries([0, 1, 2].map((n) => [`f${n}`, sample(MIB, 'noise', n)]))
    await packedSlowly(files, { format: 'jpa', partSize })
  })

  test.each([-3, -2, -1, 0, 1])(
    'a header whose file ends %d bytes from where what was gathered is sent',
    async (by) => {
      const files = (length: number): Record<string, Buffer> => ({
        a: sample(600_000, 'noise', 1),
        b: sample(length, 'noise', 2),
        c: Buffer.concat([Buffer.alloc(2 * MIB, 'ab'), sample(9000, 'noise', 3)]),
      })
      const length = 400_000
      const [part] = partsOf((await packedSlowly(files(length), {})).work)
      const archive = part?.bytes ?? Buffer.alloc(0)
      const FINAL = 2 // the block that ends a deflate stream made of pieces
      const end = archive.indexOf(Buffer.from('504b0304', 'hex'), archive.indexOf('source/c')) - FINAL
      await packedSlowly(files(length + MIB + by - end), {})
    },
  )
})

test.each([0, 3_000_000])('the way back waits too: the fifth block fails, parts of %d bytes', async (partSize) => {
  const disk = source({ a: sample(MIB, 'noise', 1), b: sample(5 * MIB, 'noise', 2), c: sample(100, 'text', 3) })
  const faulty = faultDisk(disk, {
    counts: ({ name, path }) => name === 'read' && path.endsWith('/b'),
    at: 5,
    fault: { kind: 'error', code: 'EIO', sticky: true },
  })
  const slow = slowDisk(faulty)
  const world = sinkWorld(disk, { level: 0, partSize }, slow.disk)
  await runWhole(world)
  expect(slow.early).toEqual([])
  const entries = await entriesOf(world.work)
  expect(['a', 'b', 'c'].filter((name) => entries.has(`source/${name}`))).toEqual(['a', 'c'])
})
