import type { Stage, StageContext, StageFactory } from '../engine/stage.ts'
import { asBackupError, BackupError } from '../lib/errors.ts'
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
      const told = asBackupError(error, '')
      if (told.retry !== 'never' || told.code === 'LEASE_LOST') throw error
      throw whole(told, await takeBack(ctx, loads))
    }
    ctx.forget('archive')
    if (FILES.manifest in ctx.job.files) ctx.drop(FILES.manifest)
  },
  async undo(ctx) {
    const left = await takeBack(ctx, openLoads(parts, ctx))
    if (left.length > 0) ctx.warn('not_restored', `what was loaded for ${left.join(', ')} could not be taken back`)
  },
})

function openLoads(parts: Parts, ctx: StageContext): DatabaseLoad[] {
  const spec = restoreSpec(ctx)
  const { archive } = warmArchive(ctx, parts, spec.archive, spec, restoreSlot(ctx).archive)
  const databases = databasesToLoad(ctx)
  const open = databases.map((database, index) => ({ spec: database, index, count: databases.length }))
  const pending = open.filter(({ index }) => loadSlot(ctx, index).phase !== 'done')
  return pending.map((which) => new DatabaseLoad(ctx, parts, archive, which))
}

/** Names of those that could not be taken back. */
async function takeBack(ctx: StageContext, loads: readonly DatabaseLoad[]): Promise<string[]> {
  const left: string[] = []
  for (const load of loads) {
    try {
      await load.undo()
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      left.push(load.database)
      ctx.log('warn', `the database ${load.database}, not loaded whole, could not be taken back: ${error.message}`)
    }
  }
  return left
}

/** The error that ends the job is all that people see of it. */
function whole(error: BackupError, left: readonly string[]): BackupError {
  if (left.length === 0) return error
  const { code, hint, retry } = error
  const what = `${error.message}; what was loaded for ${left.join(', ')} could not be taken back`
  return new BackupError(code, what, { hint, retry, cause: error })
}
