import path from 'node:path'
import { MANIFEST_NAME, SEAL_NAME } from '../archive/manifest.ts'
import { DEFAULT_LIMITS } from '../archive/reader.ts'
import type { Stage, StageContext, StageFactory, Steps } from '../engine/stage.ts'
import { BackupError } from '../lib/errors.ts'
import { checkEntries } from './check/check-entries.ts'
import { checkParts } from './check/check-parts.ts'
import { CHECK_FILES, checkSlot, noteDamage, verifySpec, type CheckSlot } from './check/slot.ts'
import type { OpenArchive, Parts } from './parts.ts'
import { copyManifest, endsWithSeal, sealBehind } from './restore/manifest-copy.ts'
import { warmArchive } from './restore/site.ts'

/**
 * Proves an archive: every part against its recorded SHA-256, the structure, and every entry's content
 * against CRC and manifest (JPA has no CRC: against the manifest alone). Fails with VERIFY_FAILED, but only when everything damaged has been named.
 */
export const checkArchiveStage: StageFactory<Parts> = (parts): Stage => ({
  name: 'check-archive',
  domain: 'verify',
  weight: () => 1,
  async *run(ctx): Steps {
    const slot = checkSlot(ctx)
    if (slot.phase === 'parts') {
      begin(ctx)
      yield* checkParts(ctx)
      slot.phase = 'open'
      yield { step: 'opening the archive' }
    }
    if (slot.phase !== 'end') {
      const archive = openChecked(ctx, parts, slot)
      if (archive !== null) yield* checkContent(ctx, parts, archive, slot)
      slot.phase = 'end'
      judge(ctx, slot)
      for (const key of ['content', 'entry-hash', 'archive']) ctx.forget(key)
      if (CHECK_FILES.manifest in ctx.job.files) ctx.drop(CHECK_FILES.manifest)
      // What is thrown next must not take what was found with it.
      if (slot.damaged > 0) yield { step: 'checking', durable: true }
    }
    if (slot.damaged > 0) throw new BackupError('VERIFY_FAILED', summary(slot), { data: { damaged: slot.damaged } })
  },
})

function begin(ctx: StageContext): void {
  ctx.setArchive(path.basename(verifySpec(ctx).archive))
  const part = ctx.part('archive')
  part.critical = true
  part.status = 'running'
}

/** Null if it cannot be opened at all; what is wrong is noted. A damaged structure is searched for its entries. */
function openChecked(ctx: StageContext, parts: Parts, slot: CheckSlot): OpenArchive | null {
  const open = (salvage: boolean): OpenArchive => {
    const options = { limits: DEFAULT_LIMITS, salvage }
    const { archive, identity } = warmArchive(ctx, parts, verifySpec(ctx).archive, options, slot.archive)
    slot.archive = identity
    return archive
  }
  try {
    return open(slot.salvaged)
  } catch (error) {
    if (!isDamage(error) || (error.code === 'ARCHIVE_NOT_FOUND' && slot.damaged === 0)) throw error
    noteDamage(ctx, path.basename(verifySpec(ctx).archive), error.message)
    if (slot.salvaged || error.code !== 'ARCHIVE_DAMAGED') return null
  }
  slot.salvaged = true
  try {
    const archive = open(true)
    for (const { entry, message } of archive.damage.slice(1)) noteDamage(ctx, entry?.path ?? 'the archive', message)
    return archive
  } catch (error) {
    if (!isDamage(error)) throw error
    return null
  }
}

function isDamage(error: unknown): error is BackupError {
  const codes = ['ARCHIVE_DAMAGED', 'ARCHIVE_NOT_FOUND', 'ARCHIVE_UNSUPPORTED', 'LIMIT_EXCEEDED']
  return error instanceof BackupError && codes.includes(error.code)
}

async function* checkContent(ctx: StageContext, parts: Parts, archive: OpenArchive, slot: CheckSlot): Steps {
  if (slot.phase === 'open') {
    slot.manifest = findManifest(archive)
    slot.phase = 'manifest'
    yield { step: 'reading the manifest' }
  }
  if (slot.phase === 'manifest') {
    yield* readManifest(ctx, archive, slot)
    slot.phase = 'entries'
    yield { step: 'checking' }
  }
  yield* checkEntries(ctx, parts, archive)
}

/** Ours is the last entry, or only its seal comes after it. */
function findManifest(archive: OpenArchive): number | null {
  for (const entry of archive.entries(Math.max(0, archive.count - 2))) {
    if (entry.kind === 'file' && entry.path.toString('latin1') === MANIFEST_NAME) return entry.index
  }
  return null
}

async function* readManifest(ctx: StageContext, archive: OpenArchive, slot: CheckSlot): Steps {
  if (slot.manifest === null) {
    if (endsWithSeal(archive)) noteDamage(ctx, MANIFEST_NAME, 'it is missing, and its seal is there')
    return
  }
  for (const entry of archive.entries(slot.manifest)) {
    slot.copy ??= { stored: 0, plain: 0, crc: 0 }
    slot.manifestReady = yield* copyManifest(ctx, archive, entry, slot.copy, CHECK_FILES.manifest)
    if (entry.crc !== null) return // where it has one, its content is checked like that of all others
    if (!slot.manifestReady) noteDamage(ctx, entry.path, 'it is not what was written')
    else if (sealBehind(archive, entry) === null) noteDamage(ctx, SEAL_NAME, 'what proves the manifest is missing')
    return
  }
}

function judge(ctx: StageContext, slot: CheckSlot): void {
  const part = ctx.part('archive')
  part.status = slot.damaged === 0 ? 'completed' : 'failed'
  if (slot.damaged > 0) part.error = summary(slot)
}

function summary(slot: CheckSlot): string {
  const more = slot.damaged > slot.names.length ? ` and ${slot.damaged - slot.names.length} more` : ''
  return `${slot.damaged} damaged: ${slot.names.join(', ')}${more}`
}
