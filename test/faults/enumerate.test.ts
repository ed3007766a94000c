import { describe, expect, it } from 'vitest'
import { writeFully, type Disk } from '../../src/lib/disk.ts'
import { createFileOnce, readFileIfThere, replaceFile, syncFolder } from '../../src/lib/durable-file.ts'
import { errnoOf } from '../../src/lib/errors.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { enumerateFaults, spread, type World } from './enumerate.ts'
import { ALL_KINDS, CRASHES } from './kinds.ts'

/**
 * A miniature of a job: five chunks are appended to `data`; after each the length is recorded in
 * `state`. The variants hold one classic mistake each, which the enumeration has to find.
 */
interface Mistakes {
  noSyncBeforeRename?: true
  noFolderSync?: true
  recordFirst?: true
  noDataSync?: true
  inPlace?: true
  noTruncate?: true
  syncAgain?: true
  leak?: true
}

const CHUNKS = ['alpha ', 'beta ', 'gamma ', 'delta ', 'epsilon']
const WHOLE = CHUNKS.join('')

interface Mini extends World {
  /** Chunks whose record was acknowledged. */
  told: number
}

function save(disk: Disk, state: { chunks: number; length: number }, mistakes: Mistakes): void {
  const bytes = Buffer.from(JSON.stringify(state))
  if (mistakes.inPlace) {
    const fd = disk.open('/job/state', readFileIfThere(disk, '/job/state') === null ? 'create' : 'update')
    writeFully(disk, fd, bytes, 0)
    disk.truncate(fd, bytes.length)
    disk.fsync(fd)
    disk.close(fd)
    return syncFolder(disk, '/job')
  }
  if (!mistakes.noSyncBeforeRename && !mistakes.noFolderSync) return replaceFile(disk, '/job/state', bytes)
  if (readFileIfThere(disk, '/job/state.tmp') !== null) disk.unlink('/job/state.tmp')
  const fd = disk.open('/job/state.tmp', 'create')
  try {
    writeFully(disk, fd, bytes, 0)
    if (!mistakes.noSyncBeforeRename) disk.datasync(fd)
  } finally {
    disk.close(fd)
  }
  disk.rename('/job/state.tmp', '/job/state')
  if (!mistakes.noFolderSync) syncFolder(disk, '/job')
}

function opened(disk: Disk, length: number, mistakes: Mistakes): number {
  try {
    const fd = disk.open('/job/data', 'update')
    if (!mistakes.noTruncate) disk.truncate(fd, length)
    return fd
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return disk.open('/job/data', 'create')
  }
}

function sync(disk: Disk, fd: number, mistakes: Mistakes): void {
  if (mistakes.noDataSync) return
  try {
    disk.datasync(fd)
  } catch (error) {
    if (!mistakes.syncAgain || errnoOf(error) !== 'EIO') throw error
    disk.datasync(fd)
  }
}

function mini(disk: Disk, world: Mini, mistakes: Mistakes): void {
  const text = readFileIfThere(disk, '/job/state')
  const state =
    text === null ? { chunks: 0, length: 0 } : (JSON.parse(text.toString()) as { chunks: number; length: number })
  const fd = opened(disk, state.length, mistakes)
  try {
    for (let at = mistakes.noTruncate ? disk.fstat(fd).size : state.length; state.chunks < CHUNKS.length;) {
      const chunk = Buffer.from(CHUNKS[state.chunks] ?? '')
      const next = { chunks: state.chunks + 1, length: state.length + chunk.length }
      if (mistakes.recordFirst) save(disk, next, mistakes)
      writeFully(disk, fd, chunk, at)
      sync(disk, fd, mistakes)
      syncFolder(disk, '/job')
      if (!mistakes.recordFirst) save(disk, next, mistakes)
      Object.assign(state, next)
      at += chunk.length
      world.told = Math.max(world.told, state.chunks)
    }
  } finally {
    if (!mistakes.leak) disk.close(fd)
  }
}

