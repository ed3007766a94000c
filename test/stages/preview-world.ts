import { expect } from 'vitest'
import { jobPaths } from '../../src/engine/paths.ts'
import type { JobView } from '../../src/engine/job.ts'
import { readPreview, type RestorePreview } from '../../src/engine/restore-preview.ts'
import type { RestoreSpec } from '../../src/engine/spec.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { ensureFolder } from '../../src/lib/durable-file.ts'
import { sample } from '../archive/build.ts'
import { treeOf } from '../helpers/disk-tree.ts'
import { describeCall, faultDisk, type Call } from '../helpers/fault-disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import {
  placeIn,
  putItems,
  restoreSpecOf,
  runJob,
  type RunOptions,
  type TestItem,
  warningsOf,
} from './restore-world.ts'

/** Dry runs of restores, each held against what it promises. */

/** The data folder lies apart, so that every call elsewhere is one of the dry run. */
export const place = { ...placeIn('/w'), data: '/state/data' }
export const text = (content: string): Buffer => Buffer.from(content)
export const file = (name: string | Buffer, content = String(name)): TestItem => ({ name, data: text(content) })
export const folder = (name: string): TestItem => ({ name, kind: 'dir' })
export const link = (name: string, target: string): TestItem => ({ name, kind: 'symlink', data: text(target) })
export const at = (name: string): string => `${place.target}/${name}`
export const inPlace = { mode: 'inplace' } as const

export const SITE: TestItem[] = [
  folder('site'),
  file('site/a.txt', 'hello'),
  folder('site/sub'),
  link('site/link', 'sub/b.bin'),
  { name: 'site/sub/b.bin', data: sample(300_000, 'noise') },
  { name: 'site/sub/big', data: sample(3 << 20), how: 'blocks' },
]

interface Dry {
  readonly job: JobView
  readonly found: RestorePreview
  readonly warnings: string[]
  readonly disk: MemoryDisk
}

/** Whatever changes something outside the data folder, or opens it for that. */
const changesOutside = (call: Call): boolean =>
  (call.changes || (call.mode !== null && call.mode !== 'read' && call.mode !== 'dir')) &&
  !call.path.startsWith('/state/')

export const watchedDisk = (disk: Disk, found: string[]): Disk =>
  faultDisk(disk, {
    counts(call) {
      if (changesOutside(call)) found.push(describeCall(call))
      return false
    },
  })

/** Every dry run of this file is held against it: nothing changes outside the data folder, not even for a moment. */
export async function dryRun(
  disk: MemoryDisk,
  more: Partial<RestoreSpec> = {},
  options: RunOptions = {},
  wrap: (disk: Disk) => Disk = (inner) => inner,
): Promise<Dry> {
  ensureFolder(disk, place.data)
  const before = outside(disk)
  const changes: string[] = []
  const watched = watchedDisk(disk, changes)
  const job = await runJob(wrap(watched), place, restoreSpecOf(place, { dryRun: true, ...more }), options)
  expect(job.error).toBeNull()
  expect(changes).toEqual([])
  expect(outside(disk)).toEqual(before)
  expect(disk.openDescriptors).toBe(0)
  const found = readPreview(disk, jobPaths(place.data), job)
  if (found === null) throw new Error('nothing was found')
  expect(Object.keys(job.files).filter((name) => name !== 'preview')).toEqual([])
  return { job, found, warnings: warningsOf(disk, place), disk }
}

/** All there is but the data folder, with modes and times. */
export function outside(disk: Disk): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [name, content] of Object.entries(treeOf(disk, '/'))) {
    if (name.startsWith('/state')) continue
    const { mode, mtimeNs, ino } = disk.lstat(name)
    found[name] = `${mode} ${mtimeNs} ${ino} ${content}`
  }
  return found
}

export async function dry(
  items: readonly TestItem[],
  more: Partial<RestoreSpec> = {},
  before: (disk: MemoryDisk) => void = () => {},
  options: RunOptions = {},
): Promise<Dry> {
  const disk = new MemoryDisk()
  putItems(disk, place, items)
  before(disk)
  return dryRun(disk, more, options)
}
