import { describe, expect, it } from 'vitest'
import type { HeldJob } from '../../src/engine/held-job.ts'
import { House } from '../../src/engine/house.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { JobStore } from '../../src/engine/store.ts'
import { writeFully, type Disk } from '../../src/lib/disk.ts'
import { ensureFolder, syncFolder } from '../../src/lib/durable-file.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { contentOf } from '../helpers/disk-tree.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { interleave, Program } from '../helpers/interleave.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'
import { sampleSpec } from '../helpers/sample-job.ts'

const SCHEDULES = process.env['RATCHET_LONG'] === '1' ? 5_000 : 120
const YEAR = 365 * 24 * 3600_000

/** Clocks years apart: everybody takes everybody else for dead, and nobody is. */
function storeOf(disk: Disk, n: number): JobStore {
  const self = `host ${n}|boot ${n}|1`
  const processes = {
    self,
    boot: `boot ${n}`,
    state: (owner: string) => (owner === self ? ('ours' as const) : ('unknown' as const)),
  }
  const clock = new FakeClock({ wall: Date.UTC(2026, 0) + n * YEAR })
  return new JobStore({ disk, clock, processes, paths: jobPaths('/data') })
}

const FILES = ['lines', 'out/part-0'] as const

interface Lines {
  epochs: number[]
}

/** One step as the engine makes it: take, move, cut, append, sync, commit. Its epoch if it was told that it counts. */
function appendLine(disk: Disk, n: number): number | null {
  const store = storeOf(disk, n)
  let held: HeldJob
  try {
    held = store.acquire(1, 1000)
  } catch (error) {
    if (error instanceof BackupError && error.code === 'JOB_BUSY') return null
    throw error
  }
  try {
    step(disk, store, held)
    return held.epoch
  } catch (error) {
    // As the engine does: whatever happens to somebody whose job was taken is not the job's affair.
    if (store.superseded(1, held.epoch)) return null
    throw error
  }
}

function step(disk: Disk, store: JobStore, held: HeldJob): void {
  const house = new House(disk, store.deps.paths, held.spec)
  if (held.job.moving) {
    house.move(held.job, held.epoch)
    held.commit(1000)
  }
  held.sweep()
  const { epochs } = held.job.slots['lines'] as unknown as Lines
  for (const key of FILES) append(disk, house.file(held.job, key), held.job.files, key, `line of epoch ${held.epoch}\n`)
  epochs.push(held.epoch)
  held.commit(1000, true)
}

function append(disk: Disk, file: string, lengths: Record<string, number>, key: string, line: string): void {
  const committed = lengths[key] ?? 0
  const fd = disk.open(file, 'update')
  try {
    expect(disk.fstat(fd).size).toBeGreaterThanOrEqual(committed)
    disk.truncate(fd, committed)
    writeFully(disk, fd, Buffer.from(line), committed)
    disk.datasync(fd)
  } finally {
    disk.close(fd)
  }
  lengths[key] = committed + Buffer.byteLength(line)
}

function withJob(): MemoryDisk {
  const disk = new MemoryDisk()
  disk.mkdir('/out', 0o755)
  const store = storeOf(disk, 0)
  const job = store.create(sampleSpec(), ['init'])
  const house = new House(disk, store.deps.paths, sampleSpec())
  for (const place of ['side', 'out'] as const) ensureFolder(disk, house.folder(job, place))
  for (const key of FILES) {
    disk.close(disk.open(house.file(job, key), 'create'))
    syncFolder(disk, house.folder(job, key === 'lines' ? 'side' : 'out'))
  }
  const held = store.acquire(1, 1000)
  held.job.slots['lines'] = { epochs: [] }
  for (const key of FILES) held.job.files[key] = 0
  held.commit(1000, true)
  return disk
}

function checkLines(disk: MemoryDisk, what: string): number[] {
  const store = storeOf(disk, 99)
  const job = store.read(1)
  const { epochs } = job.slots['lines'] as unknown as Lines
  const house = new House(disk, store.deps.paths, job.spec)
  const expected = epochs.map((epoch) => `line of epoch ${epoch}\n`).join('')
  if (job.moving) house.move(job, 1000) // what the next process would do
  for (const key of FILES) {
    const found = contentOf(disk, house.file(job, key)).subarray(0, job.files[key])
    expect(found.toString(), `${what}: ${key}`).toBe(expected)
  }
  return epochs
}

describe('a house that is moved', () => {
  it('shows nothing of what a late owner does, in any order of the calls of four', () => {
    let counted = 0
    let refused = 0
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      const disk = withJob()
      const programs = [1, 2, 3, 4].map((n) => new Program(String(n), disk, (d) => appendLine(d, n)))
      interleave(programs, seeded(seed))
      for (const { error } of programs)
        if (error !== null) throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      const told = programs.map((program) => program.result?.value ?? null).filter((epoch) => epoch !== null)
      // Told means counted. Who is told that it lost may still have counted: it repeats itself and is answered.
      expect(checkLines(disk, `seed ${seed}`), `seed ${seed}`).toEqual(expect.arrayContaining(told))
      counted += told.length
      refused += 4 - told.length
    }
    expect(counted).toBeGreaterThan(SCHEDULES)
    expect(refused).toBeGreaterThan(SCHEDULES / 2)
  })

  it('is moved by the next one if whoever moved it died anywhere on the way', () => {
    const whole = new Program('x', withJob(), (d) => appendLine(d, 1))
    let calls = 0
    for (; !whole.done; calls++) whole.step()
    for (let at = 1; at < calls; at++) {
      const disk = withJob()
      appendLine(disk, 1)
      const dying = new Program('dying', disk, (d) => appendLine(d, 2))
      for (let n = 0; n < at && !dying.done; n++) dying.step()
      expect(appendLine(disk, 3), `call ${at}`).not.toBeNull()
      checkLines(disk, `call ${at}`)
      // It wakes up, long after, and goes on from where it was.
      while (!dying.done) dying.step()
      checkLines(disk, `call ${at}, awake`)
      expect(appendLine(disk, 4), `call ${at}`).not.toBeNull()
      checkLines(disk, `call ${at}, and on`)
    }
  })
})
