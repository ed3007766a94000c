import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { systemProcesses } from '../../src/engine/owner.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { planOf } from '../../src/engine/plans.ts'
import type { BackupSpec, JobSpec } from '../../src/engine/spec.ts'
import { JobStore } from '../../src/engine/store.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { realDisk } from '../../src/lib/disk.ts'
import type { Random } from '../helpers/random.ts'
import { sampleSpec } from '../helpers/sample-job.ts'

export const LONG = process.env['RATCHET_LONG'] === '1'
/** All runs are replayed from one number; each test prints its own on failure. */
export const SEED = Number(process.env['RATCHET_SEED'] ?? Date.now() % 1_000_000_000)

/** Runs in a new folder, which is removed if all went well and named together with the seed if not. */
export async function inFolder<T>(what: string, seed: number, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'ratchet-faults-'))
  try {
    const result = await work(folder)
    fs.rmSync(folder, { recursive: true, force: true })
    return result
  } catch (error) {
    console.error(`${what}: failed with RATCHET_SEED=${seed}; what is left lies in ${folder}`)
    throw error
  }
}

/** All jobs are made at one moment: their archives, which name it, can then be compared byte by byte. */
const CREATED = Date.now() - 60_000

/** A job folder as a process sees it that only looks. */
export function storeIn(dataDir: string, wall: () => number = () => systemClock.wall()): JobStore {
  return new JobStore({
    disk: realDisk,
    clock: { ...systemClock, wall },
    processes: systemProcesses(realDisk),
    paths: jobPaths(dataDir),
  })
}

export interface Place {
  readonly dataDir: string
  readonly output: string
}

export function placeIn(folder: string, name: string): Place {
  return { dataDir: path.join(folder, name, 'data'), output: path.join(folder, name, 'out') }
}

/** Writes a job down that nobody has stepped yet: always number 1, always with the same id and start. */
export function createJob(place: Place, source: string, changes: Partial<BackupSpec> = {}): void {
  const spec = sampleSpec({
    sources: [{ type: 'directory', path: source, xattrs: false }],
    output: place.output,
    ...changes,
  })
  createJobOf(place, spec)
}

export function createJobOf(place: Place, spec: JobSpec): void {
  const store = storeIn(place.dataDir, () => CREATED)
  const { number } = store.create(spec, planOf(spec))
  if (number !== 1) throw new Error(`the job got number ${number}`)
}

/** What lies in a folder: name → SHA-256 of its content. */
export function contentOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {}
  if (!fs.existsSync(folder)) return found
  for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name)
    const name = path.relative(folder, file)
    found[name] = entry.isFile() ? createHash('sha256').update(fs.readFileSync(file)).digest('hex') : 'folder'
  }
  return found
}

/** Everything in a job's folder that has no business there once the job has ended. */
export function strays(place: Place, completed: boolean): string[] {
  const folder = path.join(place.dataDir, 'jobs', '1')
  const job = storeIn(place.dataDir).read(1)
  const epochs = fs.readdirSync(folder).filter((name) => /^state-\d+\.json$/.test(name))
  const newest = epochs.map((name) => Number(/\d+/.exec(name)?.[0])).toSorted((a, b) => b - a)
  const allowed = new Set(['spec.json', 'log.txt', 'cancel', ...newest.slice(0, 2).map((n) => `state-${n}.json`)])
  if (completed) for (const name of [`files-${job.house}`, `files-${job.house}/artifacts`]) allowed.add(name)
  const inJob = Object.keys(contentOf(folder)).filter((name) => !allowed.has(name))
  const inJobs = fs.readdirSync(path.dirname(folder)).filter((name) => name !== '1')
  const inOutput = fs.existsSync(place.output)
    ? fs.readdirSync(place.output).filter((name) => name.startsWith('.'))
    : []
  return [...inJob, ...inJobs, ...inOutput]
}

/** A tree of files of all sizes; `large` adds files so long that kills fall inside them. */
export function makeCorpus(folder: string, random: Random, large: boolean): void {
  const write = (name: string, size: number, noise: number): void => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    fs.writeFileSync(path.join(folder, name), content(random, size, noise))
  }
  for (let i = 0; i < (large ? 400 : 60); i++) write(`small/d${i % 17}/${i}.txt`, random.int(20_000), 0.3)
  for (const [i, size] of [0, 1, 4095, 65_536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1].entries())
    write(`edge/${i}`, size, 0.5)
  for (let i = 0; i < (large ? 6 : 1); i++) write(`middle/${i}`, 300_000 + random.int(600_000), i % 2)
  write(`several-blocks`, 2_500_000, 0.5)
  if (large) {
    write('a-large one', 6 * (1 << 20) + 12_345, 0.6)
    write('zz-larger', 20 * (1 << 20) + 1, 0.5)
  }
  fs.mkdirSync(path.join(folder, 'empty'))
  fs.symlinkSync('edge/3', path.join(folder, 'link'))
}

/** Runs of noise among runs of text: `noise` is the share that does not compress. */
function content(random: Random, size: number, noise: number): Buffer {
  const bytes = Buffer.alloc(size, `every click holds ${random.int(1e9)}\n`)
  const piece = random.bytes(4096)
  for (let at = 0; at < size; at += 4096) {
    if (!random.chance(noise)) continue
    piece.writeUInt32LE(random.int(2 ** 32), random.int(4092))
    for (let i = 0; i < 4096; i += 16) piece.writeUInt32LE(random.int(2 ** 32), i)
    piece.copy(bytes, at)
  }
  return bytes
}
