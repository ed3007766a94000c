import type { Stage, StageContext, StageFactory, Steps } from '../engine/stage.ts'
import type { Parts } from './parts.ts'
import { extractEntries } from './restore/extraction.ts'
import { Site } from './restore/site.ts'
import { makeStaging } from './restore/staging.ts'
import { extractSlot, FILES, restoreSlot, restoreSpec } from './restore/slots.ts'
import { ExtractWork } from './restore/work.ts'

/**
 * Entries of an archive into a folder (R27–R30). Files grow in the staging folder, are proven against
 * CRC and manifest, synced in batches and only then renamed. Folders get their modes, and links are made,
 * in the next stage.
 */
export const extractStage: StageFactory<Parts> = (parts): Stage => ({
  name: 'extract',
  domain: 'restore',
  weight: () => 90,
  async *run(ctx): Steps {
    yield* moveStaging(ctx)
    const site = new Site(ctx, parts)
    try {
      yield* extractEntries(new ExtractWork(ctx, parts, site, extractSlot(ctx)))
    } finally {
      site[Symbol.dispose]()
    }
  },
})

/**
 * The house was moved: an old owner may still be writing to the old staging folder, so nothing in it counts any
 * more. What was open begins again.
 */
export async function* moveStaging(ctx: StageContext): Steps {
  const shared = restoreSlot(ctx)
  if (shared.staging === null || shared.staging.house === ctx.job.house) return
  shared.staging = makeStaging(ctx, restoreSpec(ctx).target)
  const slot = extractSlot(ctx)
  if (slot.open !== null) {
    ctx.file(FILES.blocks(slot.open.index)).rewind(0)
    slot.open = null
  }
  yield { step: 'restoring', durable: true }
}
