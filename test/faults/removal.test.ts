import { describe, expect, it } from 'vitest'
import type { Removable } from '../../src/engine/services.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { bootProcess } from '../helpers/bench-job.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { copyAgain, fatesOf, isFile, olderFile, putOlder, stateOf } from '../helpers/older-backups.ts'
import { enumerateFaults, type World } from './enumerate.ts'
import { CRASHES, type FaultKind } from './kinds.ts'

/** A backup in three parts, one of them copied since, beside another one: deleted by hand, and killed on the way. */
const PARTS = ['the first part', 'the second', 'the last']
const clock = new FakeClock()

interface Shelf extends World {
  processes: number
}

function build(): Shelf {
  const disk = new MemoryDisk()
  for (const folder of ['/data', '/out']) disk.mkdir(folder, 0o755)
  putOlder(disk, { number: 1, time: 1, files: PARTS })
  putOlder(disk, { number: 2, time: 2 })
  copyAgain(disk, olderFile(1, 1), 'the second')
  return { disk: disk.settle(), processes: 0 }
}

async function remove(disk: Disk, world: Shelf, what: Removable): Promise<void> {
  await using process = bootProcess(disk, clock, `host|boot|${++world.processes}`)
  await process.engine.remove(1, what).catch((error: unknown) => {
    if (!(error instanceof BackupError) || error.code !== 'JOB_NOT_FOUND') throw error
  })
}

const files = (disk: Disk): number => PARTS.filter((_, index) => isFile(disk, olderFile(1, index))).length
const isRecorded = (disk: Disk): boolean => isFile(disk, '/data/jobs/1/spec.json')

function checkOther(disk: Disk): void {
  expect([isFile(disk, olderFile(2)), stateOf(disk, 2)]).toEqual([true, 'kept'])
}

const LEFT: Readonly<Record<Removable, { files: number; record: boolean }>> = {
  both: { files: 0, record: false },
  files: { files: 0, record: true },
  record: { files: 3, record: false },
}

async function enumerate(what: Removable, kinds: readonly FaultKind[]): Promise<number> {
  const { runs } = await enumerateFaults<Shelf>({
    build,
    run: (disk, world) => remove(disk, world, what),
    check(disk) {
      checkOther(disk)
      expect({ files: files(disk), record: isRecorded(disk) }).toEqual(LEFT[what])
      if (what === 'files') expect(stateOf(disk, 1)).toBe('gone')
    },
    checkCrashed(disk) {
      checkOther(disk)
      // Whoever finds the record knows whether the files are whole.
      if (isRecorded(disk) && files(disk) < PARTS.length) expect(stateOf(disk, 1)).toMatch(/^(going|gone)$/)
      if (isRecorded(disk) && stateOf(disk, 1) === 'gone') expect(files(disk)).toBe(0)
    },
    kinds,
    cuts: 3,
  })
  return runs
}

describe('deleting, killed at any call, or with the power cut there', () => {
  it.each(['files', 'record', 'both'] as const)('%s: called again, it ends', { timeout: 600_000 }, async (what) => {
    expect(await enumerate(what, CRASHES)).toBeGreaterThan(100)
  })

  it('is ended by the next start of a server, too', async () => {
    const { disk } = build()
    fatesOf(disk).condemn(1, { by: 'retention', reason: 'a test' })
    disk.unlink(olderFile(1, 0))
    await using process = bootProcess(disk, clock, 'host|boot|1')
    await process.engine.sweep()
    expect([files(disk), stateOf(disk, 1)]).toEqual([0, 'gone'])
    expect((await process.engine.get(1)).standing?.filesRemoved?.by).toBe('retention')
  })
})

describe('freezing and deleting at the same moment', () => {
  it('one of them wins, whatever the order of their calls, and the other is told', async () => {
    const outcomes = new Set<string>()
    for (let pause = 0; pause < 40; pause++) {
      const { disk } = build()
      let calls = 0
      let other: (() => void) | null = (): void => {
        other = null
        try {
          fatesOf(disk).freeze(1, true)
        } catch (error) {
          if (!(error instanceof BackupError)) throw error
        }
      }
      const slow = new Proxy(disk, {
        get(target, key) {
          const value: unknown = Reflect.get(target, key, target)
          if (typeof value !== 'function') return value
          return (...args: unknown[]) => {
            if (++calls > pause) other?.()
            return Reflect.apply(value, target, args) as unknown
          }
        },
      })
      await using process = bootProcess(slow, clock, 'host|boot|1')
      const told = await process.engine.remove(1, 'files').then(
        () => 'removed',
        (error: unknown) => (error instanceof BackupError ? error.code : String(error)),
      )
      other?.()
      const state = stateOf(disk, 1)
      outcomes.add(`${told}, ${state}, ${files(disk)}`)
    }
    expect([...outcomes].toSorted()).toEqual(['FROZEN, frozen, 3', 'removed, gone, 0'])
  })
})
