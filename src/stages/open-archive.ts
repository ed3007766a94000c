import path from 'node:path'
import { checkEntryPath } from '../archive/safe-path.ts'
import type { ArchiveEntry } from '../archive/format.ts'
import { MANIFEST_FOLDER, MANIFEST_NAME } from '../archive/manifest.ts'
import type { Stage, StageContext, StageFactory, Steps } from '../engine/stage.ts'
import { errnoOf, BackupError } from '../lib/errors.ts'
import type { OpenArchive, Parts } from './parts.ts'
import { copyManifest, endsWithSeal, sealBehind } from './restore/manifest-copy.ts'
import { bucketsFor, compareBucket, noteName } from './restore/names.ts'
import { Selection } from './restore/selection.ts'
import { warmArchive } from './restore/site.ts'
import { makeStaging, stagingName } from './restore/staging.ts'
import { FILES, loadedNames, restoreSlot, restoreSpec, type CountSlot } from './restore/slots.ts'
import { isLoaded } from './restore/plan.ts'
import { foldsCase } from './restore/preview/folds-case.ts'
import { checkTarget, makeTarget, nearestFolder, presentTarget } from './restore/target.ts'
import { displayName } from '../lib/entry-path.ts'

/** Entries counted between two safe points. */
const COUNTED = 2000
/** Content that packs better than this is taken to be mostly zeros, which become holes. */
const DENSE = 64
/** Room for a batch of new files beside the ones they replace. Bytes. */
const IN_PLACE_ROOM = 64 << 20

/** Proves the archive's structure, the target and the limits before the first byte is written; counts; copies the manifest. */
export const openArchiveStage: StageFactory<Parts> = (parts): Stage => ({
  name: 'open-archive',
  domain: 'restore',
  weight: () => 4,
  async *run(ctx): Steps {
    const spec = restoreSpec(ctx)
    const selection = new Selection(spec.patterns)
    const slot = restoreSlot(ctx)
    if (slot.archive === '') checkTarget(ctx, parts.ownPlaces())
    const { archive, identity } = warmArchive(ctx, parts, spec.archive, spec, slot.archive)
    if (slot.archive === '') {
      begin(ctx, archive, identity)
      yield { step: 'opening the archive', durable: true }
    }
    const count = countSlot(ctx)
    yield* countEntries(ctx, archive, selection, count)
    yield* compareNames(ctx, count)
    checkRoom(ctx, count)
    yield* readManifest(ctx, archive, count)
    ctx.expect(count.files, count.bytes)
    if (count.files === 0 && !selection.all) ctx.warn('empty_source', 'no file in the archive matches the patterns')
    if (spec.owners && !parts.root) ctx.warn('metadata', 'owners cannot be set: only root may do that')
    ctx.clearSlot('count')
  },
})

function countSlot(ctx: StageContext): CountSlot {
  return ctx.slot<CountSlot>('count', () => ({
    next: 0,
    files: 0,
    bytes: 0,
    need: 0,
    largest: 0,
    bucket: 0,
    copy: null,
  }))
}

function begin(ctx: StageContext, archive: OpenArchive, identity: string): void {
  const { target, archive: file, dryRun } = restoreSpec(ctx)
  const slot = restoreSlot(ctx)
  if (dryRun === true) {
    slot.target = presentTarget(ctx)
    slot.folded = foldsCase(ctx.disk, nearestFolder(ctx.disk, target))
  } else {
    slot.target = makeTarget(ctx)
    slot.staging = makeStaging(ctx, target)
    slot.folded = isFolded(ctx, target)
  }
  slot.archive = identity
  slot.entries = archive.count
  ctx.setArchive(path.basename(file))
  const part = ctx.part('archive')
  part.status = 'running'
  part.critical = true
  if (archive.salvaged)
    ctx.warn('damaged_entry', `the archive's structure is damaged; ${archive.count} entries were found`)
  for (const { entry, message } of archive.damage) {
    ctx.warn('damaged_entry', entry === null ? message : `${displayName(entry.path)}: ${message}`)
    part.omitted++
  }
}

