import { said } from '../../dump/server-errors.ts'
import { SPARE_TABLE, OWN_SCHEMA } from './marker.ts'
import type { Token } from './sql-cut.ts'

/** A statement that may be run: what it is about, and whether the rest of a dump is worth something without it. */
export interface Allowed {
  readonly kind: 'setting' | 'definition' | 'rows'
  /** `event trigger`, `comment`, `table`. */
  readonly what: string
  readonly name: string
  /** SQLSTATEs with which it may fail; what it would have made is told as lacking then. */
  readonly spare: ReadonlySet<string>
  /** SQLSTATEs with which it fails where all is well: it is there. */
  readonly there: ReadonlySet<string>
}

/** Settings that pg_dump writes and this program; each with values that say nothing else. */
const SETTINGS: ReadonlySet<string> = new Set([
  ...['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'],
  ...['client_encoding', 'standard_conforming_strings', 'check_function_bodies', 'xmloption', 'client_min_messages'],
  ...['row_security', 'datestyle', 'intervalstyle', 'timezone', 'lc_monetary', 'escape_string_warning'],
  ...['default_tablespace', 'default_table_access_method', 'default_with_oids', 'default_toast_compression'],
  ...['search_path', 'extra_float_digits', 'synchronize_seqscans', 'quote_all_identifiers'],
])
const SET = /^SET ([A-Za-z_]+) (?:=|TO) ('[^'\\]*'|-?[A-Za-z0-9_.]+)$/
const RESET = /^RESET ([A-Za-z_]+)$/
const EMPTY_PATH = "SELECT pg_catalog.set_config('search_path', '', false)"
const SET_VALUE = /^SELECT pg_catalog\.setval\('(?:[^'\\]|''|\\)*', -?\d{1,20}, (?:true|false)\)$/
const LARGE_OBJECT = /^SELECT pg_catalog\.lo_create\('\d{1,10}'\)$/

const IDENTIFIER = String.raw`(?:"(?:[^"\0]|"")+"|[a-z_\x80-\xff][a-z0-9_$\x80-\xff]*)`
const COPY = new RegExp(
  String.raw`^COPY (?:(${IDENTIFIER})\.)?(${IDENTIFIER})(?: \(${IDENTIFIER}(?:, ${IDENTIFIER})*\))? FROM stdin$`,
)
/** The first that is written as names are, and not as the words of statements. */
const NAME = new RegExp(`^.{0,60}?(${IDENTIFIER}(?:\\.${IDENTIFIER})*)`, 's')
const SCHEMA = new RegExp(`^CREATE SCHEMA (?:IF NOT EXISTS )?(${IDENTIFIER})$`)

/** By the first words behind CREATE and OR REPLACE. */
const CREATED = [
  ...['TABLE', 'UNLOGGED TABLE', 'FOREIGN TABLE', 'VIEW', 'RECURSIVE VIEW', 'MATERIALIZED VIEW'],
  ...['FUNCTION', 'PROCEDURE', 'AGGREGATE', 'TYPE', 'DOMAIN', 'SEQUENCE', 'UNLOGGED SEQUENCE'],
  ...['INDEX', 'UNIQUE INDEX', 'TRIGGER', 'CONSTRAINT TRIGGER', 'RULE', 'SCHEMA', 'EXTENSION', 'COLLATION'],
  ...['CAST', 'CONVERSION', 'DEFAULT CONVERSION', 'OPERATOR CLASS', 'OPERATOR FAMILY', 'OPERATOR', 'STATISTICS'],
  ...['POLICY', 'TEXT SEARCH PARSER', 'TEXT SEARCH TEMPLATE', 'TEXT SEARCH', 'EVENT TRIGGER', 'PUBLICATION'],
  // Without FOR, a role named mapping would be made.
  ...['FOREIGN DATA WRAPPER', 'SERVER', 'USER MAPPING FOR', 'LANGUAGE', 'PROCEDURAL LANGUAGE', 'TRUSTED LANGUAGE'],
  ...['TRUSTED PROCEDURAL LANGUAGE', 'TRANSFORM', 'ACCESS METHOD'],
]
const ALTERED = [
  ...['TABLE', 'INDEX', 'VIEW', 'MATERIALIZED VIEW', 'FOREIGN TABLE', 'SEQUENCE', 'TYPE', 'DOMAIN', 'FUNCTION'],
  ...['PROCEDURE', 'AGGREGATE', 'ROUTINE', 'OPERATOR CLASS', 'OPERATOR FAMILY', 'OPERATOR', 'COLLATION', 'CONVERSION'],
  ...['SCHEMA', 'STATISTICS', 'TRIGGER', 'EVENT TRIGGER', 'PUBLICATION', 'SERVER', 'FOREIGN DATA WRAPPER'],
  ...['TEXT SEARCH', 'LANGUAGE', 'PROCEDURAL LANGUAGE', 'LARGE OBJECT'],
]
/** What reaches beyond the database, or its server: in a dump of somebody else's it has no place. */
const FAR =
  /^(EVENT TRIGGER|FOREIGN|SERVER|USER MAPPING|PUBLICATION|(TRUSTED |PROCEDURAL )*LANGUAGE|TRANSFORM|ACCESS METHOD)/
