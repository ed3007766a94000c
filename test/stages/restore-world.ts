import path from 'node:path'
import { createCodec } from '../../src/archive/codec.ts'
import {
  encodeManifestLine,
  MANIFEST_NAME,
  SEAL_NAME,
  SUMMARY_NAME,
  type ManifestLine,
} from '../../src/archive/manifest.ts'
import { jpa } from '../../src/archive/jpa.ts'
import { openArchive } from '../../src/archive/open-archive.ts'
import { zip } from '../../src/archive/zip.ts'
import type { JobView } from '../../src/engine/job.ts'
import type { ProcessTable } from '../../src/engine/owner.ts'
import { jobPaths } from '../../src/engine/paths.ts'
import { planOf } from '../../src/engine/plans.ts'
import type { JobSpec, Pacing, RestoreSpec, VerifySpec } from '../../src/engine/spec.ts'
import type { Stage, StageName } from '../../src/engine/stage.ts'
import { JobStore } from '../../src/engine/store.ts'
import { takeStep } from '../../src/engine/take-step.ts'
import { WarmStore } from '../../src/engine/warm.ts'
import { isEnded } from '../../src/engine/job.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { ensureFolder } from '../../src/lib/durable-file.ts'
import type { Disk, DiskPath } from '../../src/lib/disk.ts'
import { writeFully } from '../../src/lib/disk.ts'
import { checkArchiveStage } from '../../src/stages/check-archive.ts'
import { extractStage } from '../../src/stages/extract.ts'
import { finishRestoreStage } from '../../src/stages/finish-restore.ts'
import { openArchiveStage } from '../../src/stages/open-archive.ts'
import type { Parts } from '../../src/stages/parts.ts'
import { previewRestoreStage } from '../../src/stages/preview-restore.ts'
import { buildParts, type Item } from '../archive/build.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { createHash } from 'node:crypto'

/** Restore and verify jobs on any disk, by the engine's own steps, in this thread. */

export interface Place {
  /** Folder in which everything lies. */
  readonly root: string
  readonly data: string
  readonly archive: string
  readonly target: string
}

export function placeIn(root: string, format: 'zip' | 'jpa' = 'zip'): Place {
  return { root, data: `${root}/data`, archive: `${root}/backups/a.${format}`, target: `${root}/target` }
}

const MIB = 1 << 20
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()

/** As the manifest writes it. */
export function digestOf(data: Buffer, blocks = data.length > 16 * MIB): string {
  if (!blocks) return `sha256:${sha256(data).toString('hex')}`
  const outer = createHash('sha256')
  for (let at = 0; at < data.length; at += MIB) outer.update(sha256(data.subarray(at, at + MIB)))
  return `sha256-1m:${outer.digest('hex')}`
}

export interface TestItem extends Item {
  /** Nanoseconds since 1970; default: the item's `mtime`. */
  readonly mtimeNs?: bigint
  readonly uid?: number
  readonly gid?: number
  readonly xattrs?: Record<string, string>
  /** Of several names of one file. */
  readonly group?: string
  /** The digest is over blocks, as for files above 16 MiB. */
  readonly blocks?: boolean
  /** Changes the manifest's line, or leaves it out (null). */
  readonly line?: ((line: ManifestLine) => ManifestLine) | null
}

export function manifestLine(item: TestItem): ManifestLine {
  const kind = item.kind ?? 'file'
  const data = item.data ?? Buffer.alloc(0)
  return {
    path: Buffer.isBuffer(item.name) ? item.name : Buffer.from(item.name),
    type: kind,
    size: kind === 'dir' ? 0 : data.length,
    mtimeNs: item.mtimeNs ?? BigInt(item.mtime ?? 1_700_000_000) * 1_000_000_000n,
    mode: item.mode ?? { file: 0o100644, dir: 0o40755, symlink: 0o120777 }[kind],
    uid: item.uid ?? 0,
    gid: item.gid ?? 0,
    digest: kind === 'dir' ? null : digestOf(data, item.blocks),
    ...(item.xattrs === undefined ? {} : { xattrs: item.xattrs }),
    ...(item.group === undefined ? {} : { group: item.group }),
  }
}

/** The same items with our manifest behind them, and the seal where the format needs one. */
export function withManifest(items: readonly TestItem[], sealed = false): Item[] {
  const lines = items.flatMap((item) => {
    if (item.line === null) return []
    const line = manifestLine(item)
    return [encodeManifestLine(item.line === undefined ? line : item.line(line)) + '\n']
  })
  const own = [
    { name: SUMMARY_NAME, data: Buffer.from('{"format":1}\n') },
    { name: MANIFEST_NAME, data: Buffer.from(lines.join('')) },
  ]
  const seal = own.map((item) => `${encodeManifestLine(manifestLine(item))}\n`).join('')
  return [...items, ...own, ...(sealed ? [{ name: SEAL_NAME, data: Buffer.from(seal) }] : [])]
}

export function writeFile(disk: Disk, file: DiskPath, bytes: Uint8Array): void {
  const fd = disk.open(file, 'create')
  writeFully(disk, fd, bytes, 0)
  disk.fsync(fd)
  disk.close(fd)
}

