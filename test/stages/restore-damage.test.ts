import { describe, expect, test } from 'vitest'
import { outcome } from '../../src/engine/job.ts'
import { buildParts, sample } from '../archive/build.ts'
import { treeOf } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import {
  placeIn,
  putArchive,
  restoreSpecOf,
  runJob,
  type TestItem,
  verifySpecOf,
  warningsOf,
  withManifest,
} from './restore-world.ts'

const place = placeIn('/w')
const ITEMS: TestItem[] = [
  { name: 'd', kind: 'dir' },
  ...Array.from({ length: 20 }, (_, i): TestItem => ({
    name: `d/f${i}`,
    data: sample(5000, 'noise', i + 1),
    how: 'store',
  })),
  { name: 'd/large', data: sample((2 << 20) + 9, 'noise', 99), how: 'store' },
  { name: 'd/packed', data: sample((2 << 20) + 9, 'text', 98), how: 'blocks' },
  { name: 'd/last', data: sample(5000, 'noise', 77), how: 'store' },
]
const NAMES = ITEMS.filter((item) => item.kind === undefined).map((item) => String(item.name))

/** Changes one byte in the middle of the stored content of these entries. */
function spoil(archive: Buffer, names: readonly string[]): Buffer {
  const bytes = Buffer.from(archive)
  for (const name of names) {
    const item = ITEMS.find((one) => one.name === name)
    const at = bytes.indexOf(name) + name.length
    bytes[at + 40 + Math.min(1000, (item?.data?.length ?? 0) - 100)]! ^= 0x10
  }
  return bytes
}

async function restored(
  parts: readonly Buffer[],
  more: Parameters<typeof restoreSpecOf>[1] = {},
  before: (disk: MemoryDisk) => void = () => {},
): Promise<{ job: Awaited<ReturnType<typeof runJob>>; tree: Record<string, string>; warnings: string[] }> {
  const disk = new MemoryDisk()
  putArchive(disk, place, parts)
  before(disk)
  const job = await runJob(disk, place, restoreSpecOf(place, more))
  expect(disk.openDescriptors).toBe(0)
  const there = job.error === null ? treeOf(disk, place.target) : {}
  return { job, tree: there, warnings: warningsOf(disk, place) }
}

const missingIn = (tree: Record<string, string>): string[] => NAMES.filter((name) => !(`/${name}` in tree))
function rightIn(tree: Record<string, string>): void {
  for (const { name, data, kind } of ITEMS) {
    const found = tree[`/${String(name)}`]
    if (kind === undefined && found !== undefined) expect(found === data?.toString('latin1'), String(name)).toBe(true)
  }
}

describe('a damaged archive', () => {
  test.each([
    [['d/f3']],
    [['d/f0', 'd/f19']],
    [['d/large']],
    [['d/packed']],
    [['d/f1', 'd/large', 'd/packed', 'd/last']],
  ])('gives back everything but what is damaged: %s', async (damaged) => {
    const [archive = Buffer.alloc(0)] = buildParts(withManifest(ITEMS))
    const { job, tree, warnings } = await restored([spoil(archive, damaged)])
    expect(outcome(job)).toBe('completed_with_warnings')
    expect(missingIn(tree)).toEqual(damaged)
    rightIn(tree)
    expect(warnings.length).toBe(damaged.length)
    for (const name of damaged) expect(warnings.some((line) => line.startsWith(`${name}: `))).toBe(true)
    expect(job.parts[0]).toMatchObject({ omitted: damaged.length, files: NAMES.length - damaged.length })
  })

  test('is known by its CRCs alone where there is no manifest', async () => {
    const [archive = Buffer.alloc(0)] = buildParts(ITEMS)
    const damaged = ['d/f3', 'd/large', 'd/packed']
    const { tree, warnings } = await restored([spoil(archive, damaged)])
    expect(missingIn(tree)).toEqual(damaged)
    expect(warnings.length).toBe(3)
  })

  test('whose directory is lost is refused, and salvaged when asked for', async () => {
    const [archive = Buffer.alloc(0)] = buildParts(withManifest(ITEMS))
    const cut = archive.subarray(0, archive.length - 300)
    const refused = await restored([cut])
    expect(refused.job.error?.code).toBe('ARCHIVE_DAMAGED')
    expect(refused.job.error?.hint).toContain('--salvage')
    const { job, tree } = await restored([cut], { salvage: true })
    expect(outcome(job)).toBe('completed_with_warnings')
    expect(missingIn(tree)).toEqual([])
    rightIn(tree)
  })

  test('that lacks a part gives back what lies in the others, and names the rest', async () => {
    const parts = buildParts(withManifest(ITEMS), 1 << 20)
    expect(parts.length).toBeGreaterThan(3)
    const lose = (disk: MemoryDisk): void => disk.unlink('/w/backups/a.z02')
    const refused = await restored(parts, {}, lose)
    expect(refused.job.error?.code).toBe('ARCHIVE_NOT_FOUND')
    const { job, tree, warnings } = await restored(parts, { salvage: true }, lose)
    expect(outcome(job)).toBe('completed_with_warnings')
    rightIn(tree)
    const missing = missingIn(tree)
    expect(missing.length).toBeGreaterThan(0)
    expect(missing.length).toBeLessThan(5)
    for (const name of missing)
      expect(
        warnings.some((line) => line.includes(name)),
        name,
      ).toBe(true)
  })

  test('whose manifest is damaged is restored by its CRCs', async () => {
    const [archive = Buffer.alloc(0)] = buildParts(withManifest(ITEMS))
    const bytes = Buffer.from(archive)
    const at = bytes.indexOf('installation/manifest.jsonl')
    bytes[at + 200]! ^= 1
    const { job, tree } = await restored([bytes])
    expect(outcome(job)).toBe('completed_with_warnings')
    expect(missingIn(tree)).toEqual([])
    rightIn(tree)
  })
})