/** Whether names that differ in case only are one name in the target: the staging folder is asked by another spelling. */
function isFolded(ctx: StageContext, target: string): boolean {
  try {
    ctx.disk.lstat(path.join(target, stagingName(ctx).toUpperCase()))
    return true
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return false
  }
}

async function* countEntries(ctx: StageContext, archive: OpenArchive, selection: Selection, count: CountSlot): Steps {
  let since = 0
  for (const entry of archive.entries(count.next)) {
    countOne(ctx, entry, selection, count)
    count.next = entry.index + 1
    if (++since < COUNTED && !ctx.closing) continue
    since = 0
    yield { step: 'counting', substep: displayName(entry.path), done: count.next, total: archive.count }
  }
}

function countOne(ctx: StageContext, entry: ArchiveEntry, selection: Selection, count: CountSlot): void {
  const slot = restoreSlot(ctx)
  const components = componentsOf(entry)
  if (components === null) return
  if (slot.folded) noteName(ctx, entry.path, entry.index, bucketsFor(slot.entries))
  if (entry.path.toString('latin1') === MANIFEST_NAME && entry.kind === 'file') slot.manifest = entry.index
  if (entry.kind !== 'file' || !selection.has(components, false)) return
  if (isLoaded(loadedNames(restoreSpec(ctx)), components)) return
  if (restoreSpec(ctx).skipInstallation && components[0]?.toString('latin1') === MANIFEST_FOLDER) return
  count.files++
  count.bytes += entry.size
  count.need += Math.min(entry.size, entry.stored * DENSE)
  count.largest = Math.max(count.largest, entry.size)
}

/** Null for an entry that will be refused; extract names it. */
function componentsOf(entry: ArchiveEntry): Buffer[] | null {
  try {
    return entry.refused === undefined ? checkEntryPath(entry.path) : null
  } catch (error) {
    if (error instanceof BackupError && error.code === 'ENTRY_REFUSED') return null
    throw error
  }
}

async function* compareNames(ctx: StageContext, count: CountSlot): Steps {
  const slot = restoreSlot(ctx)
  if (!slot.folded) return
  const buckets = bucketsFor(slot.entries)
  for (; count.bucket < buckets;) {
    if (compareBucket(ctx, count.bucket) > 0) slot.repeats = true
    count.bucket++
    yield { step: 'comparing names', done: count.bucket, total: buckets }
  }
}

function checkRoom(ctx: StageContext, count: CountSlot): void {
  const { target, mode, dryRun } = restoreSpec(ctx)
  // In place, old content goes as new content comes.
  const need = mode === 'inplace' ? Math.min(count.need, count.largest + IN_PLACE_ROOM) : count.need
  if (dryRun === true) {
    restoreSlot(ctx).need = need // said at the end, with all the rest
    return
  }
  const free = ctx.disk.free(target)
  if (free >= need) return
  throw new BackupError('DISK_FULL', `${target} has ${free} bytes free; the restore needs ${need}`, {
    data: { free, need },
  })
}

export async function* readManifest(ctx: StageContext, archive: OpenArchive, count: Pick<CountSlot, 'copy'>): Steps {
  const slot = restoreSlot(ctx)
  if (slot.manifest === null && endsWithSeal(archive)) {
    ctx.warn('damaged_entry', 'the manifest is missing, and its seal is there; nothing is compared with it')
  }
  if (slot.manifest === null || slot.manifestReady) return
  for (const entry of archive.entries(slot.manifest)) {
    count.copy ??= { stored: 0, plain: 0, crc: 0 }
    slot.manifestReady = yield* copyManifest(ctx, archive, entry, count.copy, FILES.manifest)
    if (!slot.manifestReady) slot.manifest = null
    else if (entry.crc === null && sealBehind(archive, entry) === null) {
      ctx.warn('damaged_entry', 'what proves the manifest is missing; it is believed all the same')
    }
    return
  }
}
