import { createHash } from 'node:crypto'
import type { StageContext } from '../../engine/stage.ts'
import { asBackupError, BackupError } from '../../lib/errors.ts'
import type { OpenArchive, OpenOptions, Parts } from '../parts.ts'
import { openFolder, orClose, placeOf, samePlace, TargetTree } from './handles.ts'
import { openStaging, type Staging } from './staging.ts'
import { restoreSlot, restoreSpec } from './slots.ts'

/** The archive, kept open between the steps of one process; proven to be the one the job began with (R14). */
export function warmArchive(
  ctx: StageContext,
  parts: Parts,
  lastPart: string,
  options: OpenOptions,
  known: string,
): { archive: OpenArchive; identity: string } {
  const archive = ctx.keep('archive', () => parts.openArchive(ctx.disk, lastPart, options))
  const identity = identityOfArchive(ctx, archive)
  if (known !== '' && known !== identity) {
    ctx.forget('archive')
    throw new BackupError('SOURCE_CHANGED', `${lastPart} is no longer the archive this job began with`, {
      hint: 'Start the job again.',
    })
  }
  return { archive, identity }
}

/** Names, sizes and times of all parts as they lie there now. */
function identityOfArchive(ctx: StageContext, archive: OpenArchive): string {
  const hash = createHash('sha256')
  for (const part of archive.parts) {
    const now = statPart(ctx, part.path)
    hash.update(`${part.name}\0${now.dev}\0${now.ino}\0${now.size}\0${now.mtimeNs}\n`)
  }
  return hash.digest('hex')
}

function statPart(ctx: StageContext, path: string): ReturnType<typeof ctx.disk.stat> {
  try {
    return ctx.disk.stat(path)
  } catch (error) {
    throw asBackupError(error, `${path} can no longer be looked at`, 'ARCHIVE_NOT_FOUND')
  }
}

/** Opens the target by handle and proves that it is the folder the job began with. */
export function openTarget(ctx: StageContext): TargetTree {
  const { target, mode } = restoreSpec(ctx)
  const known = restoreSlot(ctx).target
  let root
  try {
    root = openFolder(ctx.disk, target)
  } catch (error) {
    throw asBackupError(error, `the target ${target} cannot be opened`, 'TARGET_UNWRITABLE')
  }
  orClose(ctx.disk, root.fd, () => {
    if (known !== null && samePlace(known, placeOf(ctx.disk.fstat(root.fd)))) return
    throw new BackupError('TARGET_UNWRITABLE', `the target ${target} was replaced by another folder`)
  })
  return new TargetTree(ctx.disk, root, mode === 'new')
}

/** Everything a step of a restore works with. */
export class Site implements Disposable {
  readonly archive: OpenArchive
  readonly tree: TargetTree
  readonly staging: Staging

  constructor(ctx: StageContext, parts: Parts) {
    const spec = restoreSpec(ctx)
    const slot = restoreSlot(ctx)
    this.archive = warmArchive(ctx, parts, spec.archive, spec, slot.archive).archive
    this.tree = openTarget(ctx)
    try {
      this.staging = openStaging(ctx, this.tree.root, slot)
    } catch (error) {
      this.tree[Symbol.dispose]()
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.staging[Symbol.dispose]()
    this.tree[Symbol.dispose]()
  }
}
