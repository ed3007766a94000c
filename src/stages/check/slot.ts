import type { StageContext } from '../../engine/stage.ts'
import type { VerifySpec } from '../../engine/spec.ts'
import { BackupError } from '../../lib/errors.ts'
import { displayName } from '../../lib/entry-path.ts'
import { hashStart, type HashPosition } from '../../lib/resumable-hash.ts'
import type { Item } from '../restore/plan.ts'
import type { Fault } from '../restore/report.ts'
import type { ManifestCopy } from '../restore/slots.ts'

/** A large entry in the middle of which the last safe point was. */
export type OpenEntry = { index: number; stored: number; plain: number; crc: number; hash: HashPosition }

export type CheckSlot = {
  phase: 'parts' | 'open' | 'manifest' | 'entries' | 'end'
  /** Part that is being hashed, and where. */
  part: number
  hash: HashPosition
  /** See `RestoreSlot.archive`. */
  archive: string
  /** The structure does not hold; entries were searched for. */
  salvaged: boolean
  manifest: number | null
  copy: ManifestCopy | null
  manifestReady: boolean
  next: number
  line: number
  misses: number
  open: OpenEntry | null
  /** What is damaged: how many things, and the first of them by name. */
  damaged: number
  names: string[]
}

/** Named in the error; all of them are warnings. */
const NAMED = 20
const LONGEST = 200
/** Named one by one as warnings up to here. */
const WARNED = 100_000

export const CHECK_FILES = {
  manifest: 'check-manifest',
  blocks: (index: number): string => `check-blocks-${index}`,
} as const

export function checkSlot(ctx: StageContext): CheckSlot {
  return ctx.slot<CheckSlot>('check', () => ({
    phase: 'parts',
    part: 0,
    hash: hashStart(),
    archive: '',
    salvaged: false,
    manifest: null,
    copy: null,
    manifestReady: false,
    next: 0,
    line: 0,
    misses: 0,
    open: null,
    damaged: 0,
    names: [],
  }))
}

export function verifySpec(ctx: StageContext): VerifySpec {
  if (ctx.spec.kind !== 'verify') throw new BackupError('INTERNAL', `check-archive was given a ${ctx.spec.kind} job`)
  return ctx.spec
}

/** Notes that something is not what was written; the job goes on, so that all of it is named. */
export function noteDamage(ctx: StageContext, what: Buffer | string, message: string): void {
  const slot = checkSlot(ctx)
  const name = typeof what === 'string' ? what : displayName(what, LONGEST)
  if (slot.damaged++ < WARNED) ctx.warn('damaged_entry', `${name}: ${message}`)
  if (slot.names.length < NAMED) slot.names.push(name)
}

/** What came of one entry. */
export function countEntry(ctx: StageContext, item: Item, fault: Fault | null): void {
  const { entry } = item
  if (fault !== null) {
    ctx.part('archive').omitted++
    noteDamage(ctx, entry.path, fault.message)
    return
  }
  const part = ctx.part('archive')
  ctx.count({ entries: 1, files: entry.kind === 'file' ? 1 : 0, bytesRead: entry.stored })
  if (entry.kind !== 'file') return
  part.files++
  part.bytes += entry.size
}
