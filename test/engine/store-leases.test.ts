import { describe, expect, it } from 'vitest'
import { jobPaths } from '../../src/engine/paths.ts'
import { JobStore } from '../../src/engine/store.ts'
import { removeTree } from '../../src/lib/durable-file.ts'
import { codeOf } from '../helpers/bench-job.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { sampleSpec } from '../helpers/sample-job.ts'

const YEARS = 10 * 365.25 * 24 * 3600_000
const HOUR = 3600_000

type State = 'ours' | 'gone' | 'unknown'

interface Machine {
  readonly self?: string
  readonly boot?: string
  readonly state?: State
  readonly clock: FakeClock
}

function storeOn(disk: MemoryDisk, { self = 'a|boot|1', boot = 'boot', state = 'unknown', clock }: Machine): JobStore {
  const processes = { self, boot, state: () => state }
  return new JobStore({ disk, clock, processes, paths: jobPaths('/data') })
}

/** A job that somebody holds for a second and its grace. */
function heldBy(clock: FakeClock, boot = 'boot'): MemoryDisk {
  const disk = new MemoryDisk()
  const store = storeOn(disk, { self: 'owner|boot|9', boot, clock })
  store.create(sampleSpec(), ['init'])
  store.acquire(1, 1000).commit(1000)
  return disk
}

/** How the job can be had: not at all, as it is, or with its house to be moved. */
function take(disk: MemoryDisk, machine: Machine): 'busy' | 'clean' | 'move' {
  try {
    return storeOn(disk, machine).acquire(1, 1000).job.moving ? 'move' : 'clean'
  } catch (error) {
    expect(codeOf(error)).toBe('JOB_BUSY')
    return 'busy'
  }
}

const clockAt = (wall: number, mono: number): FakeClock => new FakeClock({ wall, mono })
const NOW = Date.UTC(2026, 5, 29)

describe('a job that somebody holds', () => {
  it.each<[what: string, machine: Omit<Machine, 'clock'>, wall: number, mono: number, outcome: string]>([
    ['is busy while its owner may be alive', {}, 0, 500, 'busy'],
    ['is busy until the end of its grace', {}, 0, 30_999, 'busy'],
    ['is moved from an owner whose time is up', {}, 0, 31_001, 'move'],
    ['is taken at once from a dead owner', { state: 'gone' }, 0, 1, 'clean'],
    ['is taken at once from ourselves', { state: 'ours' }, 0, 1, 'clean'],
    ['stays busy when the wall clock jumps ahead ten years', {}, YEARS, 500, 'busy'],
    ['stays busy when the wall clock jumps back ten years', {}, -YEARS, 500, 'busy'],
    ['is moved once its time is up, whatever the wall clock says', {}, -YEARS, 31_001, 'move'],
    ['is busy for another machine within its time', { boot: 'other' }, 20_000, -900, 'busy'],
    ['is moved by another machine after its time', { boot: 'other' }, 31_001, -900, 'move'],
    ['is moved if the lease ends far in the future: a clock has jumped', { boot: 'other' }, -3 * HOUR, -900, 'move'],
    ['is moved by another machine ten years ahead', { boot: 'other' }, YEARS, -900, 'move'],
    ['is moved by another machine ten years behind', { boot: 'other' }, -YEARS, -900, 'move'],
    ['is judged by the wall clock where no boot is known', { boot: '' }, 20_000, 1_000_000, 'busy'],
  ])('%s', (_what, machine, wall, mono, outcome) => {
    const disk = heldBy(clockAt(NOW, 1000), machine.boot === '' ? '' : 'boot')
    expect(take(disk, { ...machine, clock: clockAt(NOW + wall, 1000 + mono) })).toBe(outcome)
  })

  it('is free once released, whoever asks', () => {
    for (const state of ['ours', 'gone', 'unknown'] as const) {
      const clock = clockAt(NOW, 1000)
      const disk = heldBy(clock)
      const owner = storeOn(disk, { self: 'x', state: 'gone', clock }).acquire(1, 1000)
      owner.commit(1000, true)
      expect(take(disk, { state, clock })).toBe('clean')
    }
  })

  it('keeps its lease with every commit', () => {
    const clock = clockAt(NOW, 1000)
    const disk = heldBy(clock)
    const held = storeOn(disk, { self: 'x', state: 'gone', clock }).acquire(1, 1000)
    for (let i = 0; i < 5; i++) {
      clock.advance(30_000)
      expect(take(disk.process(), { clock })).toBe('busy')
      held.commit(1000)
    }
    clock.advance(31_001)
    expect(take(disk.process(), { clock })).toBe('move')
    expect(() => held.commit(1000)).toThrow('taken over')
    expect(() => held.check()).toThrow('taken over')
  })

  it('stays to be moved when whoever took it died before moving it', () => {
    const clock = clockAt(NOW, 1000)
    const disk = heldBy(clock)
    clock.advance(31_001)
    expect(take(disk, { clock, self: 'second' })).toBe('move')
    expect(take(disk, { clock, self: 'third', state: 'gone' })).toBe('move')
  })

  it('is not taken if what it was asked for was changed', () => {
    const clock = clockAt(NOW, 1000)
    const disk = heldBy(clock)
    removeTree(disk, '/data/jobs/1/spec.json')
    const fd = disk.open('/data/jobs/1/spec.json', 'create')
    disk.write(fd, Buffer.from(JSON.stringify(sampleSpec({ output: '/elsewhere' }))), 0, 100, 0)
    disk.close(fd)
    const store = storeOn(disk, { clock, state: 'gone' })
    const before = store.epochs(1)
    expect(() => store.acquire(1, 1000)).toThrow(expect.objectContaining({ code: 'SETTINGS_CHANGED' }))
    expect(store.epochs(1)).toEqual(before)
  })
})