describe('verify', () => {
  async function verified(
    parts: readonly Buffer[],
    change: (disk: MemoryDisk) => void = () => {},
    known = true,
    original = parts,
  ): Promise<Awaited<ReturnType<typeof runJob>>> {
    const disk = new MemoryDisk()
    const made = new MemoryDisk()
    const expected = putArchive(made, place, original)
    putArchive(disk, place, parts)
    change(disk)
    const job = await runJob(disk, place, verifySpecOf(place, known ? expected : []))
    expect(disk.openDescriptors).toBe(0)
    return job
  }

  test.each([true, false])('finds a whole archive whole (digests known: %s)', async (known) => {
    for (const size of [0, 1 << 20]) {
      const job = await verified(buildParts(withManifest(ITEMS), size), () => {}, known)
      expect(job.error).toBeNull()
      expect(outcome(job)).toBe('completed')
      expect(job.parts[0]).toMatchObject({ files: NAMES.length + 2, status: 'completed' })
    }
  })

  test('names every damaged entry and part, and fails only then', async () => {
    const [archive = Buffer.alloc(0)] = buildParts(withManifest(ITEMS))
    const damaged = ['d/f1', 'd/large', 'd/packed', 'd/last']
    const job = await verified([spoil(archive, damaged)], () => {}, true, [archive])
    expect(job.error?.code).toBe('VERIFY_FAILED')
    expect(job.error?.message).toBe(`5 damaged: a.zip, ${damaged.join(', ')}`)
    expect(job.parts[0]).toMatchObject({ status: 'failed', omitted: 4, files: NAMES.length - 2 })
  })

  test('names parts that are missing, longer or shorter', async () => {
    const parts = buildParts(withManifest(ITEMS), 1 << 20)
    const missing = await verified(parts, (disk) => disk.unlink('/w/backups/a.z02'))
    expect(missing.error?.code).toBe('VERIFY_FAILED')
    expect(missing.error?.message).toContain('a.z02')
    const cut = parts.map((bytes, i) => (i === 0 ? bytes.subarray(0, -1) : bytes))
    const shorter = await verified(cut, () => {}, true, parts)
    expect(shorter.error?.message).toContain('a.z01')
  })

  test('finds every flipped bit when the digests are known', async () => {
    const small: TestItem[] = [
      { name: 'a', data: Buffer.from('hello hello hello') },
      { name: 'b', kind: 'dir' },
    ]
    const [archive = Buffer.alloc(0)] = buildParts(withManifest(small))
    for (let at = 0; at < archive.length; at += 7) {
      const bytes = Buffer.from(archive)
      bytes[at]! ^= 1 << (at % 8)
      const job = await verified([bytes], () => {}, true, [archive])
      expect(job.error?.code, `byte ${at}`).toBe('VERIFY_FAILED')
    }
  })

  test('finds flipped bits in contents, names, sizes, modes and times without them, too', async () => {
    const small: TestItem[] = [{ name: 'some-name', data: Buffer.from('hello hello hello'), mode: 0o100640 }]
    const [archive = Buffer.alloc(0)] = buildParts(withManifest(small))
    const local = 0
    const central = archive.indexOf(Buffer.from('504b0102', 'hex'))
    const range = (from: number, length: number): number[] => Array.from({ length }, (_, i) => from + i)
    const where = [
      ...range(local + 14, 12 + 4), // CRC, sizes, lengths
      ...range(local + 30, 9), // name
      ...range(local + 30 + 9 + 9, 8), // content
      ...range(central + 16, 12 + 6),
      ...range(central + 40, 2 + 4), // mode, offset
      ...range(central + 46, 9),
      ...range(central + 46 + 9 + 5, 4), // time
      ...range(archive.length - 14, 12), // counts, place and size of the directory
    ]
    for (const at of where) {
      const bytes = Buffer.from(archive)
      bytes[at]! ^= 1 << (at % 8)
      const job = await verified([bytes], () => {}, false)
      expect(job.error?.code, `byte ${at}`).toBe('VERIFY_FAILED')
    }
  })

  test('says what cannot be found', async () => {
    const disk = new MemoryDisk()
    const job = await runJob(disk, place, verifySpecOf(place))
    expect(job.error?.code).toBe('ARCHIVE_NOT_FOUND')
  })
})
