import { PARTS_FILE } from '../../src/engine/part-list.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { JobStore } from '../../src/engine/store.ts'
import type { JobView } from '../../src/engine/job.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { BenchJob, DATA, OUT, type BenchOptions } from './bench-job.ts'
import { contentOf } from './disk-tree.ts'
import { FakeClock } from './fake-clock.ts'

export type Files = ReadonlyMap<string, Buffer>

/** What stands in the output folder, work folders left out. */
export function published(disk: Disk): Map<string, Buffer> {
  const names = namesIn(disk, OUT).filter((name) => !name.startsWith('.'))
  return new Map(names.map((name) => [name, contentOf(disk, `${OUT}/${name}`)]))
}

const goldens = new Map<string, Promise<Files>>()

/** The archive of an undisturbed run: one process, one step. */
export function golden(options: BenchOptions, number: number): Promise<Files> {
  const { partSize, source, spec } = options
  const key = JSON.stringify([partSize, source, spec, number])
  let found = goldens.get(key)
  if (found === undefined) {
    found = undisturbed({ ...options, slices: 'whole', clock: new FakeClock(), number })
    goldens.set(key, found)
  }
  return found
}

async function undisturbed(options: BenchOptions): Promise<Files> {
  const job = new BenchJob(options)
  const end = await job.drive()
  if (end.status !== 'completed') throw new Error(`the undisturbed job is ${end.status}: ${end.error?.message ?? ''}`)
  return published(job.disk)
}

/** The record as whoever comes next finds it. */
export function readJob(disk: Disk, number: number): JobView {
  const processes = { self: 'reader', boot: 'boot', state: () => 'gone' as const }
  return new JobStore({ disk, clock: new FakeClock(), processes, paths: jobPaths(DATA) }).read(number)
}

/** Throws unless the files are those of the undisturbed run, byte by byte. */
export function checkSame(found: Files, expected: Files): void {
  const names = [...expected.keys()].toSorted().join(', ')
  if ([...found.keys()].toSorted().join(', ') !== names)
    throw new Error(`found ${[...found.keys()].join(', ') || 'nothing'}, not ${names}`)
  for (const [name, bytes] of expected) checkFile(name, found.get(name), bytes)
}

function checkFile(name: string, found: Buffer | undefined, expected: Buffer): void {
  if (found?.equals(expected) === true) return
  const length = Math.min(found?.length ?? 0, expected.length)
  let at = 0
  while (at < length && found?.[at] === expected[at]) at++
  throw new Error(`${name} differs at ${at}: ${found?.length ?? 0} bytes, not ${expected.length}`)
}

/** What an ended job keeps: its record (and the one before), what it was asked for, its log, the list of its files. */
const KEPT = /^(state-\d+\.json|spec\.json|log\.txt|files-\d+)$/

/** Paths that should not be there once the job has ended. */
export function leftovers(disk: Disk, job: JobView): string[] {
  const folder = `${DATA}/jobs/${job.number}`
  const found = namesIn(disk, OUT).filter((name) => name.startsWith('.'))
  const names = namesIn(disk, folder)
  found.push(...names.filter((name) => !KEPT.test(name)))
  if (names.filter((name) => name.startsWith('state-')).length > 2) found.push('a third record')
  for (const side of names.filter((name) => name.startsWith('files-'))) {
    const inside = namesIn(disk, `${folder}/${side}`)
    const kept = job.status === 'completed' ? ['artifacts', PARTS_FILE] : [PARTS_FILE]
    if (inside.length === 0) found.push(side)
    found.push(...inside.filter((name) => !kept.includes(name)))
  }
  return found
}

export function namesIn(disk: Disk, folder: string): string[] {
  return disk
    .readdir(folder)
    .map((name) => name.toString('latin1'))
    .toSorted()
}

/** Throws unless the job completed, its archive is the undisturbed one, and nothing else is left. */
export async function checkCompleted(disk: Disk, job: BenchJob, options: BenchOptions): Promise<void> {
  const { number } = job.told ?? { number: 1 }
  const record = readJob(disk, number)
  if (record.status !== 'completed')
    throw new Error(`the job is ${record.status}: ${record.error?.code ?? ''} ${record.error?.message ?? ''}`)
  if (record.percent !== 100) throw new Error(`${record.percent} % of a completed job`)
  checkSame(published(disk), await golden(options, number))
  await checkCleared(disk, job)
}

/**
 * Nothing is left behind, also after a power cut. Only where a process died within the clearing up and the
 * power failed later may something be back: until the next look at the job.
 */
async function checkCleared(disk: Disk, job: BenchJob): Promise<void> {
  const { number } = job.told ?? { number: 1 }
  const first = job.checks++ === 0
  if (!first && job.crashed && leftovers(disk, readJob(disk, number)).length > 0) {
    await using process = job.boot(disk)
    await job.call(process)
  }
  const left = leftovers(disk, readJob(disk, number))
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
}

/**
 * What must hold at any moment, also right after a crash: every answered step is in the record (R6),
 * and whatever has its final name is whole, the last part only with all others (R8, R9).
 */
export async function checkAnyMoment(disk: Disk, job: BenchJob, options: BenchOptions): Promise<void> {
  job.crashed = true
  if (job.told !== null) {
    const { steps, status } = readJob(disk, job.told.number)
    if (steps < job.told.steps) throw new Error(`step ${job.told.steps} was answered; the record knows ${steps}`)
    if (job.told.ended && status !== 'completed' && job.last?.status === 'completed')
      throw new Error(`told completed; it is ${status}`)
  }
  const found = published(disk)
  if (found.size === 0) return
  const expected = await golden(options, job.told?.number ?? 1)
  for (const [name, bytes] of found) checkFile(name, bytes, expected.get(name) ?? Buffer.alloc(0))
  const last = [...expected.keys()].find((name) => /\.(zip|jpa)$/.test(name))
  if (last !== undefined && found.has(last) && found.size < expected.size) {
    throw new Error(`${last} has its final name, ${expected.size - found.size} other part(s) not yet`)
  }
}
