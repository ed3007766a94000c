import { describe, expect, it } from 'vitest'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { readJpaText, type JpaText } from '../helpers/jpa-text.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'
import { omissionsIn, entriesOf, partsOf, runWhole, sinkWorld } from './sink-world.ts'

const PART = 65_536
const STEP = process.env['RATCHET_LONG'] === '1' ? 1 : 7
const MIB = 1 << 20
const noise = seeded(9).bytes(200_000)

function source(fill: (disk: MemoryDisk) => void): MemoryDisk {
  const disk = new MemoryDisk()
  for (const folder of ['/source', '/data', '/out']) disk.mkdir(folder, 0o755)
  fill(disk)
  return disk.settle()
}

interface Packed {
  readonly text: JpaText
  readonly parts: readonly Buffer[]
}

async function packed(disk: MemoryDisk, changes: Partial<BackupSpec> = {}): Promise<Packed> {
  const world = sinkWorld(disk, { format: 'jpa', partSize: PART, level: 0, ...changes })
  await runWhole(world)
  await entriesOf(world.work) // our reader has nothing against it
  const parts = partsOf(world.work).map(({ bytes }) => bytes)
  return { text: readJpaText(parts), parts }
}

const dataOf = ({ text }: Packed, name: string): Buffer | undefined =>
  text.entities.find((entity) => entity.name.toString() === name)?.data

describe('the end of a JPA part', () => {
  it('may fall anywhere, but never right behind a block', { timeout: 120_000 }, async () => {
    for (let back = -5; back < 500; back += STEP) {
      const disk = source((all) => {
        putFile(all, '/source/0', noise.subarray(0, PART - 300 - back))
        all.mkdir('/source/1', 0o755)
        putFile(all, '/source/2', '')
        all.symlink(Buffer.from('a target of some length'), '/source/3')
        putFile(all, '/source/4', noise.subarray(0, 90))
        putFile(all, '/source/5', Buffer.alloc(MIB + 5, 'x'))
      })
      const done = await packed(disk, { level: back % 2 })
      for (const { part, blockLength, name } of done.text.entities) {
        expect(blockLength, `${back}: ${name.toString()}`).toBeLessThan(done.parts[part]?.length ?? 0)
      }
      expect(dataOf(done, 'source/5')?.equals(Buffer.alloc(MIB + 5, 'x'))).toBe(true)
      expect(dataOf(done, 'source/3')?.toString()).toBe('a target of some length')
      for (const [i, { length }] of done.parts.entries()) {
        expect(length, `${back}: part ${i + 1}`).toBeLessThanOrEqual(PART)
        expect(length, `${back}: part ${i + 1}`).toBeGreaterThan(i === 0 ? 49 : 0)
      }
    }
  })

  it('leaves room behind each block: a folder never fills its part', async () => {
    // The next folder's block is 21 + 9 + 20 bytes long; what is left in the part goes from too little to enough.
    let filled = 0
    for (let left = 45; left < 56; left++) {
      const disk = source((all) => {
        putFile(all, '/source/0', noise.subarray(0, PART - 49 - 48 - 57 - left))
        all.mkdir('/source/1', 0o755)
      })
      const done = await packed(disk)
      const [first = Buffer.alloc(0)] = done.parts
      const folder = done.text.entities.find(({ name }) => name.toString() === 'source/1/')
      expect(folder?.part).toBe(left > (folder?.blockLength ?? 0) ? 0 : 1)
      if (folder?.part === 1) filled++
      expect(first.length).toBeLessThanOrEqual(PART)
    }
    expect(filled).toBeGreaterThan(3)
  })

  it("is the archive's end: nothing follows the last entity, also when little or nothing is left", async () => {
    const of = (size: number): MemoryDisk => source((all) => putFile(all, '/source/a', noise.subarray(0, size)))
    const [probe = Buffer.alloc(0)] = (await packed(of(50_000))).parts
    for (const left of [0, 1, 20, 255, 256, 257]) {
      const { parts } = await packed(of(50_000 + PART - probe.length - left))
      expect(parts.map(({ length }) => length)).toEqual([PART - left])
    }
  })

  it('is none in an archive that fits into one part, though it was begun as a split one', async () => {
    const { text, parts } = await packed(source((all) => putFile(all, '/source/a', 'x')))
    expect([parts.length, text.parts]).toEqual([1, 1])
  })
})

