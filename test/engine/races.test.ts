import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemProcesses } from '../../src/engine/owner.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { JobStore } from '../../src/engine/store.ts'
import { createFileOnce } from '../../src/lib/durable-file.ts'
import { realDisk, type Disk, type DiskPath } from '../../src/lib/disk.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { systemError } from '../helpers/break-disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { SpineWorld } from './spine-world.ts'

/** Something happens once, just before the next file gets its name. */
class RacingDisk extends MemoryDisk {
  before: ((from: DiskPath) => void) | null = null

  override link(from: DiskPath, to: DiskPath): void {
    const act = this.before
    this.before = null
    act?.(from)
    super.link(from, to)
  }
}

describe('races', () => {
  it('a file made once is made although somebody sweeps its temporary name away', () => {
    const disk = new RacingDisk()
    disk.before = (from) => disk.unlink(from)
    disk.mkdir('/d', 0o700)
    expect(createFileOnce(disk, '/d/cancel', Buffer.from('x'))).toBe(true)
    expect(disk.readdir('/d').map(String)).toEqual(['cancel'])
    expect(createFileOnce(disk, '/d/cancel', Buffer.from('y'))).toBe(false)
  })

  it('a slow owner that commits while it is taken over keeps what it was told', () => {
    const disk = new RacingDisk()
    const clock = new FakeClock({})
    const storeOf = (name: string): JobStore => {
      const processes = { self: `host|boot|${name}`, boot: 'boot', state: () => 'unknown' as const }
      return new JobStore({ disk, clock, processes, paths: jobPaths('/data') })
    }
    const slow = storeOf('slow')
    slow.create(sampleSpec(), ['init'])
    const held = slow.acquire(1, 1000)
    clock.advance(60_000)
    // The other has read the record and is about to create its own.
    disk.before = () => {
      held.job.steps = 1
      held.commit(1000)
    }
    expect(storeOf('other').acquire(1, 1000).job.steps).toBe(1)
    expect(slow.read(1).steps).toBe(1)
    held.job.steps = 2
    expect(() => held.commit(1000, true)).toThrow('was taken over')
    expect(slow.read(1).steps).toBe(1)
  })

  it('two data folders may begin the same id for the same output', async () => {
    await using world = new SpineWorld()
    const wall = Date.now()
    const folders = ['one', 'two'].map((name) => {
      const store = new JobStore({
        disk: realDisk,
        clock: new FakeClock({ wall }),
        processes: systemProcesses(realDisk),
        paths: jobPaths(path.join(world.folder, name)),
      })
      return store.create(world.spec(), ['init', 'pack', 'seal', 'verify', 'publish'])
    })
    expect(folders[0]?.id).toBe(folders[1]?.id)
    const apps = [await world.app({ data: 'one' }), await world.app({ data: 'two' })]
    for (let n = 0; n < 40; n++) for (const app of apps) await app.engine.step(1, { pacing: { maxMs: 1 } })
    for (const app of apps) expect((await app.engine.get(1)).status).toBe('completed')
    expect(fs.readdirSync(world.output).toSorted()).toEqual(['site-2.zip', 'site.zip'])
  })

  it('what cannot be swept does not keep a server from starting', async () => {
    await using world = new SpineWorld()
    let broken = false
    const disk: Disk = {
      ...realDisk,
      readdir(folder) {
        if (broken && String(folder) === world.output) throw systemError('EIO', 'readdir')
        return realDisk.readdir(folder)
      },
    }
    const app = await world.app({ disk })
    const job = await app.engine.start({
      kind: 'backup',
      spec: world.spec({ pacing: { minMs: 0, maxMs: 1, bias: 100 } }),
    })
    expect(job.status).toBe('running')
    const old = new JobStore({
      disk: realDisk,
      clock: new FakeClock({ wall: Date.now() + 8 * 24 * 3600_000 }),
      processes: systemProcesses(realDisk),
      paths: jobPaths(app.dataDir),
    })
    expect(old.numbers()).toEqual([1])
    broken = true
    const now = Date.now
    Date.now = () => now() + 8 * 24 * 3600_000
    try {
      await app.engine.sweep() // whether it could be swept or not: nothing is thrown
    } finally {
      Date.now = now
    }
    expect(await app.engine.get(1).catch((e: unknown) => e)).not.toBeInstanceOf(BackupError)
  })
})
