import { describe, expect, it } from 'vitest'
import type { Progress } from '../../src/engine/stage.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { benchSource } from '../helpers/bench-source.ts'
import { faultDisk, type FaultCode } from '../helpers/fault-disk.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'
import { entriesOf, omissionsIn, runWhole, sinkWorld, type SinkWorld } from './sink-world.ts'

const LARGE = '/source/m-large.dat'
const NAME = 'source/m-large.dat'
const MIB = 1 << 20

const text = (size: number, what: string): Buffer => Buffer.alloc(size, what)

/** Packs step by step; `between` is called after each step, in which a file may change. True ends a step there. */
async function packBetween(
  world: SinkWorld,
  cut: (progress: Progress, world: SinkWorld) => boolean,
  between: (disk: MemoryDisk, times: number) => void,
): Promise<void> {
  for (let times = 1; ; times++) {
    const steps = world.steps(world.work.open())
    let cutHere = false
    for (;;) {
      const next = await steps.next()
      if (next.done === true) break
      if (next.value.durable === true) await world.work.commit()
      if (cut(next.value, world)) {
        cutHere = true
        break
      }
    }
    await steps.return(undefined)
    await world.work.commit()
    world.work.crash(times % 2 === 0 ? 'noise' : 'cut')
    if (!cutHere) return
    between(world.work.disk as MemoryDisk, times)
    if (times > 100) throw new Error('no end')
  }
}

const isOpen = (world: SinkWorld, blocks: number): boolean => {
  const slot = world.work.context.job.slots['sink'] as unknown as { open: { at: number } | null }
  return slot.open !== null && slot.open.at === blocks * MIB
}

function rewrite(disk: MemoryDisk, bytes: Buffer): void {
  disk.unlink(LARGE)
  putFile(disk, LARGE, bytes)
}

function touch(disk: MemoryDisk, at: number, what: string, truncateTo?: number): void {
  const fd = disk.open(LARGE, 'update')
  if (truncateTo !== undefined) disk.truncate(fd, truncateTo)
  disk.write(fd, Buffer.from(what), 0, what.length, at)
  disk.close(fd)
}

const PARTS = [
  ['zip', 0],
  ['zip', 65_536],
  ['jpa', 0],
  ['jpa', 65_536],
] as const

/** What the rest of the archive must hold, whatever became of the large file. */
async function others(world: SinkWorld): Promise<Map<string, string | Buffer>> {
  const entries = await entriesOf(world.work)
  expect(String(entries.get('source/z-last.txt'))).toBe('the last file\n'.repeat(20))
  expect(String(entries.get('source/a.txt'))).toBe('the first file\n')
  return entries
}

describe.each(PARTS)('a large file that changes between two steps, %s in parts of %d', (format, partSize) => {
  const begin = (): SinkWorld => sinkWorld(benchSource({ large: 3 * MIB + 77 }), { partSize, format })

  it.each<[what: string, change: (disk: MemoryDisk) => void, now: Buffer]>([
    ['rewritten under its name', (disk) => rewrite(disk, text(2 * MIB + 9, 'new')), text(2 * MIB + 9, 'new')],
    ['rewritten with equal size', (disk) => rewrite(disk, text(3 * MIB + 77, 'new')), text(3 * MIB + 77, 'new')],
    ['shrunk to a small one', (disk) => rewrite(disk, text(500, 'new')), text(500, 'new')],
    ['emptied', (disk) => rewrite(disk, Buffer.alloc(0)), Buffer.alloc(0)],
    ['grown', (disk) => rewrite(disk, text(5 * MIB, 'more')), text(5 * MIB, 'more')],
  ])('is begun again: %s', async (_what, change, now) => {
    for (const blocks of [0, 1, 2, 3]) {
      const world = begin()
      await packBetween(
        world,
        (_, w) => isOpen(w, blocks) && Number(w.work.context.job.slots['times'] ?? 0) === 0 && once(w),
        change,
      )
      const entries = await others(world)
      expect((entries.get(NAME) as Buffer).equals(now), `after ${blocks} blocks`).toBe(true)
      expect(omissionsIn(entries)).toEqual({})
      expect(world.work.committed.totals.bytesRead).toBe(world.work.committed.parts[0]?.bytes)
    }
  })

  it.each<[what: string, change: (disk: MemoryDisk) => void, reason: string | null]>([
    ['gone', (disk) => disk.unlink(LARGE), null],
    ['a link now', (disk) => (disk.unlink(LARGE), disk.symlink(Buffer.from('a.txt'), LARGE)), null],
    ['a folder now', (disk) => (disk.unlink(LARGE), disk.mkdir(LARGE, 0o755)), null],
    ['a FIFO now', (disk) => (disk.unlink(LARGE), disk.mknod(LARGE, 'fifo')), 'special'],
  ])('leaves nothing of what it was: %s', async (_what, change, reason) => {
    for (const blocks of [0, 2]) {
      const world = begin()
      await packBetween(world, (_, w) => isOpen(w, blocks) && once(w), change)
      const entries = await others(world)
      expect(entries.get(NAME) instanceof Buffer).toBe(false)
      const omitted = omissionsIn(entries)
      if (reason !== null) expect(Object.keys(omitted)).toContain(NAME)
      expect(world.work.committed.parts[0]?.omitted).toBe(Object.keys(omitted).length)
    }
  })

  it('is left out by name once it has changed three times', async () => {
    const world = begin()
    let cuts = 0
    await packBetween(
      world,
      (_, w) => isOpen(w, 1) && ++cuts > 0,
      (disk, times) => touch(disk, times, `change ${times}`),
    )
    expect(cuts).toBe(3)
    const entries = await others(world)
    expect(entries.has(NAME)).toBe(false)
    expect(omissionsIn(entries)).toEqual({ [NAME]: 'changed' })
    expect(world.work.committed.parts[0]).toMatchObject({ omitted: 1 })
    expect(world.work.committed.warnings.total).toBe(1)
  })
})

