import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { zip } from '../../src/archive/zip.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'
import { entriesOf, partsOf, runWhole, sinkWorld, type SinkWorld } from './sink-world.ts'

const PART = 65_536
const STEP = process.env['RATCHET_LONG'] === '1' ? 1 : 7

const noise = seeded(9).bytes(200_000)

/** A first file of a chosen size moves all that comes after it, byte by byte, over the end of a part. */
function sourceOf(first: number, others: readonly (readonly [name: string, size: number])[]): MemoryDisk {
  const disk = new MemoryDisk()
  for (const folder of ['/source', '/data', '/out']) disk.mkdir(folder, 0o755)
  putFile(disk, '/source/0', noise.subarray(0, first))
  for (const [name, size] of others) putFile(disk, `/source/${name}`, noise.subarray(0, size))
  return disk.settle()
}

async function packed(source: MemoryDisk, partSize = PART): Promise<SinkWorld> {
  const world = sinkWorld(source, { partSize, level: 0 })
  await runWhole(world)
  return world
}

async function checkWhole(world: SinkWorld, source: MemoryDisk, what: string): Promise<void> {
  const entries = await entriesOf(world.work) // our reader refuses anything that is not exactly as it says
  const disk = source.process()
  for (const name of disk.readdir('/source').map(String)) {
    const found = entries.get(`source/${name}`)
    expect((found as Buffer | undefined)?.length, `${what}: ${name}`).toBe(disk.lstat(`/source/${name}`).size)
    expect(noise.subarray(0, (found as Buffer).length).equals(found as Buffer), `${what}: ${name}`).toBe(true)
  }
  const parts = partsOf(world.work)
  for (const [i, { size }] of parts.entries()) {
    expect(size, `${what}: part ${i + 1}`).toBeLessThanOrEqual(PART)
    expect(size, `${what}: part ${i + 1} is not empty`).toBeGreaterThan(0)
  }
}

describe('the end of a part', () => {
  it('may fall anywhere around headers of small files, folders and large ones', { timeout: 300_000 }, async () => {
    for (let back = -5; back < 400; back += STEP) {
      const source = sourceOf(PART - 300 - back, [
        ['1', 100],
        ['2', 0],
        ['3', 90],
      ])
      await checkWhole(await packed(source), source, `${back} before the end`)
    }
  })

  it('may fall anywhere around the records of the directory and what follows them', { timeout: 300_000 }, async () => {
    const probe = sourceOf(1000, [['1', 10]])
    const [only] = partsOf((await packed(probe)).work)
    const rest = (only?.size ?? 0) - 1000
    for (let back = -20; back < rest + 40; back += STEP * 3) {
      const source = sourceOf(PART - rest + back, [['1', 10]])
      await checkWhole(await packed(source), source, `directory moved by ${back}`)
    }
  })

  it(
    'may fall anywhere around the header of a large file, whose holes are filled later',
    { timeout: 300_000 },
    async () => {
      const big = (disk: MemoryDisk): MemoryDisk => {
        putFile(disk, '/source/1', Buffer.alloc((1 << 20) + 5, 'x'))
        return disk
      }
      for (let back = -3; back < 200; back += STEP * 3) {
        const source = big(sourceOf(PART - 150 - back, []))
        const world = sinkWorld(source, { partSize: PART, level: 1 })
        await runWhole(world)
        const entries = await entriesOf(world.work)
        expect((entries.get('source/1') as Buffer).equals(Buffer.alloc((1 << 20) + 5, 'x')), `${back}`).toBe(true)
      }
    },
  )

  it('comes many times within one entry', async () => {
    const source = sourceOf(0, [])
    putFile(source, '/source/1', Buffer.concat(Array.from({ length: 8 }, () => noise)))
    const world = await packed(source)
    expect(partsOf(world.work).length).toBeGreaterThan(20)
    expect((await entriesOf(world.work)).get('source/1')).toHaveLength(1_600_000)
  })
})

describe('foreign readers', () => {
  const has = (tool: string): boolean => spawnSync('which', [tool]).status === 0
  const written = async (world: SinkWorld, check: (last: string) => void): Promise<void> => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sink-'))
    try {
      const parts = partsOf(world.work)
      for (const [i, { bytes }] of parts.entries())
        fs.writeFileSync(path.join(folder, zip.partName('a', i, parts.length)), bytes)
      check(path.join(folder, 'a.zip'))
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  }
  const passes = (tool: string, ...args: string[]): void => {
    const { status, stdout, stderr } = spawnSync(tool, args, { encoding: 'utf8' })
    expect(status, `${stdout}${stderr}`).toBe(0)
  }

  it.skipIf(!has('unzip'))('unzip agrees with a thousand entries in one file', async () => {
    const names = Array.from({ length: 1000 }, (_, n) => [`f${n}`, n % 300] as const)
    const world = await packed(sourceOf(5, names), 0)
    await written(world, (last) => passes('unzip', '-tqq', last))
  })

  it.skipIf(!has('7z'))('7z agrees wherever the end of a part falls', { timeout: 120_000 }, async () => {
    for (let back = 0; back < 400; back += STEP * 9) {
      const sizes = [100, 70_000, 90].map((size, i) => [String(i + 1), size] as const)
      const world = await packed(sourceOf(PART - 300 - back, sizes))
      await written(world, (last) => passes('7z', 't', last))
    }
  })
})
