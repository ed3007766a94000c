import { describe, expect, it } from 'vitest'
import { jobPaths } from '../../src/engine/paths.ts'
import { inlineRunner } from '../../src/engine/runner.ts'
import { RatchetEngine } from '../../src/engine/engine.ts'
import { memoryCatalogue } from '../../src/engine/catalogue.ts'
import { JobStore } from '../../src/engine/store.ts'
import { WarmStore } from '../../src/engine/warm.ts'
import { isEnded } from '../../src/engine/job.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { openStages } from '../../src/step-parts.ts'
import { spread } from '../faults/enumerate.ts'
import { BenchJob, codeOf, DATA, type BenchOptions } from '../helpers/bench-job.ts'
import { checkSame, golden, leftovers, published, readJob } from '../helpers/bench-check.ts'
import { TWO_BLOCKS } from '../helpers/bench-source.ts'
import type { FakeClock } from '../helpers/fake-clock.ts'
import type { MemoryDisk } from '../helpers/memory-disk.ts'

const POINTS = process.env['RATCHET_LONG'] === '1' ? 10_000 : 14
type FormatName = 'zip' | 'jpa'
const optionsOf = (format: FormatName): BenchOptions => ({
  slices: 'some',
  partSize: 65_536,
  source: { large: TWO_BLOCKS },
  spec: { format },
})

/** Another machine: it cannot know who is alive elsewhere. `blind`: it never looks whether its job was taken. */
function machine(name: string, disk: Disk, clock: FakeClock, blind = false): RatchetEngine {
  const processes = {
    self: name,
    boot: name,
    state: (owner: string) => (owner === name ? 'ours' : 'unknown') as 'ours',
  }
  const store = new JobStore({ disk, clock, processes, paths: jobPaths(DATA) })
  if (blind) store.superseded = () => false
  const { stages } = openStages({ dataDir: DATA, threads: 0 })
  return new RatchetEngine({
    store,
    runner: inlineRunner({ store, stages, warm: new WarmStore() }),
    catalogue: memoryCatalogue(),
  })
}

/** A disk whose process is stopped within its n-th sync, while others go on. */
function freezing(inner: MemoryDisk, at: number, meanwhile: () => Promise<void>): { disk: Disk; syncs: number } {
  const state = { syncs: 0 }
  const disk = new Proxy(inner, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      if (name !== 'datasyncAsync') return method.bind(target) as unknown
      return async (fd: number): Promise<void> => {
        if (++state.syncs === at) {
          await Promise.resolve() // what it was doing in this very moment it still does
          await meanwhile()
        }
        await inner.datasyncAsync(fd)
      }
    },
  })
  return {
    disk,
    get syncs() {
      return state.syncs
    },
  }
}

const until = async (engine: RatchetEngine, steps: number): Promise<void> => {
  for (let n = 0; n < steps; n++) if (isEnded(await engine.step(1))) return
}

async function countSyncs(format: FormatName): Promise<number> {
  const job = new BenchJob(optionsOf(format))
  const counted = freezing(job.disk, -1, async () => {})
  const engine = machine('a', counted.disk, job.clock)
  await engine.start({ kind: 'backup', spec: job.spec })
  await until(engine, 1000)
  await engine.close()
  return counted.syncs
}

interface Freeze {
  readonly at: number
  /** Steps that the other one makes while the owner is frozen. */
  readonly steps: number
  readonly blind: boolean
  readonly format: FormatName
}

/** What the frozen one was told, in the end. */
async function freeze({ at, steps, blind, format }: Freeze): Promise<string> {
  const job = new BenchJob(optionsOf(format))
  const other = machine('b', job.disk.process(), job.clock)
  let others: Promise<void> = Promise.resolve()
  const { disk } = freezing(job.disk, at, () => {
    job.clock.advance(3600_000)
    others = until(other, steps)
    return others
  })
  const owner = machine('a', disk, job.clock, blind)
  let told = ''
  try {
    await owner.start({ kind: 'backup', spec: job.spec })
    await until(owner, 1000)
  } catch (error) {
    told = codeOf(error)
  }
  await others
  job.clock.advance(3600_000)
  await until(other, 1000)
  await other.close()
  const end = readJob(job.disk, 1)
  expect(end.status, JSON.stringify(end.error)).toBe('completed')
  checkSame(published(job.disk), await golden(optionsOf(format), 1))
  // One that never looks goes on writing a record that nobody reads.
  expect(leftovers(job.disk, end).filter((name) => !blind || name !== 'a third record')).toEqual([])
  await owner.close().catch(() => 'its handles reach what is gone')
  return told
}

describe.each(['zip', 'jpa'] as const)('an owner that was frozen past its lease, packing %s', (format) => {
  it(
    'finds that it was superseded, and the other one ends the job with the same bytes',
    { timeout: 600_000 },
    async () => {
      const syncs = await countSyncs(format)
      let lost = 0
      for (const at of spread(syncs, POINTS, 4)) {
        for (const steps of [1, 3, 1000]) {
          const told = await freeze({ at, steps, blind: false, format })
          expect(['LEASE_LOST', ''], `sync ${at}, ${steps} steps`).toContain(told)
          if (told !== '') lost++
        }
      }
      expect(lost).toBeGreaterThan(POINTS)
    },
  )

  it('does no harm even if it never looks', { timeout: 600_000 }, async () => {
    const syncs = await countSyncs(format)
    for (const at of spread(syncs, POINTS, 5)) {
      for (const steps of [1, 2, 1000]) await freeze({ at, steps, blind: true, format })
    }
  })
})
