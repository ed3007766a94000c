import path from 'node:path'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import { failPart } from '../engine/job.ts'
import { ensureFolder } from '../lib/durable-file.ts'
import type { Disk, FileStat } from '../lib/disk.ts'
import type { Stage, StageContext, Steps } from '../engine/stage.ts'
import type { BackupSpec, SourceSpec } from '../engine/spec.ts'
import type { BackupParts } from './backup-parts.ts'
import {
  databasesOf,
  failDatabase,
  findDatabase,
  isOpen,
  labelsOf,
  liesInSource,
  namedDatabases,
  sourcesOf,
  type NamedDatabase,
} from './named-databases.ts'

/** Room without which beginning makes no sense. */
const LEAST_ROOM = 1 << 20

interface InitSlot {
  checked: boolean
  source: number
  files: number
  bytes: number
}

/** Refuses what cannot work before any source is read, settles the names, and counts. */
export const initStage = (parts: BackupParts): Stage => ({
  name: 'init',
  domain: 'init',
  weight: () => 2,
  async *run(ctx) {
    const spec = backupSpec(ctx)
    const slot = ctx.slot<InitSlot>('init', () => ({ checked: false, source: 0, files: 0, bytes: 0 }))
    if (!slot.checked) {
      prepare(parts, spec, ctx)
      slot.checked = true
      yield { step: 'settings checked' }
    }
    yield* count(parts, spec, slot, ctx)
    countDatabases(parts, spec, slot, ctx)
    ctx.expect(slot.files, slot.bytes)
    ctx.log('info', `${slot.files} files, ${slot.bytes} bytes to back up`)
    ctx.clearSlot('init')
  },
})

export function backupSpec(ctx: StageContext): BackupSpec {
  if (ctx.spec.kind !== 'backup') throw new BackupError('INTERNAL', `a ${ctx.spec.kind} job has no backup stages`)
  return ctx.spec
}

function prepare(parts: BackupParts, spec: BackupSpec, ctx: StageContext): void {
  if (sourcesOf(spec).length + databasesOf(spec).length === 0) {
    throw new BackupError('BAD_REQUEST', 'there is nothing to back up: the profile names no source', {
      hint: 'Add a source or a database to the profile, or name a folder.',
    })
  }
  if (spec.archive === '' || path.basename(spec.archive) !== spec.archive) {
    throw new BackupError('BAD_REQUEST', `"${spec.archive}" is no file name for an archive`)
  }
  const output = openOutput(ctx.disk, spec.output)
  for (const [i, label] of labelsOf(parts, spec).entries()) {
    const source = sourcesOf(spec)[i]
    if (source === undefined) continue
    const part = ctx.part(label)
    part.critical = source.critical ?? true
    try {
      checkSource(ctx.disk, source, output)
    } catch (error) {
      if (part.critical) throw error
      failSource(ctx, label, asBackupError(error, source.path, 'SOURCE_UNREADABLE'))
    }
  }
  for (const database of namedDatabases(parts, ctx, spec)) checkDatabase(ctx, database)
  ctx.setArchive(freeName(parts, ctx))
}

function checkDatabase(ctx: StageContext, database: NamedDatabase): void {
  database.part.critical = database.critical
  try {
    findDatabase(ctx, database)
  } catch (error) {
    failDatabase(ctx, database, asBackupError(error, database.spec.path, 'SOURCE_UNREADABLE'))
  }
}

/** Marks a source as failed: the run goes on and ends `partial`. */
export function failSource(ctx: StageContext, label: string, error: BackupError): void {
  failPart(ctx.part(label), error)
  ctx.warn('omitted', `source ${label}: ${error.message}`)
}

/** The source itself is not there any more, or closed to us. */
export function isLostSource(error: unknown): error is BackupError {
  return error instanceof BackupError && (error.code === 'SOURCE_NOT_FOUND' || error.code === 'SOURCE_UNREADABLE')
}