/** Only the first time a world is asked. */
const asked = new WeakSet<SinkWorld>()
function once(world: SinkWorld): boolean {
  if (asked.has(world)) return false
  asked.add(world)
  return true
}

describe('a large file that changes while one step reads it', () => {
  it.each(['zip', 'jpa'] as const)('and only grows is stored as it was at first, and marked: %s', async (format) => {
    const source = benchSource({ large: 3 * MIB })
    const world = sinkWorld(source, { format })
    const steps = world.steps(world.work.open())
    for (let grown = false; ;) {
      const next = await steps.next()
      if (next.done === true) break
      if (next.value.durable === true) await world.work.commit()
      if (!grown && isOpen(world, 1)) touch(source, 3 * MIB, 'more and more')
      grown ||= isOpen(world, 1)
    }
    await world.work.commit()
    world.work.crash('cut')
    const entries = await others(world)
    expect(entries.get(NAME)).toHaveLength(3 * MIB)
    expect(world.work.committed.warnings.recent.map(({ code }) => code)).toEqual(['changed'])
  })

  it.each(['EIO', 'EACCES'] as const)('and gives %s at any block is left out whole', async (code: FaultCode) => {
    const whole = sinkWorld(benchSource({ large: 3 * MIB + 5 }))
    await runWhole(whole)
    const expected = await entriesOf(whole.work)
    for (let read = 1; read <= 9; read++) {
      const source = benchSource({ large: 3 * MIB + 5 })
      const disk = faultDisk(source, {
        counts: (call) => call.name === 'read' && call.path.endsWith('/m-large.dat'),
        at: read,
        fault: { kind: 'error', code, sticky: true },
      })
      const world = sinkWorld(source, { partSize: 65_536 }, disk)
      await runWhole({ ...world })
      const struck = disk.struck !== null
      const entries = await others(world)
      expect(entries.has(NAME), `read ${read}`).toBe(!struck)
      if (!struck) continue
      expect(omissionsIn(entries)).toEqual({ [NAME]: code === 'EIO' ? 'io_error' : 'unreadable' })
      for (const [name, bytes] of expected) {
        if (name === NAME || name.startsWith('installation/')) continue
        expect(entries.get(name), name).toEqual(bytes)
      }
    }
  })

  it.each(['EIO', 'EACCES'] as const)(
    'a small file that gives %s is left out, and all others are there',
    async (code: FaultCode) => {
      const source = benchSource({ large: 0, files: 20 })
      const disk = faultDisk(source, {
        counts: (call) => call.name === 'read' && /00000[37]\.txt$/.test(call.path),
        at: 1,
        fault: { kind: 'error', code, sticky: true },
      })
      const world = sinkWorld(source, {}, disk)
      await runWhole(world)
      const entries = await others(world)
      expect(Object.keys(omissionsIn(entries))).toEqual(['source/many-000/000003.txt', 'source/many-000/000007.txt'])
      expect(entries.has('source/many-000/000003.txt')).toBe(false)
      expect([...entries.keys()].filter((name) => name.startsWith('source/many-000/'))).toHaveLength(18)
      expect(world.work.committed.parts[0]).toMatchObject({ omitted: 2 })
    },
  )
})
