import { identifier, qualified } from '../../dump/mysql/identifier.ts'
import type { MysqlSession } from '../../dump/mysql/session.ts'
import type { Standing } from '../sql-load.ts'
import { symbolOf } from './errors.ts'

/** The table that stands in a database for as long as it is not whole. */
export const MARKER = 'ratchet_restore'
/** What the swap makes of definitions: before it has moved the tables, and after. */
export const PLAN = 'ratchet_restore_plan'
export const MOVED = 'ratchet_restore_moved'
/** The plan while it is written. */
export const DRAFT = 'ratchet_restore_plan_'
export const OWN: ReadonlySet<string> = new Set([MARKER, PLAN, MOVED])

/**
 * Whether a table of a dump has a name of ours: one that was made while a load was at work holds them, and one of
 * somebody else's could tell by them how far a load has come, and what a swap is to run. Some servers tell names apart
 * by more than their case, others do not.
 */
export const isOurs = (table: string): boolean => [...OWN, DRAFT].includes(table.toLowerCase())

export interface Mark extends Standing {
  readonly id: string
  /** Whether the database was made for the load. */
  readonly made: boolean
  /**
   * A table whose engine knows no transactions, and the file its rows begin in: whoever goes on begins it again, since
   * nobody knows which of its rows came.
   */
  readonly loose: { readonly table: string; readonly file: number } | null
}

/** A text as a literal that no mode reads differently. */
export const literal = (text: string): string => `_utf8mb4 0x${Buffer.from(text, 'utf8').toString('hex')}`

/** Null: the database has no marker. */
export async function readMark(session: MysqlSession, database: string): Promise<Mark | null> {
  try {
    const [row] = await session.facts(`SELECT id, made, file, at, loose, since FROM ${qualified(database, MARKER)}`)
    if (row === undefined) return { id: '', made: false, file: 0, at: 0, loose: null }
    const { id, made, file, at, loose, since } = row
    return {
      id: id ?? '',
      made: made === '1',
      file: Number(file),
      at: Number(at),
      loose: loose === null || loose === undefined ? null : { table: loose, file: Number(since) },
    }
  } catch (error) {
    if (symbolOf(error) === 'ER_NO_SUCH_TABLE' || symbolOf(error) === 'ER_BAD_DB_ERROR') return null
    throw error
  }
}

export async function makeMark(session: MysqlSession, database: string, id: string, made: boolean): Promise<void> {
  const table = qualified(database, MARKER)
  await session.run(
    `CREATE TABLE IF NOT EXISTS ${table} (id VARCHAR(64) NOT NULL PRIMARY KEY, made TINYINT NOT NULL, file INT NOT NULL, at BIGINT NOT NULL,
      ${identifier('loose')} VARCHAR(64) NULL, since INT NULL)
      ENGINE = InnoDB CHARACTER SET utf8mb4 COMMENT 'A restore is under way: this database is not whole yet.'`,
  )
  for (const name of [PLAN, MOVED]) await session.run(`DROP TABLE IF EXISTS ${qualified(database, name)}`)
  await session.run(`DELETE FROM ${table}`)
  await session.run(`INSERT INTO ${table} (id, made, file, at) VALUES (${literal(id)}, ${made ? 1 : 0}, 0, 0)`)
}

/** In the transaction that is open, if one is. */
export async function setMark(session: MysqlSession, database: string, mark: Omit<Mark, 'made'>): Promise<void> {
  const { id, file, at, loose } = mark
  const rest = loose === null ? 'loose = NULL, since = NULL' : `loose = ${literal(loose.table)}, since = ${loose.file}`
  await session.run(
    `UPDATE ${qualified(database, MARKER)} SET file = ${file}, at = ${at}, ${rest} WHERE id = ${literal(id)}`,
  )
}
