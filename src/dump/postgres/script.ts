/**
 * Around every file of a dump: nothing is looked up, refused or waited for while it is loaded that was not so where it
 * was read, and the client's session is left as it was. Nothing here needs a superuser.
 */
const SETTINGS: readonly (readonly [name: string, value: string])[] = [
  ['statement_timeout', '0'],
  ['lock_timeout', '0'],
  ['idle_in_transaction_session_timeout', '0'],
  ['standard_conforming_strings', 'on'],
  ['check_function_bodies', 'false'],
  ['xmloption', 'content'],
  ['client_min_messages', 'warning'],
  ['row_security', 'off'],
  ['DateStyle', "'ISO, YMD'"],
  ['IntervalStyle', "'postgres'"],
  ['TimeZone', "'UTC'"],
  ['lc_monetary', "'C'"],
]

/** `encoding`: of the database that was read. Without one (SQL_ASCII) its bytes are loaded as they are. */
export function preambleFor(encoding: string): string {
  const lines = SETTINGS.map(([name, value]) => `SET ${name} = ${value};`)
  return `SET client_encoding = '${encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8'}';
${lines.join('\n')}
SELECT pg_catalog.set_config('search_path', '', false);

`
}

export const POSTAMBLE = `
RESET search_path;
${SETTINGS.map(([name]) => `RESET ${name};`).join('\n')}
RESET client_encoding;
`

/** A name in the words of psql: in quotes, what is special in them by its code. */
function quoted(name: string): string {
  if (name.includes('\0')) throw new RangeError('a file name cannot hold a zero byte')
  const special = (c: string): string => `\\${(c.codePointAt(0) ?? 0).toString(8).padStart(3, '0')}`
  return `'${name.replaceAll(/\\|\p{Cc}/gu, special).replaceAll("'", "''")}'`
}

export function orderFileOf(files: readonly string[]): string {
  const lines = files.map((file) => `\\ir ${quoted(file)}`)
  return `-- Loads the dump that lies beside this file: psql -X -d DATABASE -f THIS_FILE
-- All or nothing: add --single-transaction.
\\set ON_ERROR_STOP on
${lines.join('\n')}
`
}
