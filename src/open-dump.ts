import type { Consistency, SqlDump } from './dump/sql-dump.ts'
import type { LoadSpec, ServerDatabaseSpec } from './engine/spec.ts'
import { MysqlLoad } from './load/mysql/mysql-load.ts'
import { PostgresLoad } from './load/postgres/postgres-load.ts'
import type { SqlLoad } from './load/sql-load.ts'
import type { LoadFor } from './stages/parts.ts'
import { realDisk } from './lib/disk.ts'
import type { Redactor } from './lib/redact.ts'
import { targetOf, type DatabaseTarget } from './settings/database-target.ts'
import { Keys } from './settings/keys.ts'
import { loadSettings } from './settings/settings.ts'
import { MysqlDump } from './dump/mysql/dump.ts'
import { PostgresDump } from './dump/postgres/postgres-dump.ts'

/** Where a server is, as the settings of this moment and our environment say. The redactor is told the password first. */
function openTarget(dataDir: string, spec: ServerDatabaseSpec | LoadSpec, redactor: Redactor): DatabaseTarget {
  const { databaseServers } = loadSettings(realDisk, dataDir)
  const { env } = process
  const target = targetOf(realDisk, spec, databaseServers, { env, keys: new Keys(realDisk, dataDir, env) })
  redactor.know(target.password)
  return target
}

/** Connects to the server of a database that is read. */
export async function openSqlDump(
  dataDir: string,
  spec: ServerDatabaseSpec,
  consistency: Consistency,
  redactor: Redactor,
): Promise<SqlDump> {
  const target = openTarget(dataDir, spec, redactor)
  const options = { ...spec.tables, consistency }
  return spec.type === 'mysql' ? await MysqlDump.open(target, options) : await PostgresDump.open(target, options)
}

/** Connects to the server that a database is put back into. */
export async function openSqlLoad(
  dataDir: string,
  spec: LoadSpec,
  { id, trusted }: LoadFor,
  redactor: Redactor,
): Promise<SqlLoad> {
  const { mode, scratch } = spec
  const target = openTarget(dataDir, spec, redactor)
  const order = { target, mode, id, trusted, ...(scratch === undefined ? {} : { scratch }) }
  return spec.type === 'mysql' ? await MysqlLoad.open(order) : await PostgresLoad.open(order)
}
