import type { StageContext } from '../../../engine/stage.ts'
import { LISTED, PREVIEW_FILE, previewLine, type Finding } from '../../../engine/restore-preview.ts'
import { displayName } from '../../../lib/entry-path.ts'
import { report, type Fault } from '../report.ts'

export type PreviewSlot = {
  phase: 'folders' | 'entries'
  /** Next entry of the phase. */
  next: number
  /** See `ExtractSlot`. */
  line: number
  misses: number
  /** Folders are too many to be compared with files and links. */
  many: boolean
  files: number
  folders: number
  links: number
  bytes: number
  special: number
  /** Entries with extended attributes that would be set. */
  attributed: number
  found: Record<Finding, number>
  /** Warnings given so far, as a restore counts them. */
  said: Record<Fault['kind'] | 'metadata', number>
}

export function previewSlot(ctx: StageContext): PreviewSlot {
  return ctx.slot<PreviewSlot>('preview', () => ({
    phase: 'folders',
    next: 0,
    line: 0,
    misses: 0,
    many: false,
    files: 0,
    folders: 0,
    links: 0,
    bytes: 0,
    special: 0,
    attributed: 0,
    found: { replaced: 0, conflicts: 0, refused: 0, damaged: 0 },
    said: { refused: 0, damaged: 0, failed: 0, metadata: 0 },
  }))
}

/** Counts a finding and lists it while there are few. */
export function note(ctx: StageContext, finding: Finding, path: Buffer, fault?: Fault): void {
  const slot = previewSlot(ctx)
  if (fault !== undefined) report(ctx, slot.said, path, fault)
  if (++slot.found[finding] > LISTED) return
  const why = fault === undefined ? {} : { why: fault.message }
  ctx.file(PREVIEW_FILE).write(previewLine(finding, { path: displayName(path), ...why }))
}