describe('large files', () => {
  const LARGE = 10 * MIB
  const disk = source((all) => {
    putFile(all, '/source/at', Buffer.alloc(LARGE, 'at the limit '))
    putFile(all, '/source/over', Buffer.alloc(LARGE + 1, 'above the limit '))
  })
  const methods = ({ text }: Packed): Record<string, number> =>
    Object.fromEntries(text.entities.filter(({ type }) => type === 1).map((e) => [e.name.toString(), e.compression]))

  it('are stored above 10 MiB, and deflated where that is asked for', async () => {
    const auto = await packed(disk.clone(), { level: 1, partSize: 0 })
    expect(methods(auto)).toMatchObject({ 'source/at': 1, 'source/over': 0 })
    const always = await packed(disk.clone(), { level: 1, partSize: 0, deflate: 'always' })
    expect(methods(always)).toMatchObject({ 'source/at': 1, 'source/over': 1 })
    for (const done of [auto, always]) expect(dataOf(done, 'source/over')).toHaveLength(LARGE + 1)
    expect(always.parts[0]?.length).toBeLessThan(LARGE / 20)
  })
  it('are deflated in ZIP, whatever the profile says', async () => {
    const world = sinkWorld(disk.clone(), { level: 1, deflate: 'auto' })
    await runWhole(world)
    expect(partsOf(world.work)[0]?.size).toBeLessThan(LARGE / 20)
  })
  it.each([
    [0, { 'source/at': 0, 'source/over': 0, 'source/small': 0 }],
    [5000, { 'source/at': 0, 'source/over': 0, 'source/small': 1 }],
    [4999, { 'source/at': 0, 'source/over': 0, 'source/small': 0 }],
    [LARGE, { 'source/at': 1, 'source/over': 0, 'source/small': 1 }],
  ])('are those above %i bytes, where that is asked for', async (deflate, expected) => {
    const all = disk.clone()
    putFile(all, '/source/small', Buffer.alloc(5000, 'small '))
    const done = await packed(all, { level: 1, partSize: 0, deflate })
    expect(methods(done)).toMatchObject(expected)
    expect(dataOf(done, 'source/small')).toHaveLength(5000)
  })
  it('are stored in ZIP too, where that is asked for', async () => {
    const world = sinkWorld(disk.clone(), { level: 1, deflate: LARGE })
    await runWhole(world)
    const size = partsOf(world.work)[0]?.size ?? 0
    expect(size).toBeGreaterThan(LARGE)
    expect(size).toBeLessThan(LARGE * 1.1)
  })
})

describe('names', () => {
  it('may be thousands of bytes long', async () => {
    const { text } = await packed(
      source((all) => {
        let folder = '/source'
        for (let i = 0; i < 12; i++) all.mkdir((folder += `/${'n'.repeat(250)}`), 0o755)
        putFile(all, `${folder}/deep`, 'x')
      }),
    )
    expect(text.entities.some(({ name }) => name.length > 3000)).toBe(true)
  })
  it('that are not UTF-8 come back', async () => {
    const name = Buffer.from('odd\xff\\', 'latin1')
    const world = sinkWorld(
      source((all) => putFile(all, Buffer.concat([Buffer.from('/source/'), name]), 'x')),
      { format: 'jpa' },
    )
    await runWhole(world)
    const entries = await entriesOf(world.work)
    expect(entries.get('source/odd\xff\\')).toEqual(Buffer.from('x'))
    expect(omissionsIn(entries)).toEqual({})
  })
})
