import { describe, expect, it } from 'vitest'
import { jobPaths } from '../../src/engine/paths.ts'
import { JobStore } from '../../src/engine/store.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { everyCall, faultDisk } from '../helpers/fault-disk.ts'
import { interleave, Program } from '../helpers/interleave.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'
import { sampleSpec } from '../helpers/sample-job.ts'

const SCHEDULES = process.env['RATCHET_LONG'] === '1' ? 10_000 : 150

/** A store in a process that knows nothing of the others: alive, or dead, or elsewhere. */
function storeOf(disk: Disk, self: string): JobStore {
  const processes = {
    self,
    boot: 'boot',
    state: (owner: string) => (owner === self ? ('ours' as const) : ('unknown' as const)),
  }
  return new JobStore({ disk, clock: new FakeClock(), processes, paths: jobPaths('/data') })
}

function withJob(): MemoryDisk {
  const disk = new MemoryDisk()
  storeOf(disk, 'maker').create(sampleSpec(), ['init'])
  return disk
}

const counter = (store: JobStore): number => Number(store.read(1).slots['n'] ?? 0)

/** Takes the job, adds one, and releases it; null if somebody else has it, or might have had it. */
function addOne(disk: Disk, self: string): number | null {
  const store = storeOf(disk, self)
  try {
    const held = store.acquire(1, 1000)
    held.sweep()
    const n = Number(held.job.slots['n'] ?? 0) + 1
    held.commit(1000)
    held.job.slots['n'] = n
    held.commit(1000, true)
    return held.epoch
  } catch (error) {
    if (error instanceof BackupError && ['JOB_BUSY', 'LEASE_LOST'].includes(error.code)) return null
    throw error
  }
}

describe('taking a job', () => {
  it('has one winner and loses no commit, in any order of the calls of three processes', () => {
    let wins = 0
    let losses = 0
    let spurious = 0
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      const disk = withJob()
      const programs = ['a', 'b', 'c'].map(
        (name) => new Program(name, disk, (d) => [1, 2].map(() => addOne(d, `host|boot|${name}`))),
      )
      interleave(programs, seeded(seed))
      const epochs = programs.flatMap((program) => {
        if (program.error !== null) throw new Error(`seed ${seed}: ${String(program.error)}`, { cause: program.error })
        return program.result?.value ?? []
      })
      const won = epochs.filter((epoch) => epoch !== null)
      wins += won.length
      losses += epochs.length - won.length
      expect(new Set(won).size, `seed ${seed}: no epoch twice`).toBe(won.length)
      // Who is told that it lost may still have counted: it repeats itself and is answered.
      const counted = counter(storeOf(disk, 'reader'))
      expect(counted, `seed ${seed}: no answered commit lost`).toBeGreaterThanOrEqual(won.length)
      spurious += counted - won.length
    }
    expect(wins).toBeGreaterThan(SCHEDULES)
    expect(losses).toBeGreaterThan(SCHEDULES)
    expect(spurious).toBeLessThan(wins / 50)
  })

  it('is lost by a slow contender, also once its name has been used and cleaned up', () => {
    const calls = faultDisk(withJob(), { counts: everyCall })
    addOne(calls, 'slow')
    for (const others of [1, 2, 3, 5]) {
      for (let at = 1; at <= calls.counted; at++) {
        const disk = withJob()
        let seen = 0
        const between = (): boolean => {
          if (++seen === at)
            for (let n = 0; n < others; n++) won += addOne(disk.process(), `fast ${n}`) === null ? 0 : 1
          return false
        }
        let won = 0
        const slow = addOne(faultDisk(disk, { counts: between }), 'slow')
        // Told means counted. Who is told that it lost may still have counted: it repeats itself and is answered.
        const counted = counter(storeOf(disk, 'reader'))
        expect(counted, `${others} others at call ${at}`).toBeGreaterThanOrEqual(won + (slow === null ? 0 : 1))
        expect(counted, `${others} others at call ${at}`).toBeLessThanOrEqual(won + 1)
      }
    }
  })

  it('can be read at any moment while others take and clean up', () => {
    const calls = faultDisk(withJob(), { counts: everyCall })
    expect(storeOf(calls, 'reader').read(1).number).toBe(1)
    for (let at = 1; at <= calls.counted; at++) {
      const disk = withJob()
      let seen = 0
      const between = (): boolean => {
        if (++seen === at) for (let n = 0; n < 3; n++) addOne(disk.process(), `fast ${n}`)
        return false
      }
      expect(storeOf(faultDisk(disk, { counts: between }), 'reader').read(1).number).toBe(1)
    }
  })
})

/** Takes a job that has ended, as whoever clears up after it does. */
function clearUp(disk: Disk, self: string): string {
  try {
    const held = storeOf(disk, self).acquire(1, 1000)
    held.job.status = 'completed'
    held.commit(1000, true)
    held.settle()
    return 'cleared'
  } catch (error) {
    if (error instanceof BackupError) return error.code
    throw error
  }
}

describe('clearing up after a job that has ended', () => {
  it('leaves two records and nothing else, in any order of the calls of three processes', () => {
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      const disk = withJob()
      const programs = ['a', 'b', 'c'].map((name) => new Program(name, disk, (d) => clearUp(d, `host|boot|${name}`)))
      interleave(programs, seeded(seed))
      for (const { error } of programs) {
        if (error !== null) throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      }
      expect(programs.map((program) => program.result?.value)).toContain('cleared')
      const names = disk.readdir('/data/jobs/1').map(String)
      const records = names.filter((name) => /^state-\d+\.json$/.test(name))
      expect(records.length, `seed ${seed}: ${names.join(' ')}`).toBeLessThanOrEqual(2)
      expect(
        names.filter((name) => name.endsWith('.tmp')),
        `seed ${seed}`,
      ).toEqual([])
    }
  })
})

describe('creating jobs', () => {
  it('gives each its own number, in any order of the calls of three processes', () => {
    for (let seed = 1; seed <= SCHEDULES / 4; seed++) {
      const disk = new MemoryDisk()
      const programs = ['a', 'b', 'c'].map(
        (name) => new Program(name, disk, (d) => storeOf(d, name).create(sampleSpec(), ['init'], name).number),
      )
      interleave(programs, seeded(seed))
      const numbers = programs.map((program) => {
        if (program.error !== null) throw new Error(`seed ${seed}`, { cause: program.error })
        return program.result?.value ?? 0
      })
      expect(numbers.toSorted(), `seed ${seed}`).toEqual([1, 2, 3])
      const store = storeOf(disk, 'reader')
      expect(numbers.map((number) => store.read(number).startKey)).toEqual(['a', 'b', 'c'])
    }
  })
})
