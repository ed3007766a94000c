import path from 'node:path'
import { PROOFS } from '../archive/proofs.ts'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import { removeIfThere, syncFolder } from '../lib/durable-file.ts'
import type { Disk, FileStat } from '../lib/disk.ts'
import type { Stage, StageContext } from '../engine/stage.ts'
import type { BackupParts } from './backup-parts.ts'
import { backupSpec, freeName } from './init.ts'
import { digestOf, finishedParts, type FinishedPart } from './verify.ts'

interface PublishSlot {
  /** Parts that have their final name. */
  renamed: number
  listed: number
}

/** Parts named between two safe points. */
const BATCH = 64

/**
 * The finished parts under their final names. From the barrier on there is no way back: what is repeated
 * finds the new name there, and the old one gone or leading to the same file.
 */
export const publishStage = (parts: BackupParts): Stage => ({
  name: 'publish',
  domain: 'finalization',
  weight: () => 1,
  async *run(ctx) {
    const spec = backupSpec(ctx)
    const all = finishedParts(ctx)
    const begun = ctx.job.slots['publish'] !== undefined
    const slot = ctx.slot<PublishSlot>('publish', () => ({ renamed: 0, listed: 0 }))
    if (!begun) {
      // Another backup may have taken the name meanwhile.
      ctx.setArchive(freeName(parts, ctx, all.length))
      yield { step: 'publishing', durable: true }
    }
    const final = (index: number): string =>
      path.join(spec.output, parts.partName(ctx, ctx.job.archive ?? spec.archive, index, all.length))
    while (slot.renamed < all.length) {
      const end = batchEnd(slot.renamed, all.length)
      if (!publishAll(ctx, all.slice(slot.renamed, end), slot.renamed, final)) {
        // Another backup was faster by a moment: nothing of this one has a name yet.
        ctx.setArchive(freeName(parts, ctx, all.length))
        yield { step: 'publishing', durable: true }
        continue
      }
      slot.renamed = end
      yield { step: 'publishing', done: slot.renamed, total: all.length }
    }
    for (; slot.listed < all.length; slot.listed++) {
      const part = all[slot.listed]
      if (part === undefined) break
      const file = final(slot.listed)
      const ino = String(statOf(ctx.disk, file)?.ino ?? '')
      const sha256 = digestOf(ctx, slot.listed)
      ctx.addArtifact({ name: path.basename(file), path: file, size: part.size, sha256, ino })
    }
    for (const name of ['parts', 'digests']) ctx.drop(name)
    if (PROOFS in ctx.job.files) ctx.drop(PROOFS)
    ctx.log('info', `${all.length} file(s) published in ${spec.output}`)
  },
})

/** The last part, which readers open, comes by itself: all others then have their names for good. */
const batchEnd = (from: number, count: number): number =>
  from === count - 1 ? count : Math.min(from + BATCH, count - 1)

type NameOf = (index: number) => string

/**
 * Gives parts their names. False if the very first one's is taken: then nothing was done. Their old names go only
 * when the new ones are durable, or a power cut could take both.
 */
function publishAll(ctx: StageContext, parts: readonly FinishedPart[], first: number, final: NameOf): boolean {
  const { disk } = ctx
  const folder = path.dirname(final(first))
  let named = first
  try {
    for (const part of parts) {
      const done = publish(disk, part, final(named))
      if (!done && named === 0) return false
      if (!done) throw taken(final(named))
      named++
    }
    // Before the record can say so: it would believe in names that a power cut takes back.
    syncFolder(disk, folder)
    for (const part of parts) removeIfThere(disk, part.path)
  } catch (error) {
    throw asBackupError(error, `the archive cannot be put into ${folder}`, 'OUTPUT_UNWRITABLE')
  }
  return true
}

function taken(target: string): BackupError {
  return new BackupError('TARGET_EXISTS', `${target} appeared while the backup was running`, {
    hint: 'Move it away; the backup goes on at the next step.',
  })
}

/** False if another file has the name. Done already by an attempt that was killed: nothing is done again. */
function publish(disk: Disk, part: FinishedPart, target: string): boolean {
  const source = statOf(disk, part.path)
  const present = statOf(disk, target)
  if (source === null) {
    if (present?.size === part.size) return true
    throw new BackupError('WORK_FILE_LOST', `${part.path} is gone`)
  }
  if (source.size !== part.size)
    throw new BackupError('WORK_FILE_LOST', `${part.path} has ${source.size} bytes, not ${part.size}`)
  if (present !== null) return present.ino === source.ino && present.dev === source.dev
  try {
    disk.link(part.path, target) // unlike a rename it never replaces what another process put there just now
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    if (!NO_LINKS.has(errnoOf(error) ?? '')) throw error
    disk.rename(part.path, target)
  }
  return true
}

/** What file systems answer that know no second names: FAT, many network and user-space ones. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK'])

function statOf(disk: Disk, file: string): FileStat | null {
  try {
    return disk.lstat(file)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}
