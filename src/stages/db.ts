import type { Stage, StageContext } from '../engine/stage.ts'
import type { BackupParts } from './backup-parts.ts'
import { backupSpec } from './init.ts'
import {
  databasesOf,
  findDatabase,
  isOpen,
  liesInSource,
  namedDatabases,
  serverDatabases,
  type NamedDatabase,
} from './named-databases.ts'
import { packServers } from './server-dump.ts'
import { packNamed } from './store-database.ts'
import { dropCopies } from './copy-slots.ts'
import { BackupError } from '../lib/errors.ts'
import type { BackupSpec } from '../engine/spec.ts'

/**
 * Each SQLite database that is named and lies in no source: a consistent copy into the sink; the others are met there.
 * Then the databases of servers, read as SQL.
 */
export const dbStage = (parts: BackupParts): Stage => ({
  name: 'db',
  domain: 'db',
  weight: (spec) => (spec.kind === 'backup' && databasesOf(spec).length > 0 ? 20 : 0),
  async *run(ctx) {
    const spec = backupSpec(ctx)
    const outside = namedDatabases(parts, ctx, spec).filter((one) => isOpen(one) && !isMetLater(ctx, spec, one))
    const sink = parts.openSink(ctx)
    yield* packNamed(parts, ctx, sink, outside)
    yield* packServers(parts, ctx, sink, serverDatabases(parts, ctx, spec))
    dropCopies(ctx)
  },
})

/** Whether the pack stage will meet it in a source. What is wrong with it is told in its own turn. */
function isMetLater(ctx: StageContext, spec: BackupSpec, database: NamedDatabase): boolean {
  try {
    return liesInSource(ctx, spec, findDatabase(ctx, database).file)
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return false
  }
}
