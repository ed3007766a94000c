import path from 'node:path'
import { asBackupError, BackupError, errnoOf } from '../lib/errors.ts'
import { syncFolder } from '../lib/durable-file.ts'
import type { Disk, FileStat } from '../lib/disk.ts'
import type { Stage } from '../engine/stage.ts'
import type { BackupParts } from './backup-parts.ts'
import { backupSpec, freeName } from './init.ts'
import { digestOf, finishedParts, type FinishedPart } from './verify.ts'

interface PublishSlot {
  /** Parts that have their final name. */
  renamed: number
  listed: number
}

/** Renames between two safe points. */
const BATCH = 64

/**
 * The finished parts under their final names. From the barrier on there is no way back: a repeated
 * rename finds its source gone and its target there.
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
      ctx.setArchive(freeName(parts, ctx))
      yield { step: 'publishing', durable: true }
    }
    const final = (index: number): string =>
      path.join(spec.output, parts.partName(ctx.job.archive ?? spec.archive, index, all.length))
    while (slot.renamed < all.length) {
      const end = batchEnd(slot.renamed, all.length)
      publishAll(ctx.disk, all.slice(slot.renamed, end), slot.renamed, final)
      slot.renamed = end
      // Before the record can say so: it would believe in names that a power cut takes back.
      syncFolder(ctx.disk, spec.output)
      yield { step: 'publishing', done: slot.renamed, total: all.length }
    }
    for (; slot.listed < all.length; slot.listed++) {
      const part = all[slot.listed]
      if (part === undefined) break
      const file = final(slot.listed)
      ctx.addArtifact({ name: path.basename(file), path: file, size: part.size, sha256: digestOf(ctx, slot.listed) })
    }
    for (const name of ['parts', 'digests']) ctx.drop(name)
    ctx.log('info', `${all.length} file(s) published in ${spec.output}`)
  },
})

/** The last part, which readers open, comes by itself: all others then have their names for good. */
const batchEnd = (from: number, count: number): number =>
  from === count - 1 ? count : Math.min(from + BATCH, count - 1)

function publishAll(disk: Disk, parts: readonly FinishedPart[], first: number, final: (index: number) => string): void {
  for (const [i, part] of parts.entries()) {
    try {
      publish(disk, part, final(first + i))
    } catch (error) {
      throw asBackupError(error, `${final(first + i)} cannot be written`, 'OUTPUT_UNWRITABLE')
    }
  }
}

function publish(disk: Disk, part: FinishedPart, target: string): void {
  const source = statOf(disk, part.path)
  const present = statOf(disk, target)
  if (source === null) {
    if (present?.size === part.size) return // renamed by an attempt that was killed before it was recorded
    throw new BackupError('WORK_FILE_LOST', `${part.path} is gone`)
  }
  if (source.size !== part.size)
    throw new BackupError('WORK_FILE_LOST', `${part.path} has ${source.size} bytes, not ${part.size}`)
  if (present !== null) {
    throw new BackupError('TARGET_EXISTS', `${target} appeared while the backup was running`, {
      hint: 'Move it away; the backup goes on at the next step.',
    })
  }
  disk.rename(part.path, target)
}

function statOf(disk: Disk, file: string): FileStat | null {
  try {
    return disk.lstat(file)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}
