import { describe, expect, test } from 'vitest'
import { planOf } from '../../src/engine/plans.ts'
import { JobStore } from '../../src/engine/store.ts'
import { takeStep } from '../../src/engine/take-step.ts'
import { WarmStore } from '../../src/engine/warm.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { readPreview } from '../../src/engine/restore-preview.ts'
import { ensureFolder } from '../../src/lib/durable-file.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { HASTY, processes, putItems, restoreSpecOf, runJob, type RunOptions, stagesWith } from './restore-world.ts'

import { at, dry, file, inPlace, link, outside, place, SITE, text, watchedDisk } from './preview-world.ts'

describe('a dry run in steps', () => {
  const MANY = [
    ...SITE,
    file('../x'),
    link('site/out', '/etc'),
    file('l/x'),
    ...Array.from({ length: 40 }, (_, i) => file(`n/${i}`)),
  ]
  const prepare = (disk: MemoryDisk): void => {
    disk.mkdir(at(''), 0o755)
    disk.symlink(text('/w'), at('l'))
  }

  test.each([true, false])('each at its first safe point finds the same (new process each time: %s)', async (cold) => {
    const whole = await dry(MANY, inPlace, prepare)
    let steps = 0
    const options = { clock: new FakeClock({ perLook: 1 }), cold, between: () => steps++ }
    const cut = await dry(MANY, { ...inPlace, ...HASTY }, prepare, options as RunOptions)
    expect(steps).toBeGreaterThan(40)
    expect({ ...cut.found, free: 0 }).toEqual({ ...whole.found, free: 0 })
    expect(cut.job.parts).toEqual(whole.job.parts)
    expect(cut.job.totals).toEqual(whole.job.totals)
    expect(cut.warnings).toEqual(whole.warnings)
  })

  /** What carries the name of a work folder of this very job: somebody else's, as far as a dry run goes. */
  const planted = (disk: MemoryDisk): Record<string, string> => {
    prepare(disk)
    for (const name of ['-1', '-1-new']) {
      disk.mkdir(at(`.ratchet-20260629-121045-000001${name}`), 0o755)
      putFile(disk, at(`.ratchet-20260629-121045-000001${name}/mine`), 'mine')
    }
    ensureFolder(disk, place.data)
    return outside(disk)
  }
  const spec = restoreSpecOf(place, { dryRun: true, ...inPlace, ...HASTY })

  test('one that is cancelled leaves everything at the target as it was', async () => {
    const disk = new MemoryDisk()
    putItems(disk, place, MANY)
    const before = planted(disk)
    const changes: string[] = []
    const watched = watchedDisk(disk, changes)
    const clock = new FakeClock({ perLook: 1 })
    await runJob(watched, place, spec, { clock, maxSteps: 12 })
    putFile(disk, jobPaths(place.data).cancel(1), '')
    clock.advance(1000)
    const job = await runJob(watched, place, spec, { clock })
    expect([job.id, job.status]).toEqual(['20260629-121045-000001', 'cancelled'])
    expect([changes, outside(disk)]).toEqual([[], before])
  })

  test('one that is taken from an owner who may be alive finds the same, and leaves everything as it was', async () => {
    const whole = await dry(MANY, inPlace, (disk) => void planted(disk))
    const disk = new MemoryDisk()
    putItems(disk, place, MANY)
    const before = planted(disk)
    const changes: string[] = []
    const watched = watchedDisk(disk, changes)
    const clock = new FakeClock({ perLook: 1 })
    const paths = jobPaths(place.data)
    const elsewhere = { ...processes, self: 'other|boot2|7|7|0', boot: 'boot2' }
    const frozen = new JobStore({ disk: watched, clock, processes: elsewhere, paths })
    const stages = stagesWith({}, place)
    const { number } = frozen.create(spec, planOf(spec), null)
    const step = async (store: JobStore): Promise<void> => {
      using warm = new WarmStore()
      await takeStep({ store, stages, warm }, { number }, new AbortController().signal)
    }
    for (let i = 0; i < 200 && frozen.read(number).stage === 0; i++) await step(frozen)
    for (let i = 0; i < 20; i++) await step(frozen)
    expect(frozen.acquire(number, 1000).job.stage).toBe(1)
    clock.advance(10 * 60_000)
    const unknown = { ...processes, state: () => 'unknown' as const }
    const store = new JobStore({ disk: watched, clock, processes: unknown, paths })
    for (let i = 0; i < 500 && store.read(number).status === 'running'; i++) await step(store)
    const job = store.read(number)
    expect([job.status, job.house > 1, job.warnings.total]).toEqual(['completed', true, whole.job.warnings.total + 1])
    expect({ ...readPreview(disk, paths, job), free: 0 }).toEqual({ ...whole.found, free: 0 })
    expect([changes, outside(disk)]).toEqual([[], before])
  })
})
