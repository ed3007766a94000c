import { identifier } from './identifier.ts'

/** A string, a comment, or a name in backticks: what holds others of them as plain text. */
const TOKEN = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|\/\*[^]*?\*\/|(?:--[ \t]|#)[^\n]*|`(?:[^`]|``)*`/g

/** `database`.`table`.`column`: two parts alone may as well be a table of that name and its column. */
const THREE = /^\.`(?:[^`]|``)*`\.`/
/** More than two names can take. */
const LONGEST = 1024
/** The only place where the server names a database before one name: NEXTVAL and its sisters. */
const SEQUENCE = /\b(?:next|last|set)val\(\s*$/i

/**
 * A definition by the server's own hand, without the name of the database it stands in: some of them hold it (the
 * sequence of a default, a broken view), and loaded under another name they would go on using the old one.
 */
export function unqualified(sql: string, database: string): string {
  const own = identifier(database)
  let out = ''
  let from = 0
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (token !== own || sql[index + token.length] !== '.') continue
    const after = sql.slice(index + token.length, index + token.length + LONGEST)
    if (!THREE.test(after) && !SEQUENCE.test(sql.slice(Math.max(0, index - 16), index))) continue
    out += sql.slice(from, index)
    from = index + token.length + 1
  }
  return out + sql.slice(from)
}
