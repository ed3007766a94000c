import type { StageContext } from '../../engine/stage.ts'
import type { Metadata } from './metadata.ts'
import type { ExtractSlot } from './slots.ts'

/** Owner first: changing it takes the setuid bits away. */
export function applyMetadata(ctx: StageContext, fd: number, metadata: Metadata): void {
  const { disk } = ctx
  if (metadata.uid !== null && metadata.gid !== null) disk.fchown(fd, metadata.uid, metadata.gid)
  disk.fchmod(fd, metadata.mode)
  if (metadata.mtime !== null) disk.futimes(fd, metadata.mtime, metadata.mtime)
}

/** Said once per restore. */
export function sayNotKept(ctx: StageContext, slot: Pick<ExtractSlot, 'metadata'>): void {
  if (slot.metadata++ > 0) return
  const hint = 'setfattr is not installed, or the file system does not take them'
  ctx.warn('not_restored', `extended attributes of some files could not be set (${hint})`)
}