const enumeration = (mistakes: Mistakes) => ({
  build(): Mini {
    const disk = new MemoryDisk()
    disk.mkdir('/job', 0o700)
    syncFolder(disk, '/')
    return { disk, told: 0 }
  },
  run: (disk: Disk, world: Mini) => mini(disk, world, mistakes),
  check(disk: Disk) {
    expect(readFileIfThere(disk, '/job/data')?.toString()).toBe(WHOLE)
  },
  checkCrashed(disk: Disk, world: Mini) {
    const text = readFileIfThere(disk, '/job/state')?.toString()
    const chunks = text === undefined ? 0 : (JSON.parse(text) as { chunks: number }).chunks
    if (chunks < world.told) throw new Error(`${world.told} chunks were acknowledged, ${chunks} are left`)
  },
})

describe('enumerating faults', () => {
  it('passes a right protocol, at every call and in every way', async () => {
    const report = await enumerateFaults(enumeration({}))
    expect(Object.keys(report.points)).toEqual(ALL_KINDS)
    expect(report.points['stop-before']).toEqual({ of: 41, tried: 41 })
    expect(report.points.power).toEqual({ of: 42, tried: 42 })
    expect(report.runs).toBeGreaterThan(700)
  })

  it.each<[keyof Mistakes, RegExp]>([
    ['noSyncBeforeRename', /power at \d+ .*: Unexpected end of JSON/],
    ['noFolderSync', /power at \d+ .*acknowledged/],
    ['recordFirst', /stop-(before|inside|after) at/],
    ['noDataSync', /not durable when it said it was/],
    ['inPlace', /stop-(inside|after) at \d+ \(call \d+: write \/job\/state/],
    ['noTruncate', /stop-before at \d+ \(call \d+: datasync \/job\/data/],
    ['syncAgain', /sync-once at \d+ \(call \d+: datasync \/job\/data/],
  ])('finds the mistake: %s', async (mistake, where) => {
    const kinds = ALL_KINDS.filter((kind) => !kind.startsWith('E'))
    await expect(enumerateFaults({ ...enumeration({ [mistake]: true }), kinds })).rejects.toThrow(where)
  })

  it('finds descriptors that are left open after an error', async () => {
    await expect(enumerateFaults(enumeration({ leak: true }))).rejects.toThrow('1 descriptors left open')
  })

  it('finds a claim that does not last', async () => {
    const lazy = {
      build: () => ({ disk: new MemoryDisk() }),
      run: (disk: Disk) => void (readFileIfThere(disk, '/a') ?? disk.close(disk.open('/a', 'create'))),
      check: (disk: Disk) => void disk.lstat('/a'),
    }
    await expect(enumerateFaults(lazy)).rejects.toThrow('ENOENT')
  })

  it('finds that two winners were told', async () => {
    type Lock = World & { wins: number }
    const world = (): Lock => ({ disk: new MemoryDisk(), wins: 0 })
    const run = (disk: Disk, w: Lock): void => void (createFileOnce(disk, '/lock', Buffer.from('x')) && w.wins++)
    const check = (_: Disk, w: Lock): void => expect(w.wins).toBeLessThanOrEqual(1)
    await enumerateFaults({ build: world, run, check, kinds: CRASHES })
    const careless = (disk: Disk, w: Lock): void => {
      if (readFileIfThere(disk, '/lock') !== null) return
      disk.close(disk.open('/lock', 'create'))
      w.wins++
      syncFolder(disk, '/')
    }
    await expect(enumerateFaults({ build: world, run: careless, check, kinds: CRASHES })).rejects.toThrow('power at')
  })

  it('spreads a sample over the whole run', () => {
    expect(spread(5, 10, 1)).toEqual([1, 2, 3, 4, 5])
    const chosen = spread(1000, 50, 1)
    expect(chosen).toHaveLength(50)
    expect(chosen[0]).toBe(1)
    expect(chosen.at(-1)).toBe(1000)
    const gaps = chosen.slice(1).map((n, i) => n - (chosen[i] ?? 0))
    expect(Math.max(...gaps)).toBeLessThan(45)
    expect(spread(1000, 50, 2)).not.toEqual(chosen)
  })
})
