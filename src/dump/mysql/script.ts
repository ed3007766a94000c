import type { Definition, Under } from './definitions.ts'

/**
 * Around every file of a dump: nothing is refused, adjusted or fired while it is loaded, and the client's session is
 * left as it was. Plain statements only: no comments that run on some versions and not on others.
 */
export const HEADER = `SET @ratchet_mode = @@SESSION.sql_mode, @ratchet_zone = @@SESSION.time_zone;
SET @ratchet_foreign = @@SESSION.foreign_key_checks, @ratchet_unique = @@SESSION.unique_checks;
SET NAMES utf8mb4;
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';
SET SESSION time_zone = '+00:00', SESSION foreign_key_checks = 0, SESSION unique_checks = 0;
`

export const FOOTER = `SET SESSION foreign_key_checks = @ratchet_foreign, SESSION unique_checks = @ratchet_unique;
SET SESSION time_zone = @ratchet_zone, SESSION sql_mode = @ratchet_mode;
`

/** What ends a statement that may hold semicolons; chosen so that it stands nowhere in it. */
function delimiterFor(sql: string): string {
  for (let n = 0; ; n++) {
    const delimiter = n === 0 ? ';;' : `;;${n}`
    if (!sql.includes(delimiter)) return delimiter
  }
}

/** The words of a server's answer, as a string literal: letters, digits and what modes and zones are made of. */
function word(text: string): string {
  if (!/^[A-Za-z0-9_,:+\-/ ]*$/.test(text)) throw new RangeError(`${JSON.stringify(text)} is no setting of a session`)
  return `'${text}'`
}

const MODE = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'

/** What a session is to be like for what was made under it; null: as for tables and rows. Statements. */
export function settingsFor(under: Under | null): string[] {
  if (under === null) return ['SET NAMES utf8mb4', `SET SESSION sql_mode = '${MODE}', SESSION time_zone = '+00:00'`]
  const { sqlMode, charset, collation, timeZone } = under
  return [
    `SET NAMES ${word(charset)} COLLATE ${word(collation)}`,
    ...(sqlMode === null ? [] : [`SET SESSION sql_mode = ${word(sqlMode)}`]),
    ...(timeZone === null ? [] : [`SET SESSION time_zone = ${word(timeZone)}`]),
  ]
}

const lines = (statements: readonly string[]): string => statements.map((one) => `${one};\n`).join('')

/** One definition as the vendor's client reads it: under the session it was made in. */
export function scriptOf({ sql, under }: Definition): string {
  if (under === null) return `${sql};\n`
  const delimiter = delimiterFor(sql)
  return `${lines(settingsFor(under))}DELIMITER ${delimiter}\n${sql}\n${delimiter}\nDELIMITER ;\n${lines(settingsFor(null))}`
}
