import { describe, expect, it } from 'vitest'
import { jobPaths } from '../../src/engine/paths.ts'
import { JobStore } from '../../src/engine/store.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { errnoOf } from '../../src/lib/errors.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { enumerateFaults, type World } from './enumerate.ts'

/** Commits of one job, from its creation to its release. */
const COMMITS = 4

interface StoreWorld extends World {
  /** The last commit that was acknowledged: 0 = the job exists, -1 = not even that. */
  told: number
  processes: number
}

/** The store as one process sees it; every process knows that all earlier ones are dead. */
function storeOn(disk: Disk, process: number): JobStore {
  const processes = { self: `host|boot|${process}`, boot: 'boot', state: () => 'gone' as const }
  return new JobStore({ disk, clock: new FakeClock({ mono: process * 1e6 }), processes, paths: jobPaths('/data') })
}

/** The commits that the jobs on the disk hold; a number without a record never became a job. */
function heldBy(store: JobStore): Map<number, number> {
  const held = new Map<number, number>()
  for (const number of store.numbers()) {
    try {
      held.set(number, Number(store.read(number).slots['commits'] ?? 0))
    } catch (error) {
      if (errnoOf(error) !== 'JOB_NOT_FOUND') throw error
    }
  }
  return held
}

function work(disk: Disk, world: StoreWorld): void {
  const store = storeOn(disk, ++world.processes)
  const [first] = heldBy(store).keys()
  const number = first ?? store.create(sampleSpec(), ['init']).number
  world.told = Math.max(world.told, 0)
  const held = store.acquire(number, 1000)
  held.sweep()
  for (let n = Number(held.job.slots['commits'] ?? 0) + 1; n <= COMMITS; n++) {
    held.job.slots['commits'] = n
    held.commit(1000, n === COMMITS)
    world.told = Math.max(world.told, n)
  }
}

describe('job records', () => {
  it('keep every acknowledged commit, whatever call fails or is the last one', async () => {
    const report = await enumerateFaults<StoreWorld>({
      build: () => ({ disk: new MemoryDisk(), told: -1, processes: 0 }),
      run: work,
      checkCrashed(disk, world) {
        const left = Math.max(-1, ...heldBy(storeOn(disk, 0)).values())
        if (left < world.told) throw new Error(`commit ${world.told} was acknowledged, ${left} is left`)
      },
      check: (disk) => expect([...heldBy(storeOn(disk, 0)).values()]).toEqual([COMMITS]),
    })
    expect(report.runs).toBeGreaterThan(800)
  })
})