/** What a server lets few people make, and rows do not need. */
const FEW = new RegExp(`${FAR.source}|^(EXTENSION|OPERATOR (CLASS|FAMILY)|TEXT SEARCH (PARSER|TEMPLATE))`)
/** Of these there is one for all databases. */
const SHARED: ReadonlySet<string> = new Set(['DATABASE', 'ROLE', 'TABLESPACE', 'SUBSCRIPTION'])

const NONE: ReadonlySet<string> = new Set()
const DENIED_OR_MISSING: ReadonlySet<string> = new Set(['42501', '42704', '42P01', '42883', '0A000', '58P01', '22023'])
const ANY_COMMENT: ReadonlySet<string> = new Set(['42501', '42704', '42P01', '42703', '42883', '3F000', '22023'])

/**
 * Whether it is about the marker of a load: a dump may hold one, made while a load was at work. How far this one has come
 * is not for a dump to say.
 */
export const isAboutMarker = (tokens: readonly Token[]): boolean =>
  tokens.some(({ kind, text }) => kind !== 'text' && (text === OWN_SCHEMA || text === SPARE_TABLE))

/**
 * Why it is refused, as a text; or what it is. `text`: without comments before it, and without its semicolon; a character
 * for each byte.
 */
export function judge(text: string, tokens: readonly Token[], cutOff: boolean, trusted: boolean): Allowed | string {
  const words = tokens.map(({ kind, text: word }) => (kind === 'word' ? word.toUpperCase() : ''))
  switch (words[0]) {
    case 'SET':
    case 'RESET':
      return setting(text)
    case 'SELECT':
      if (text === EMPTY_PATH) return plain('setting', 'setting', 'search_path')
      if (SET_VALUE.test(text)) return plain('definition', 'value of a sequence', shown(text))
      return LARGE_OBJECT.test(text) ? plain('definition', 'large object', shown(text)) : shortOf(text)
    case 'COPY':
      return rows(text)
    case 'COMMENT':
      if (words[1] !== 'ON' || SHARED.has(words[2] ?? '') || words[2] === '') return shortOf(text)
      return { ...plain('definition', 'comment', nameOf(text, /^COMMENT ON (.*?)(?: IS |$)/s)), spare: ANY_COMMENT }
    case 'REFRESH':
      return words[1] === 'MATERIALIZED' && words[2] === 'VIEW'
        ? plain('definition', 'materialized view', nameOf(text, /VIEW (.*)$/s))
        : shortOf(text)
    case 'CREATE':
      return created(text, tokens, words, { cutOff, trusted })
    case 'ALTER':
      return altered(text, words, trusted)
    default:
      return shortOf(text)
  }
}

const plain = (kind: Allowed['kind'], what: string, name: string): Allowed => ({
  kind,
  what,
  name,
  spare: NONE,
  there: NONE,
})

/** For people: here, each character is a byte. */
const shown = (bytes: string): string => said(Buffer.from(bytes.slice(0, 2000), 'latin1').toString('utf8'))

/** Enough of it to find it. */
const shortOf = (text: string): string => JSON.stringify(shown(text.slice(0, 200)).slice(0, 60))

const nameOf = (text: string, where: RegExp): string => shown(where.exec(text)?.[1] ?? text).slice(0, 120)