function openOutput(disk: Disk, output: string): FileStat {
  try {
    ensureFolder(disk, output)
    if (disk.free(output) < LEAST_ROOM) {
      throw new BackupError('DISK_FULL', `the output folder ${output} has no room left`)
    }
    return disk.stat(output)
  } catch (error) {
    throw asBackupError(error, `the output folder ${output} cannot be used`, 'OUTPUT_UNWRITABLE')
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function checkSource(disk: Disk, source: SourceSpec, output: FileStat): void {
  let stat: FileStat
  try {
    stat = disk.stat(source.path)
  } catch (error) {
    const code = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR' ? 'SOURCE_NOT_FOUND' : 'SOURCE_UNREADABLE'
    throw new BackupError(code, `the source ${source.path} cannot be opened: ${reason(error)}`, { cause: error })
  }
  if (stat.kind !== 'dir' && stat.kind !== 'file') {
    throw new BackupError('SOURCE_UNREADABLE', `the source ${source.path} is neither a folder nor a file`)
  }
  if (stat.dev === output.dev && stat.ino === output.ino) {
    throw new BackupError('OUTPUT_IS_SOURCE', `${source.path} is the source and the output at once`)
  }
  if (stat.kind !== 'dir') return
  try {
    disk.opendir(source.path).close()
  } catch (error) {
    throw new BackupError('SOURCE_UNREADABLE', `the source ${source.path} cannot be read: ${reason(error)}`, {
      cause: error,
    })
  }
}

/**
 * The wished name, or with `-2`, `-3` … where an archive of that name stands already, or a leftover that readers would
 * take for a part of ours: they count up until a name is missing. `count`: parts the archive has, once that is known.
 */
export function freeName(parts: BackupParts, ctx: StageContext, count = 1): string {
  const { disk, job } = ctx
  const spec = backupSpec(ctx)
  const wished = spec.archive.replaceAll('[number]', String(job.number).padStart(6, '0'))
  const isThere = (base: string, index: number, of: number): boolean =>
    exists(disk, path.join(spec.output, parts.partName(ctx, base, index, of)))
  const isTaken = (base: string): boolean => {
    if (isThere(base, 0, 1) || isThere(base, 0, 2) || isThere(base, count - 1, count + 1)) return true
    for (let index = 1; index < count; index++) if (isThere(base, index, count)) return true
    return false
  }
  for (let n = 1; ; n++) {
    const base = n === 1 ? wished : `${wished}-${n}`
    if (!isTaken(base)) return base
  }
}

function exists(disk: Disk, file: string): boolean {
  try {
    disk.lstat(file)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw asBackupError(error, `the output folder ${path.dirname(file)} cannot be used`, 'OUTPUT_UNWRITABLE')
  }
}

async function* count(parts: BackupParts, spec: BackupSpec, slot: InitSlot, ctx: StageContext): Steps {
  const sources = sourcesOf(spec)
  const labels = labelsOf(parts, spec)
  const own = parts.ownPlaces(ctx)
  for (; slot.source < sources.length; slot.source++) {
    const source = sources[slot.source]
    const label = labels[slot.source]
    if (source === undefined || label === undefined || ctx.part(label).status === 'failed') continue
    try {
      yield* parts.countSource(source, label, own, ctx, (files, bytes) => {
        slot.files += files
        slot.bytes += bytes
      })
    } catch (error) {
      if (ctx.part(label).critical || !isLostSource(error)) throw error
      failSource(ctx, label, error)
    }
  }
}

/** Those that no source holds come on top. One that is gone since it was checked is told in its turn. */
function countDatabases(parts: BackupParts, spec: BackupSpec, slot: InitSlot, ctx: StageContext): void {
  for (const database of namedDatabases(parts, ctx, spec).filter(isOpen)) {
    try {
      const { file, stat } = findDatabase(ctx, database)
      if (liesInSource(ctx, spec, file)) continue
      slot.files++
      slot.bytes += stat.size
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
    }
  }
}