/** Puts an archive beside the target; returns its parts' names with size and digest. */
export function putArchive(disk: Disk, place: Place, parts: readonly Buffer[]): VerifySpec['expected'] {
  const folder = path.dirname(place.archive)
  ensureFolder(disk, folder)
  const { partName } = place.archive.endsWith('.jpa') ? jpa : zip
  const names = parts.map((_, i) => partName('a', i, parts.length))
  for (const [i, bytes] of parts.entries()) writeFile(disk, `${folder}/${names[i]}`, bytes)
  const fd = disk.open(folder, 'dir')
  disk.fsync(fd)
  disk.close(fd)
  return parts.map((bytes, i) => ({ name: names[i] ?? '', size: bytes.length, sha256: sha256(bytes).toString('hex') }))
}

export function putItems(
  disk: Disk,
  place: Place,
  items: readonly TestItem[],
  options: { partSize?: number; manifest?: boolean } = {},
): VerifySpec['expected'] {
  const format = place.archive.endsWith('.jpa') ? jpa : zip
  const all = options.manifest === false ? items : withManifest(items, format === jpa)
  return putArchive(disk, place, buildParts(all, options.partSize ?? 0, format))
}

const COMMON = { profile: 0, description: '', comment: '', pacing: { minMs: 0, maxMs: 60_000, bias: 100 } }
export const LIMITS = { ratio: 1000, entries: 1_000_000, bytes: Number.MAX_SAFE_INTEGER }

export function restoreSpecOf(place: Place, more: Partial<RestoreSpec> = {}): RestoreSpec {
  return {
    kind: 'restore',
    ...COMMON,
    archive: place.archive,
    target: place.target,
    mode: 'new',
    patterns: [],
    salvage: false,
    owners: false,
    setuid: false,
    outsideLinks: false,
    skipInstallation: true,
    limits: LIMITS,
    ...more,
  }
}

export function verifySpecOf(
  place: Place,
  expected: VerifySpec['expected'] = [],
  more: Partial<VerifySpec> = {},
): VerifySpec {
  return { kind: 'verify', ...COMMON, archive: place.archive, expected, ...more }
}

/** With a clock that goes on at every look: each step ends at its first safe point. */
export const HASTY = { pacing: { minMs: 0, maxMs: 1, bias: 100 } } as const

export interface RunOptions {
  readonly clock?: Clock
  readonly parts?: Partial<Parts>
  /** A new process for every step (nothing is kept warm). Default true. */
  readonly cold?: boolean
  /** Called after each step that has not ended the job. */
  readonly between?: (step: number) => void
  readonly maxSteps?: number
  readonly pacing?: Partial<Pacing>
}

export const processes: ProcessTable = { self: 'test|boot|1|1|0', boot: 'boot', state: () => 'gone' }

export function storeOn(disk: Disk, place: Place, clock: Clock): JobStore {
  return new JobStore({ disk, clock, processes, paths: jobPaths(place.data) })
}

export function stagesWith(more: Partial<Parts>, place: Place): Record<StageName, Stage> {
  const codec = createCodec({ threads: 0 })
  const parts: Parts = {
    openArchive,
    codec: () => codec,
    ownPlaces: () => [place.data],
    setfattr: null,
    flush: null,
    run: () => {
      throw new Error('no program is to be started')
    },
    root: false,
    openLoad: () => Promise.reject(new Error('no server is to be asked')),
    ...more,
  }
  const stages = {
    'open-archive': openArchiveStage(parts),
    extract: extractStage(parts),
    'finish-restore': finishRestoreStage(parts),
    'preview-restore': previewRestoreStage(parts),
    'check-archive': checkArchiveStage(parts),
  }
  return stages as Record<StageName, Stage> // jobs of other kinds are not run here
}

/** Steps a job to its end; begins it if there is none yet. */
export async function runJob(disk: Disk, place: Place, spec: JobSpec, options: RunOptions = {}): Promise<JobView> {
  const clock = options.clock ?? new FakeClock()
  const store = storeOn(disk, place, clock)
  const stages = stagesWith(options.parts ?? {}, place)
  const number = store.numbers().at(-1) ?? store.create(spec, planOf(spec), null).number
  let warm = new WarmStore()
  try {
    for (let step = 1; step <= (options.maxSteps ?? 2000); step++) {
      await takeStep({ store, stages, warm }, { number, pacing: options.pacing ?? {} }, new AbortController().signal)
      const job = store.read(number)
      if (isEnded(job)) return job
      if (options.cold !== false) {
        warm[Symbol.dispose]()
        warm = new WarmStore()
      }
      options.between?.(step)
    }
  } finally {
    warm[Symbol.dispose]()
  }
  return store.read(number)
}

/** All warnings of a job: they are lines of its log. */
export function warningsOf(disk: Disk, place: Place, number = 1): string[] {
  const file = `${place.data}/jobs/${number}/log.txt`
  const fd = disk.open(file, 'read')
  try {
    const bytes = Buffer.alloc(disk.fstat(fd).size)
    disk.read(fd, bytes, 0, bytes.length, 0)
    return bytes
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { level: number; msg: string })
      .filter((line) => line.level === 40)
      .map((line) => line.msg)
  } finally {
    disk.close(fd)
  }
}
