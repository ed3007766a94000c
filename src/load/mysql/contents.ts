import { identifier, qualified } from '../../dump/mysql/identifier.ts'
import type { MysqlSession } from '../../dump/mysql/session.ts'
import { OWN } from './marker.ts'

/** What a database holds, but for marks of ours. Names. */
export interface Contents {
  readonly tables: readonly string[]
  readonly sequences: readonly string[]
  readonly views: readonly string[]
  readonly routines: readonly { readonly type: 'FUNCTION' | 'PROCEDURE'; readonly name: string }[]
  readonly events: readonly string[]
  readonly triggers: readonly string[]
}

export async function contentsOf(session: MysqlSession, database: string): Promise<Contents> {
  const ask = async (sql: string): Promise<Record<string, string | null>[]> => session.facts(sql, [database])
  const relations = await ask(
    'SELECT TABLE_NAME AS name, TABLE_TYPE AS type FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?',
  )
  const routines = await ask(
    'SELECT ROUTINE_NAME AS name, ROUTINE_TYPE AS type FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ?',
  )
  const events = await ask('SELECT EVENT_NAME AS name FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ?')
  const triggers = await ask('SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?')
  const named = (pattern: RegExp): string[] =>
    relations.filter(({ name, type }) => pattern.test(type ?? '') && !OWN.has(name ?? '')).map(({ name }) => name ?? '')
  return {
    tables: named(/^(?!.*(?:VIEW|SEQUENCE))/i),
    sequences: named(/SEQUENCE/i),
    views: named(/VIEW/i),
    routines: routines.map(({ name, type }) => ({
      type: type === 'FUNCTION' ? 'FUNCTION' : 'PROCEDURE',
      name: name ?? '',
    })),
    events: events.map(({ name }) => name ?? ''),
    triggers: triggers.map(({ name }) => name ?? ''),
  }
}

export const isEmpty = (contents: Contents): boolean =>
  Object.values(contents).every((list: readonly unknown[]) => list.length === 0)

/** What it takes to have none of it: triggers go with their tables. */
export function* dropAll(database: string, contents: Contents): Generator<string> {
  const q = (name: string): string => qualified(database, name)
  yield* dropCode(database, contents)
  for (const name of contents.tables) yield `DROP TABLE IF EXISTS ${q(name)}`
  for (const name of contents.sequences) yield `DROP SEQUENCE IF EXISTS ${q(name)}`
}

/** What is no table. */
export function* dropCode(database: string, { events, views, routines }: Contents): Generator<string> {
  const q = (name: string): string => qualified(database, name)
  for (const name of events) yield `DROP EVENT IF EXISTS ${q(name)}`
  for (const name of views) yield `DROP VIEW IF EXISTS ${q(name)}`
  for (const { type, name } of routines) yield `DROP ${type} IF EXISTS ${q(name)}`
}

export async function runAll(session: MysqlSession, statements: Iterable<string>): Promise<void> {
  for (const sql of statements) await session.run(sql)
}

/** Empties a database, but for its marker. */
export async function emptyDatabase(session: MysqlSession, database: string): Promise<void> {
  await session.run('SET SESSION foreign_key_checks = 0')
  await runAll(session, dropAll(database, await contentsOf(session, database)))
  await session.run('SET SESSION foreign_key_checks = 1')
}

export interface DatabaseFacts {
  readonly charset: string
  readonly collation: string
}

/** Null: there is none of that name, as far as the account is told. */
export async function findDatabase(session: MysqlSession, name: string): Promise<DatabaseFacts | null> {
  const [found] = await session.facts(
    `SELECT DEFAULT_CHARACTER_SET_NAME AS charset, DEFAULT_COLLATION_NAME AS collation
       FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?`,
    [name],
  )
  if (found === undefined) return null
  return { charset: found['charset'] ?? 'utf8mb4', collation: found['collation'] ?? '' }
}

export async function makeDatabase(session: MysqlSession, name: string, like: DatabaseFacts | null): Promise<void> {
  const word = (text: string): string => (/^\w+$/.test(text) ? text : 'utf8mb4')
  const form =
    like === null
      ? 'CHARACTER SET utf8mb4'
      : `CHARACTER SET ${word(like.charset)}${like.collation === '' ? '' : ` COLLATE ${word(like.collation)}`}`
  await session.run(`CREATE DATABASE IF NOT EXISTS ${identifier(name)} ${form}`)
}
