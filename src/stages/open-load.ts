import path from 'node:path'
import type { Stage, StageFactory } from '../engine/stage.ts'
import { findDatabases, sqlOf, type FindSlot } from './load/find-sql.ts'
import { databasesToLoad, loadFiles, writeEntry } from './load/slots.ts'
import type { Parts } from './parts.ts'
import { warmArchive } from './restore/site.ts'
import { restoreSlot, restoreSpec } from './restore/slots.ts'

/** Finds the SQL of the databases that are to be put back, and asks their servers whether they are there. Changes nothing. */
export const openLoadStage: StageFactory<Parts> = (parts): Stage => ({
  name: 'open-load',
  domain: 'restore',
  weight: () => 2,
  async *run(ctx) {
    const spec = restoreSpec(ctx)
    const shared = restoreSlot(ctx)
    const { archive, identity } = warmArchive(ctx, parts, spec.archive, spec, shared.archive)
    if (shared.archive === '') {
      shared.archive = identity
      shared.entries = archive.count
      ctx.setArchive(path.basename(spec.archive))
      yield { step: 'opening the archive', durable: true }
    }
    const slot = ctx.slot<FindSlot & { opened: number }>('open-load', () => ({
      ...{ next: 0, last: -1, there: [], copy: null, opened: 0 },
    }))
    const databases = databasesToLoad(ctx)
    yield* findDatabases(
      ctx,
      archive,
      slot,
      databases.map(({ name }) => name),
    )
    for (; slot.opened < databases.length;) {
      const database = databases[slot.opened]
      if (database === undefined) break
      await using load = await parts.openLoad(database, { id: ctx.job.id, trusted: spec.foreign !== true })
      const filesOf = (order: string): string[] => load.filesOf(order)
      const entries = await sqlOf(ctx, parts, archive, { last: slot.last, database: database.name, filesOf })
      const file = ctx.file(loadFiles.entries(slot.opened))
      for (const entry of entries) writeEntry(file, entry)
      ctx.log('info', `database ${database.name}: ${entries.length} files of SQL for ${load.server}`)
      slot.opened++
      yield { step: 'asking servers', substep: database.database }
    }
    ctx.clearSlot('open-load')
  },
})
