import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect } from 'vitest'
import { outcome, type JobView } from '../../src/engine/job.ts'
import { realDisk, type DiskPath } from '../../src/lib/disk.ts'
import { buildParts } from '../archive/build.ts'
import { treeOf } from '../helpers/disk-tree.ts'
import {
  placeIn,
  putArchive,
  restoreSpecOf,
  runJob,
  type Place,
  type RunOptions,
  type TestItem,
  warningsOf,
  withManifest,
} from '../stages/restore-world.ts'

/** A folder of its own on the real disk, with a tree beside the target that no restore may touch. */
export interface Arena {
  readonly place: Place
  readonly outside: string
  dispose(): void
}

export function makeArena(): Arena {
  const root = mkdtempSync(path.join(tmpdir(), 'ratchet-hostile-'))
  const outside = path.join(root, 'outside')
  mkdirSync(path.join(outside, 'deep'), { recursive: true })
  writeFileSync(path.join(outside, 'secret'), 'secret', { mode: 0o600 })
  writeFileSync(path.join(outside, 'deep', 'f'), 'f')
  symlinkSync('secret', path.join(outside, 'link'))
  return { place: placeIn(root), outside, dispose: () => rmSync(root, { recursive: true, force: true }) }
}

/** Content, modes, times and links of a tree, and of the folder itself. */
export function fingerprint(top: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [name, content] of [['', 'top'], ...Object.entries(treeOf(realDisk, top))] as [string, string][]) {
    const at: DiskPath = top + name
    const { mode, mtimeNs, ctimeNs, nlink } = realDisk.lstat(at)
    found[name] = `${mode} ${mtimeNs} ${ctimeNs} ${nlink} ${content}`
  }
  return found
}

export interface Restored {
  readonly job: JobView
  readonly warnings: string[]
  readonly tree: Record<string, string>
}

/** `unforeseen`: a dry run cannot know it (damaged content, what is planted later). Else it is held against the restore. */
type HostileOptions = RunOptions & { unforeseen?: boolean }

export async function restoreItems(
  arena: Arena,
  items: readonly TestItem[],
  more: Parameters<typeof restoreSpecOf>[1] = {},
  options: HostileOptions & { manifest?: boolean } = {},
): Promise<Restored> {
  putArchive(realDisk, arena.place, buildParts(options.manifest === true ? withManifest(items) : items))
  return restoreAgain(arena, more, options)
}

/** Restores the archive that is there already. */
export async function restoreAgain(
  arena: Arena,
  more: Parameters<typeof restoreSpecOf>[1] = {},
  options: HostileOptions = {},
): Promise<Restored> {
  const known = options.between === undefined && options.unforeseen !== true
  const foreseen = known ? await foresee(arena, more, options) : null
  const job = await runJob(realDisk, arena.place, restoreSpecOf(arena.place, more), options)
  if (foreseen !== null) expect(foreseen).toEqual(verdictOf(job))
  return { job, warnings: warningsOf(realDisk, arena.place), tree: targetTree(arena) }
}

/** What a dry run says beforehand; it has to leave everything as it is, and to be right. */
async function foresee(
  arena: Arena,
  more: Parameters<typeof restoreSpecOf>[1],
  options: RunOptions,
): Promise<ReturnType<typeof verdictOf>> {
  const place = { ...arena.place, data: `${arena.place.root}/dry` }
  const before = targetTree(arena)
  const job = await runJob(realDisk, place, restoreSpecOf(place, { ...more, dryRun: true }), options)
  expect(targetTree(arena)).toEqual(before)
  rmSync(place.data, { recursive: true })
  return verdictOf(job)
}

function verdictOf(job: JobView): { outcome: string; error: string | undefined; omitted: number; files: number } {
  const [part] = job.parts
  const { code } = job.error ?? {}
  return { outcome: outcome(job), error: code, omitted: part?.omitted ?? 0, files: part?.files ?? 0 }
}

function targetTree(arena: Arena): Record<string, string> {
  try {
    return treeOf(realDisk, arena.place.target)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw error
  }
}
