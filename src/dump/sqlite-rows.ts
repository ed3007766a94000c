import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../lib/clock.ts'

/** Rows looked at by the first count of a table; four times as many each time it has more. */
const FIRST = 10_000
/** Tables named in the manifest, and characters of their names: a line of it stays small. */
const MOST_TABLES = 1000
const MOST_TEXT = 64_000

/** A name as SQL, whatever it holds. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

export function tablesOf(db: DatabaseSync): string[] {
  const sql =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
  return db
    .prepare(sql)
    .all()
    .map((row) => String(row['name']))
}

/**
 * Rows by table. A count cannot be interrupted, so each is of a bounded number of rows, and of more only while there
 * is time; null where there was not, or where the table needs what only its own program has.
 */
export function countRows(
  db: DatabaseSync,
  clock: Clock,
  ms: number,
): { rows: Record<string, number | null>; tables: number } {
  const end = clock.mono() + ms
  const rows: Record<string, number | null> = Object.create(null) as Record<string, number | null>
  const tables = tablesOf(db)
  let text = 0
  for (const name of tables.slice(0, MOST_TABLES)) {
    text += name.length
    if (text > MOST_TEXT) break
    rows[name] = countTable(db, name, clock, end)
  }
  return { rows, tables: tables.length }
}

function countTable(db: DatabaseSync, name: string, clock: Clock, end: number): number | null {
  try {
    for (let most = FIRST; ; most *= 4) {
      const left = end - clock.mono()
      const begun = clock.mono()
      if (left <= 0) return null
      const sql = `SELECT count(*) AS n FROM (SELECT 1 FROM ${quoted(name)} LIMIT ${most})`
      const found = Number(db.prepare(sql).get()?.['n'])
      if (found < most) return found
      // The next count takes about four times as long as this one.
      if ((clock.mono() - begun) * 4 > left) return null
    }
  } catch (error) {
    if (error instanceof Error && 'errcode' in error) return null // a virtual table without its module
    throw error
  }
}
