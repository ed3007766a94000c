import { createHash } from 'node:crypto'
import { BackupError } from '../../lib/errors.ts'
import { qualified } from './identifier.ts'
import type { MysqlSession } from './session.ts'

/** InnoDB writes names with other letters in a way of its own. */
const PLAIN = /^[A-Za-z0-9_]+$/

/**
 * A digest that changes when a table is altered, or another one takes its name: its definition but for the next value of
 * AUTO_INCREMENT, and when it was made. TRUNCATE makes it anew without another time: that shows in the number InnoDB
 * gives it, where the account may see that (PROCESS).
 */
export async function shapeOf(session: MysqlSession, database: string, name: string): Promise<string> {
  const [facts] = await session.facts(
    'SELECT TABLE_TYPE AS type, CREATE_TIME AS made FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?',
    [database, name],
  )
  if (facts === undefined) return 'gone'
  const [row] = await session.facts(`SHOW CREATE TABLE ${qualified(database, name)}`)
  const sql = (row?.['Create Table'] ?? '').replace(/ AUTO_INCREMENT=\d+/, '')
  if (facts['type']?.includes('SEQUENCE') === true) return digestOf(sql)
  return digestOf(facts['made'] ?? '', await numberOf(session, database, name), sql)
}

const digestOf = (...parts: readonly string[]): string => createHash('sha256').update(parts.join('\0')).digest('hex')

async function numberOf(session: MysqlSession, database: string, name: string): Promise<string> {
  if (!PLAIN.test(database) || !PLAIN.test(name)) return ''
  const view = session.version.vendor === 'mariadb' ? 'INNODB_SYS_TABLES' : 'INNODB_TABLES'
  try {
    const [row] = await session.facts(`SELECT TABLE_ID AS id FROM information_schema.${view} WHERE NAME = ?`, [
      `${database}/${name}`,
    ])
    return row?.['id'] ?? ''
  } catch (error) {
    if (error instanceof BackupError && (error.code === 'DATABASE_DENIED' || error.code === 'DATABASE_FAILED'))
      return ''
    throw error
  }
}
