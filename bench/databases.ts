import { databaseBackup } from './database-backup.ts'
import { databaseRestore } from './database-restore.ts'
import { mariadbServer, postgresServer } from './database-servers.ts'
import type { Row } from './report.ts'

/** Databases of servers, read and put back. */

export async function mariadb(rounds: number): Promise<Row[]> {
  await using server = await mariadbServer()
  const backup = await databaseBackup({ bench: 'mariadb', server, rounds, bar: 1.2 })
  return [...backup, ...(await databaseRestore({ bench: 'mariadb', server, rounds, bar: 0.9 }))]
}

export async function postgres(rounds: number): Promise<Row[]> {
  await using server = await postgresServer()
  const backup = await databaseBackup({ bench: 'postgres', server, rounds, bar: 1.1 })
  return [...backup, ...(await databaseRestore({ bench: 'postgres', server, rounds, bar: 0.9 }))]
}
