import type { Consistency, SqlDump } from './dump/sql-dump.ts'
import type { ServerDatabaseSpec } from './engine/spec.ts'
import { realDisk } from './lib/disk.ts'
import { targetOf } from './settings/database-target.ts'
import { loadSettings } from './settings/settings.ts'
import { MysqlDump } from './dump/mysql/dump.ts'
import { PostgresDump } from './dump/postgres/postgres-dump.ts'

/** Connects to the server of a database, as the settings of this moment and our environment say. */
export async function openSqlDump(
  dataDir: string,
  spec: ServerDatabaseSpec,
  consistency: Consistency,
): Promise<SqlDump> {
  const { databaseServers } = loadSettings(realDisk, dataDir)
  const target = targetOf(realDisk, spec, databaseServers, process.env)
  const options = { ...spec.tables, consistency }
  return spec.type === 'mysql' ? await MysqlDump.open(target, options) : await PostgresDump.open(target, options)
}
