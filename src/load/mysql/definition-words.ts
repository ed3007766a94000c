/**
 * Which definitions and settings a dump of ours may hold (`dump/mysql/definitions.ts`, `script.ts`): anything else is not
 * run (S-RES-6). The server takes one statement at a time, so what matters is how each begins.
 */

export type DefinitionKind = 'table' | 'sequence' | 'view' | 'routine' | 'trigger' | 'event'

export interface Words {
  readonly kind: 'setting' | DefinitionKind
  /** What is made; empty for a setting. */
  readonly name: string
  /** As it is run: without a database's name before what it makes. */
  readonly sql: string
  /** The table that a trigger belongs to. */
  readonly on?: string
}

/** Under ANSI_QUOTES, the server writes names in other quotes. */
const NAME = '(?:`(?:[^`]|``)+`|"(?:[^"]|"")+")'
/** As people write it in a trigger. */
const LOOSE = `(?:${NAME}|[A-Za-z_$\\u0080-\\uffff][\\w$\\u0080-\\uffff]*)`
const ACCOUNT = `(?:${NAME}|'[^']*'|[\\w.%-]+)(?:@(?:${NAME}|'[^']*'|[\\w.%-]+))?`
const DEFINER = `(?:DEFINER\\s*=\\s*${ACCOUNT}\\s+)?`

const TABLE = new RegExp(`^CREATE TABLE (${NAME}) \\(`)
const SEQUENCE = new RegExp(`^CREATE SEQUENCE (${NAME})[a-zA-Z0-9 =_-]*$`)
const VALUE = new RegExp(`^DO SETVAL\\((${NAME}), -?\\d+, 0, \\d+\\)$`)
const VIEW = new RegExp(
  `^CREATE (?:OR REPLACE )?(?:ALGORITHM ?= ?\\w+ )?${DEFINER}(?:SQL SECURITY \\w+ )?VIEW (${NAME})[ (]`,
)
const ROUTINE = new RegExp(`^CREATE ${DEFINER}(?:AGGREGATE )?(?:FUNCTION|PROCEDURE) (${NAME})\\s*\\(`, 'i')
const EVENT = new RegExp(`^CREATE ${DEFINER}EVENT (${NAME}) ON SCHEDULE\\s`, 'i')
/** The server keeps a trigger as it was written, with the comments in it. One of its own kind is none: it is run. */
const GAP = '(?:\\s|/\\*(?![!M])(?:[^*]|\\*(?!/))*\\*/|(?:--[ \\t]|#)[^\\n]*\\n)'
const TRIGGER = new RegExp(
  `^(CREATE${GAP}+${DEFINER}(?:${GAP}*)TRIGGER${GAP}+(?:IF${GAP}+NOT${GAP}+EXISTS${GAP}+)?)(?:${LOOSE}${GAP}*\\.${GAP}*)?(${LOOSE})` +
    `(${GAP}+(?:BEFORE|AFTER)${GAP}+(?:[\\w,]|${GAP})+?${GAP}+ON${GAP}+)(?:${LOOSE}${GAP}*\\.${GAP}*)?(${LOOSE})(${GAP}+FOR${GAP}+EACH${GAP}+ROW(?=\\W))`,
  'i',
)

const SESSION = '(?:sql_mode|time_zone|foreign_key_checks|unique_checks)'
const SETTINGS: readonly RegExp[] = [
  /^SET NAMES '?\w+'?(?: COLLATE '?\w+'?)?$/,
  new RegExp(`^SET (?:@ratchet_\\w+ = @@SESSION\\.${SESSION}(?:, |$))+$`),
  new RegExp(`^SET (?:SESSION ${SESSION} = (?:'[A-Za-z0-9_,:+/ -]*'|[01]|@ratchet_\\w+)(?:, |$))+$`),
]

/** What a statement is; null: none that a dump holds. */
export function wordsOf(sql: string): Words | null {
  if (sql.startsWith('SET ')) return SETTINGS.some((one) => one.test(sql)) ? { kind: 'setting', name: '', sql } : null
  for (const [kind, pattern] of KINDS) {
    const [, name] = pattern.exec(sql) ?? []
    if (name !== undefined) return { kind, name: plain(name), sql }
  }
  const [head, create = '', name = '', when = '', on = '', each = ''] = TRIGGER.exec(sql) ?? []
  if (head === undefined) return null
  const rest = each + sql.slice(head.length)
  return { kind: 'trigger', name: plain(name), sql: create + name + when + on + rest, on: plain(on) }
}

const KINDS: readonly (readonly [DefinitionKind, RegExp])[] = [
  ['table', TABLE],
  ['sequence', SEQUENCE],
  ['sequence', VALUE],
  ['view', VIEW],
  ['routine', ROUTINE],
  ['event', EVENT],
]

function plain(name: string): string {
  const quote = name.slice(0, 1)
  return quote === '`' || quote === '"' ? name.slice(1, -1).replaceAll(quote + quote, quote) : name
}

/** A string, a comment or a name: what words in them say, nobody does. A comment of the server's own is none. */
const QUOTED = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`|\/\*(?![!M])[^]*?\*\/|(?:--[ \t]|#)[^\n]*/gs

/** Engines that keep rows in this database alone. */
const ENGINES =
  /^(?:InnoDB|MyISAM|Aria|MEMORY|ARCHIVE|CSV|BLACKHOLE|ROCKSDB|TokuDB|ndbcluster|ColumnStore|MRG_My?ISAM)$/i

/** Why the definition of a table is not run: it would take rows from elsewhere, or keep them elsewhere. */
export function refusedTable(sql: string, trusted: boolean): string | null {
  const bare = sql.replaceAll(QUOTED, ' ')
  if (/\b(?:SELECT|TABLE|WITH)\b(?!\s+(?:PARSER|SYSTEM))/i.test(bare.slice('CREATE TABLE'.length)))
    return 'it would be filled by a query'
  if (trusted) return null
  if (/\b(?:DATA|INDEX)\s+DIRECTORY\b/i.test(bare)) return 'its files would lie in a folder that it names'
  if (/\b(?:CONNECTION|UNION)\s*=/i.test(bare)) return 'its rows would lie elsewhere'
  const [, engine = 'InnoDB'] = /\bENGINE\s*=\s*(\w+)/i.exec(bare) ?? []
  return ENGINES.test(engine) ? null : `it asks for the engine ${engine}`
}

const OWNER = new RegExp(`\\bDEFINER\\s*=\\s*${ACCOUNT}\\s+`, 'i')
/** Longer than any head of a definition. */
const HEAD = 2000

/** The definition without the account it ran under: it runs under that of whoever makes it. */
export function withoutDefiner(sql: string): string {
  return sql.slice(0, HEAD).replace(OWNER, '') + sql.slice(HEAD)
}

export const hasDefiner = (sql: string): boolean => OWNER.test(sql.slice(0, HEAD))