function setting(text: string): Allowed | string {
  const name = (SET.exec(text) ?? RESET.exec(text))?.[1]?.toLowerCase()
  if (name === undefined || !SETTINGS.has(name)) return shortOf(text)
  // Names are looked up where the dump says, in all of it.
  if (name === 'search_path' && !text.startsWith('RESET')) return shortOf(text)
  return plain('setting', 'setting', name)
}

function rows(text: string): Allowed | string {
  const [, schema, table] = COPY.exec(text) ?? []
  if (table === undefined) return shortOf(text)
  return plain('rows', 'rows', shown(`${schema === undefined ? '' : `${schema}.`}${table}`))
}

const unquoted = (name: string): string => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name)

interface Circumstances {
  readonly cutOff: boolean
  readonly trusted: boolean
}

function created(
  text: string,
  tokens: readonly Token[],
  words: readonly string[],
  { cutOff, trusted }: Circumstances,
): Allowed | string {
  const behind = words.slice(words[1] === 'OR' && words[2] === 'REPLACE' ? 3 : 1)
  const phrase = longest(CREATED, behind)
  if (phrase === null || (!trusted && FAR.test(phrase))) return shortOf(text)
  const definition = plain('definition', phrase.toLowerCase(), nameOf(text, NAME))
  if (phrase === 'SCHEMA') return schema(text)
  if (phrase.endsWith('TABLE') && (behind.includes('AS') || behind.includes('EXECUTE'))) return shortOf(text)
  if (phrase === 'FUNCTION' || phrase === 'PROCEDURE')
    return trusted || speaks(tokens, cutOff) ? definition : shortOf(text)
  if (phrase === 'EXTENSION') {
    const isUsual = /^CREATE EXTENSION (?:IF NOT EXISTS )?"?plpgsql"?\b/.test(text)
    return isUsual ? { ...definition, there: new Set(['42710', '42501']) } : { ...definition, spare: DENIED_OR_MISSING }
  }
  // A role that is not there sees nothing, so nobody sees more without it, unless it is a rule that forbids.
  if (phrase === 'POLICY' && !behind.includes('RESTRICTIVE')) return { ...definition, spare: new Set(['42704']) }
  return FEW.test(phrase) ? { ...definition, spare: DENIED_OR_MISSING } : definition
}

/** Nothing but its name: statements may stand in it, GRANT among them. */
function schema(text: string): Allowed | string {
  const [, name] = SCHEMA.exec(text) ?? []
  if (name === undefined) return shortOf(text)
  const definition = plain('definition', 'schema', shown(name))
  return unquoted(name) === 'public' ? { ...definition, there: new Set(['42P06', '42501']) } : definition
}

/** Whether a function is written in a language that the server keeps within the database. */
function speaks(tokens: readonly Token[], cutOff: boolean): boolean {
  const languages = tokens.flatMap(({ kind, text }, i) =>
    kind === 'word' && text.toUpperCase() === 'LANGUAGE' ? [tokens[i + 1]] : [],
  )
  const known = languages.every((token) => {
    const name = token === undefined || token.kind === 'escaped' ? '' : token.text.toLowerCase()
    // A single letter may belong to the quotes behind it: E'\x63'.
    return /^[a-z_][a-z0-9_]+$/.test(name) && name !== 'internal'
  })
  return known && !cutOff
}

function altered(text: string, words: readonly string[], trusted: boolean): Allowed | string {
  const behind = words.slice(1)
  const phrase = longest(ALTERED, behind)
  if (phrase === null || (!trusted && FAR.test(phrase))) return shortOf(text)
  // ALTER TABLE ALL IN TABLESPACE: not one table, but what lies in one place.
  if (behind[phrase.split(' ').length] === 'ALL') return shortOf(text)
  const name = nameOf(text, /^(?:ALTER )(.*?)(?: OWNER TO |$)/s)
  if (words.at(-3) === 'OWNER' && words.at(-2) === 'TO')
    return { ...plain('definition', 'owner', name), spare: DENIED_OR_MISSING }
  const definition = plain('definition', phrase.toLowerCase(), name)
  return FEW.test(phrase) ? { ...definition, spare: DENIED_OR_MISSING } : definition
}

/** The longest of the phrases that these words begin with. */
function longest(phrases: readonly string[], words: readonly string[]): string | null {
  const fit = phrases.filter((phrase) => phrase.split(' ').every((word, i) => word === words[i]))
  return fit.toSorted((a, b) => b.length - a.length)[0] ?? null
}
