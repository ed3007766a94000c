import { BackupError } from '../../lib/errors.ts'

/** The server's own limit is 63 bytes, unless it was built otherwise; more than this is no name. */
const LONGEST = 256

/**
 * A name as it stands in SQL, whatever it holds: in double quotes, those within doubled; no setting of a session
 * changes that. BAD_REQUEST: no server has such a name.
 */
export function identifier(name: string): string {
  if (name === '' || name.length > LONGEST || name.includes('\0') || !name.isWellFormed()) {
    throw new BackupError('BAD_REQUEST', `${JSON.stringify(name.slice(0, LONGEST))} cannot be a name in PostgreSQL`)
  }
  return `"${name.replaceAll('"', '""')}"`
}

/** "schema"."name". */
export const qualified = (schema: string, name: string): string => `${identifier(schema)}.${identifier(name)}`

/** Text as it stands in SQL; backslashes mean nothing in it, since `standard_conforming_strings` is pinned. */
export function literal(text: string): string {
  if (text.includes('\0')) throw new BackupError('BAD_REQUEST', 'a text with a zero byte cannot stand in PostgreSQL')
  return `'${text.replaceAll("'", "''")}'`
}

const SIMPLE = /^[a-z_][a-z0-9_]*$/

/** For people and for ids: without quotes where that is clear, so that no two tables share one. */
export const shown = (schema: string, name: string): string =>
  [schema, name].map((part) => (SIMPLE.test(part) ? part : identifier(part))).join('.')
