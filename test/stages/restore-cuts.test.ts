import { beforeAll, describe, expect, test } from 'vitest'
import { outcome } from '../../src/engine/job.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { writeFully } from '../../src/lib/disk.ts'
import { sample } from '../archive/build.ts'
import { contentOf, treeOf } from '../helpers/disk-tree.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'
import {
  HASTY,
  placeIn,
  putItems,
  restoreSpecOf,
  runJob,
  type TestItem,
  verifySpecOf,
  warningsOf,
} from './restore-world.ts'

/** Set for each format in turn. */
let place = placeIn('/w')
const text = (content: string): Buffer => Buffer.from(content)
const MIB = 1 << 20

const ITEMS: TestItem[] = [
  { name: 's', kind: 'dir', mode: 0o40711 },
  ...Array.from({ length: 12 }, (_, i): TestItem => ({ name: `s/f${i}`, data: text(`content ${i}`), mtime: 1e9 + i })),
  { name: 's/blocks', data: sample(3 * MIB + 123), how: 'blocks' },
  { name: 's/stored', data: sample(2 * MIB + 5, 'noise'), how: 'store' },
  { name: 's/whole', data: sample(2 * MIB + 77), how: 'whole' },
  { name: 's/huge', data: sample(3 * MIB + 3, 'noise', 5), how: 'store', blocks: true },
  { name: 's/hole', data: sample(4 * MIB, 'zero'), how: 'blocks', level: 1, blocks: true },
  { name: 's/locked', kind: 'dir', mode: 0o40000 },
  { name: 's/locked/in', kind: 'dir', mode: 0o40500 },
  { name: 's/locked/in/x', data: text('x') },
  { name: 's/to', kind: 'symlink', data: text('locked/in/x') },
  { name: 'implied/deep/y', data: text('y') },
]

/** Bytes after the committed ones, and files nobody knows: what a killed process leaves behind. */
function garble(disk: Disk, random: ReturnType<typeof seeded>): void {
  const noise = random.bytes(1 + random.int(5000))
  const visit = (folder: string, strays: boolean): void => {
    if (strays) writeStray(disk, `${folder}/stray${random.int(1e9)}`, noise)
    for (const name of disk.readdir(folder).map(String)) {
      if (/^(restore|check)-|^large-/.test(name)) append(disk, `${folder}/${name}`, noise)
    }
  }
  const { data, target } = place
  for (const name of disk.readdir(`${data}/jobs/1`).map(String)) {
    if (name.startsWith('files-')) visit(`${data}/jobs/1/${name}`, false)
  }
  for (const name of exists(disk, target) ? disk.readdir(target).map(String) : []) {
    if (name.startsWith('.ratchet-')) visit(`${target}/${name}`, true)
  }
}

function append(disk: Disk, at: string, bytes: Buffer): void {
  const fd = disk.open(at, 'update')
  writeFully(disk, fd, bytes, disk.fstat(fd).size)
  disk.close(fd)
}

function writeStray(disk: Disk, at: string, bytes: Buffer): void {
  const fd = disk.open(at, 'create')
  writeFully(disk, fd, bytes, 0)
  disk.close(fd)
}

function exists(disk: Disk, at: string): boolean {
  try {
    disk.lstat(at)
    return true
  } catch {
    return false
  }
}

/** Everything that can be seen of a tree: content, modes, times. */
function seen(disk: Disk, top: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [name, content] of Object.entries(treeOf(disk, top))) {
    const { mode, mtimeNs } = disk.lstat(top + name)
    const short = content.length > 100 ? `${content.length} bytes, ${hash(content)}` : content
    // A folder nobody named has the time at which it was filled.
    found[name] = `${mode.toString(8)} ${/^.implied/.test(name) ? '' : String(mtimeNs)} ${short}`
  }
  return found
}

function hash(text: string): number {
  let h = 0
  for (let i = 0; i < text.length; i++) h = (Math.imul(h, 31) + text.charCodeAt(i)) | 0
  return h
}

