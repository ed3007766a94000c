import type { StageContext } from '../../engine/stage.ts'
import { displayName } from '../../lib/entry-path.ts'
import { stripped, type Metadata, type MetadataRules } from './metadata.ts'
import type { Item } from './plan.ts'
import type { ExtractSlot } from './slots.ts'

/** Owner first: changing it takes the setuid bits away. */
export function applyMetadata(ctx: StageContext, fd: number, metadata: Metadata): void {
  const { disk } = ctx
  if (metadata.uid !== null && metadata.gid !== null) disk.fchown(fd, metadata.uid, metadata.gid)
  disk.fchmod(fd, metadata.mode)
  if (metadata.mtime !== null) disk.futimes(fd, metadata.mtime, metadata.mtime)
}

/** Says it where bits are taken away that the archive holds; true if so. */
export function sayStripped(ctx: StageContext, { entry, line }: Item, rules: MetadataRules): boolean {
  if (entry.kind === 'symlink' || !stripped(entry, line, rules)) return false
  ctx.warn('metadata', `${displayName(entry.path)}: setuid, setgid or sticky bit left out`)
  return true
}

/** Said once per restore. */
export function sayNotKept(ctx: StageContext, slot: Pick<ExtractSlot, 'metadata'>): void {
  if (slot.metadata++ > 0) return
  const hint = 'setfattr is not installed, or the file system does not take them'
  ctx.warn('not_restored', `extended attributes of some files could not be set (${hint})`)
}
