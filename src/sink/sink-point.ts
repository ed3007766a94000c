import { BackupError } from '../lib/errors.ts'
import { PROOFS } from '../archive/proofs.ts'
import type { StageContext, Steps } from '../engine/stage.ts'
import type { PartWriter } from './part-writer.ts'
import type { SinkSlot } from './sink-slot.ts'
import type { SinkPoint } from './sink.ts'

/** What of the archive sink stands somewhere. */
export interface Standing {
  readonly ctx: StageContext
  readonly slot: SinkSlot
  readonly parts: PartWriter
  /** Whether a proof of each entry is kept. */
  readonly proofs: boolean
}

export function pointOf({ ctx, slot, parts, proofs }: Standing): SinkPoint {
  if (slot.open !== null) throw new BackupError('INTERNAL', 'there is no point within an entry')
  const { entries, files, bytesRead } = ctx.job.totals
  return {
    ...parts.here,
    directory: ctx.file('directory').length,
    proofs: proofs ? ctx.file(PROOFS).length : 0,
    entries: slot.entries,
    uncompressed: slot.uncompressed,
    stored: slot.stored,
    totals: { entries, files, bytesRead },
  }
}

/**
 * Back to a point, in safe points of its own. A part that was complete becomes one that is written again: the record
 * has to name it, whole, before anything of it is cut. `also` runs where everything else goes back.
 */
export async function* goBack({ ctx, slot, parts, proofs }: Standing, to: SinkPoint, also: () => void): Steps {
  if (to.part !== parts.here.part) {
    // What is complete has to have left the record first. A step that ends here does not begin with this again.
    if (slot.goingBack !== true) {
      slot.goingBack = true
      yield { step: 'going back', durable: true }
    }
    if (parts.take(to.part)) yield { step: 'going back', durable: true }
  }
  slot.removeTo = await parts.rewind(to)
  ctx.file('directory').rewind(to.directory)
  if (proofs) ctx.file(PROOFS).rewind(to.proofs)
  also()
  const { entries, files, bytesRead } = ctx.job.totals
  const { totals } = to
  const [less, fewer] = [totals.entries - entries, totals.files - files]
  ctx.count({ entries: less, files: fewer, bytesRead: totals.bytesRead - bytesRead })
  Object.assign(slot, {
    entries: to.entries,
    uncompressed: to.uncompressed,
    stored: to.stored,
    open: null,
    attempts: 0,
  })
  delete slot.goingBack
  slot.applied++ // nothing that was read ahead fits any more
  yield { step: 'going back', durable: true }
  parts.removeAfter(slot.removeTo)
}