describe.each(['zip', 'jpa'] as const)('a restore of %s cut at every safe point', (format) => {
  beforeAll(() => void (place = placeIn('/w', format)))

  test.each([
    ['a new process each time', true],
    ['the same process', false],
  ])('gives the same tree as an uninterrupted one: %s', async (_, cold) => {
    const whole = new MemoryDisk()
    putItems(whole, place, ITEMS)
    const job = await runJob(whole, place, restoreSpecOf(place))
    expect(warningsOf(whole, place)).toEqual([])
    expect(outcome(job)).toBe('completed')

    const cut = new MemoryDisk()
    putItems(cut, place, ITEMS)
    const random = seeded(3)
    let steps = 0
    const other = await runJob(cut, place, restoreSpecOf(place, HASTY), {
      clock: new FakeClock({ perLook: 1 }),
      cold,
      between: () => {
        steps++
        if (cold) garble(cut, random)
      },
    })
    expect(other.error).toBeNull()
    expect(warningsOf(cut, place)).toEqual([])
    expect(steps).toBeGreaterThan(40)
    expect(other.totals).toEqual(job.totals)
    expect(other.parts).toEqual(job.parts)
    expect(seen(cut, place.target)).toEqual(seen(whole, place.target))
    expect(cut.openDescriptors).toBe(0)
  })

  test('says of each entry once what was left out of it', async () => {
    const items = Array.from({ length: 150 }, (_, i): TestItem => ({ name: `f${i}`, data: text('x'), mode: 0o104755 }))
    for (let maxMs = 3; maxMs <= 60; maxMs += 3) {
      const disk = new MemoryDisk()
      putItems(disk, place, items)
      const spec = restoreSpecOf(place, { pacing: { minMs: 0, maxMs, bias: 100 } })
      await runJob(disk, place, spec, { clock: new FakeClock({ perLook: 1 }) })
      expect(warningsOf(disk, place)).toEqual(items.map(({ name }) => `${name}: setuid, setgid or sticky bit left out`))
    }
  })

  test('begins a large file again if its first part is gone or another', async () => {
    for (const spoil of ['remove', 'replace'] as const) {
      const disk = new MemoryDisk()
      putItems(disk, place, [{ name: 'big', data: sample(8 * MIB, 'zero'), how: 'blocks', level: 1, blocks: true }])
      let spoiled = 0
      const job = await runJob(disk, place, restoreSpecOf(place, HASTY), {
        clock: new FakeClock({ perLook: 1 }),
        between: (step) => {
          const staging = disk
            .readdir(place.target)
            .map(String)
            .find((name) => name.startsWith('.ratchet-'))
          const large = `${place.target}/${staging ?? ''}/large-0`
          if (step !== 12 || !exists(disk, large)) return
          spoiled++
          disk.unlink(large)
          if (spoil === 'replace') writeStray(disk, large, Buffer.alloc(9 * MIB, 1))
        },
      })
      expect(spoiled).toBe(1)
      expect(outcome(job)).toBe('completed')
      expect(contentOf(disk, `${place.target}/big`).equals(Buffer.alloc(8 * MIB))).toBe(true)
    }
  })
})

describe.each(['zip', 'jpa'] as const)('a verification of %s cut at every safe point', (format) => {
  beforeAll(() => void (place = placeIn('/w', format)))

  test.each([true, false])('ends with the same verdict (new process each time: %s)', async (cold) => {
    const disk = new MemoryDisk()
    const expected = putItems(disk, place, ITEMS, { partSize: 2 * MIB })
    const random = seeded(5)
    let steps = 0
    const job = await runJob(disk, place, verifySpecOf(place, expected, HASTY), {
      clock: new FakeClock({ perLook: 1 }),
      cold,
      between: () => {
        steps++
        if (cold) garble(disk, random)
      },
    })
    expect(job.error).toBeNull()
    expect(outcome(job)).toBe('completed')
    expect(steps).toBeGreaterThan(30)
    expect(job.parts).toMatchObject([{ files: format === 'zip' ? 21 : 22, omitted: 0, status: 'completed' }])
    expect(disk.openDescriptors).toBe(0)
  })
})
