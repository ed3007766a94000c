import type { Stage, StageContext, StageFactory } from '../engine/stage.ts'
import { BackupError } from '../lib/errors.ts'
import { DatabaseLoad } from './load/load-database.ts'
import { databasesToLoad, loadSlot, notePlacing } from './load/slots.ts'
import type { Parts } from './parts.ts'
import { warmArchive } from './restore/site.ts'
import { FILES, restoreSlot, restoreSpec } from './restore/slots.ts'

/**
 * SQL of the archive into databases of servers (R27, R29). All of them are loaded and proven before the first one takes
 * its name; until then everything can be taken back. After that, what fails for good is taken back as long as it has no
 * name; what has one keeps it.
 */
export const loadStage: StageFactory<Parts> = (parts): Stage => ({
  name: 'load',
  domain: 'restore',
  weight: () => 60,
  async *run(ctx) {
    const loads = openLoads(parts, ctx)
    try {
      for (const load of loads) if (load.slot.phase === 'load') yield* load.load()
      if (loads.some(({ slot }) => slot.phase === 'loaded')) {
        for (const { slot } of loads) slot.phase = 'finish'
        notePlacing(ctx)
        yield { step: 'all is loaded', durable: true }
      }
      for (const load of loads) if (load.slot.phase === 'finish') yield* load.finish()
    } catch (error) {
      if (error instanceof BackupError && error.retry === 'never' && !OURS.has(error.code)) await takeBack(ctx, loads)
      throw error
    }
    ctx.forget('archive')
    if (FILES.manifest in ctx.job.files) ctx.drop(FILES.manifest)
  },
  undo: async (ctx) => takeBack(ctx, openLoads(parts, ctx)),
})

/** What ends a step, and not the load. */
const OURS: ReadonlySet<string> = new Set(['LEASE_LOST', 'CANCELLED', 'INTERNAL', 'STATE_DAMAGED', 'WORK_FILE_LOST'])

function openLoads(parts: Parts, ctx: StageContext): DatabaseLoad[] {
  const spec = restoreSpec(ctx)
  const { archive } = warmArchive(ctx, parts, spec.archive, spec, restoreSlot(ctx).archive)
  const databases = databasesToLoad(ctx)
  const open = databases.map((database, index) => ({ spec: database, index, count: databases.length }))
  const pending = open.filter(({ index }) => loadSlot(ctx, index).phase !== 'done')
  return pending.map((which) => new DatabaseLoad(ctx, parts, archive, which))
}

async function takeBack(ctx: StageContext, loads: readonly DatabaseLoad[]): Promise<void> {
  for (const load of loads) {
    try {
      await load.undo()
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      ctx.log('warn', `a database that was not loaded whole could not be taken back: ${error.message}`)
    }
  }
}
