import type { StageContext } from '../../engine/stage.ts'
import type { WarningCode } from '../../engine/job.ts'
import { BackupError, errnoOf } from '../../lib/errors.ts'
import { displayName } from '../../lib/entry-path.ts'
import type { ExtractSlot } from './slots.ts'

/** Named one by one up to here; beyond it they are counted. */
const NAMED = 100_000

export type Fault = { readonly kind: 'refused' | 'damaged' | 'failed'; readonly message: string }

const CODES: Readonly<Record<Fault['kind'], WarningCode>> = {
  refused: 'refused_entry',
  damaged: 'damaged_entry',
  failed: 'not_restored',
}

/** Names what is not restored, and counts it (R23, R30). */
export function report(ctx: StageContext, slot: Pick<ExtractSlot, Fault['kind']>, path: Buffer, fault: Fault): void {
  const count = ++slot[fault.kind]
  ctx.part('archive').omitted++
  if (count <= NAMED) ctx.warn(CODES[fault.kind], `${displayName(path)}: ${fault.message}`)
  else if (count === NAMED + 1) ctx.warn(CODES[fault.kind], `more than ${NAMED} entries; the rest is only counted`)
}

/** Errors of the target that concern one entry and not the whole restore. */
const OF_ONE_ENTRY = new Set([
  'EACCES',
  'EPERM',
  'EEXIST',
  'EISDIR',
  'ENOTDIR',
  'ENOTEMPTY',
  'ELOOP',
  'EINVAL',
  'EILSEQ',
  'EMLINK',
  'ENAMETOOLONG',
  'ETXTBSY',
  'EBUSY',
])

/** What an error while placing one entry means; anything that is not about this entry is thrown on. */
export function faultOf(error: unknown): Fault {
  if (error instanceof BackupError && (error.code === 'ENTRY_REFUSED' || error.code === 'ARCHIVE_UNSUPPORTED')) {
    return { kind: 'refused', message: error.message }
  }
  const code = errnoOf(error)
  if (error instanceof Error && code !== undefined && OF_ONE_ENTRY.has(code)) {
    const conflict = code === 'EISDIR' || code === 'ENOTDIR' || code === 'EEXIST'
    return { kind: conflict ? 'refused' : 'failed', message: `it cannot be put there (${code})` }
  }
  throw error
}

/** What an error while reading one entry means: everything about the archive's content damages that entry only. */
export function damageOf(error: unknown): Fault {
  if (error instanceof BackupError) {
    if (error.code === 'ENTRY_REFUSED' || error.code === 'ARCHIVE_UNSUPPORTED') return faultOf(error)
    if (error.code === 'ARCHIVE_DAMAGED' || error.code === 'LIMIT_EXCEEDED' || error.code === 'IO_ERROR') {
      return { kind: error.code === 'LIMIT_EXCEEDED' ? 'refused' : 'damaged', message: error.message }
    }
  }
  throw error
}
