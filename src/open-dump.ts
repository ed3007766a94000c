import type { Consistency, SqlDump } from './dump/sql-dump.ts'
import type { ServerDatabaseSpec } from './engine/spec.ts'
import { realDisk } from './lib/disk.ts'
import { targetOf } from './settings/database-target.ts'
import { loadSettings } from './settings/settings.ts'
import { MysqlDump } from './dump/mysql/dump.ts'
import { BackupError } from './lib/errors.ts'

/** Connects to the server of a database, as the settings of this moment and our environment say. */
export async function openSqlDump(
  dataDir: string,
  spec: ServerDatabaseSpec,
  consistency: Consistency,
): Promise<SqlDump> {
  const { databaseServers } = loadSettings(realDisk, dataDir)
  const target = targetOf(realDisk, spec, databaseServers, process.env)
  if (spec.type === 'mysql') return await MysqlDump.open(target, { ...spec.tables, consistency })
  throw new BackupError('PROFILE_INVALID', `${spec.type} is not there yet`)
}
