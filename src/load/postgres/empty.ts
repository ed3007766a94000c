import type { PostgresSession } from '../../dump/postgres/session.ts'
import { BackupError } from '../../lib/errors.ts'
import { sayingOf } from './errors.ts'
import { OWN_SCHEMA, SPARE_TABLE } from './marker.ts'

/** Something in a database that did not come with it. */
interface Thing {
  /** In the server's words: `table`, `foreign-data wrapper`. */
  readonly type: string
  readonly identity: string
}

/** Objects that come with the server have smaller numbers (manual, "System Catalog Initial Data"). */
const FIRST = 16_384
/** So many at once; there may be more. */
const SOME = 500
/** Tables that are dropped by one statement: each is locked, with all that hangs on it. */
const TOGETHER = 50

const OUR_SCHEMAS = `n.nspname !~ '^pg_(toast_)?temp_' AND n.nspname NOT IN ('pg_toast', '${OWN_SCHEMA}')`

/** In the order in which they are dropped best. What hangs on others goes with them, and is not asked for. */
const CATALOGUES: readonly (readonly [catalogue: string, where: string])[] = [
  ['pg_publication', 'true'],
  ['pg_event_trigger', 'true'],
  [
    'pg_class',
    `t.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND NOT t.relname = '${SPARE_TABLE}'
       AND EXISTS (SELECT 1 FROM pg_namespace n WHERE n.oid = t.relnamespace AND ${OUR_SCHEMAS})`,
  ],
  ['pg_proc', 'true'],
  ...['pg_opclass', 'pg_opfamily', 'pg_operator', 'pg_cast'].map((name) => [name, 'true'] as const),
  [
    'pg_type',
    `EXISTS (SELECT 1 FROM pg_namespace n WHERE n.oid = t.typnamespace AND ${OUR_SCHEMAS})
       AND (t.typrelid = 0 OR EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
       AND NOT EXISTS (SELECT 1 FROM pg_type e WHERE e.typarray = t.oid)`,
  ],
  ...['pg_collation', 'pg_conversion', 'pg_ts_config', 'pg_ts_dict', 'pg_ts_parser', 'pg_ts_template'].map(
    (name) => [name, 'true'] as const,
  ),
  ...['pg_foreign_server', 'pg_foreign_data_wrapper', 'pg_language', 'pg_am'].map((name) => [name, 'true'] as const),
  ['pg_namespace', `t.nspname <> 'public' AND t.nspname !~ '^pg_' AND t.nspname <> '${OWN_SCHEMA}'`],
]

const LARGE_OBJECTS =
  "SELECT 99 AS rank, 'pg_largeobject'::pg_catalog.regclass AS class, t.oid FROM pg_largeobject_metadata t"

/** What is there beside what a new database holds, and beside the marker. Extensions and what they made are not. */
export async function thingsIn(session: PostgresSession, most = SOME): Promise<Thing[]> {
  const all = CATALOGUES.map(
    ([name, where], rank) =>
      `SELECT ${rank} AS rank, '${name}'::pg_catalog.regclass AS class, t.oid FROM ${name} t WHERE t.oid >= ${FIRST} AND ${where}`,
  )
  const rows = await session.facts(`
    SELECT i.type, i.identity FROM (${[...all, LARGE_OBJECTS].join(' UNION ALL ')}) AS w
      CROSS JOIN LATERAL pg_catalog.pg_identify_object(w.class, w.oid, 0) AS i
     WHERE NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = w.class AND x.objid = w.oid AND x.objsubid = 0 AND x.deptype IN ('e', 'i'))
     ORDER BY w.rank, w.oid LIMIT ${most}`)
  return rows.map((row) => ({ type: row['type'] ?? '', identity: row['identity'] ?? '' }))
}

/** Null: nothing. For people. */
export async function firstThingIn(session: PostgresSession): Promise<string | null> {
  const [thing] = await thingsIn(session, 1)
  return thing === undefined ? null : `${thing.type} ${thing.identity}`
}

/** Drops all of it, and all extensions but those that were there before. DATABASE_DENIED: what the account may not. */
export async function dropAllIn(session: PostgresSession, kept: readonly string[]): Promise<void> {
  for (;;) {
    const things = await thingsIn(session)
    if (things.length === 0) break
    let failure: unknown = null
    let dropped = 0
    for (const sql of statementsFor(things, session.version)) {
      try {
        await session.run(sql)
        dropped++
      } catch (error) {
        if (!session.alive) throw error
        failure = error
      }
    }
    if (dropped === 0) throw left(things[0], failure)
  }
  const extensions = await session.facts(
    'SELECT extname AS name, pg_catalog.quote_ident(extname) AS sql FROM pg_extension',
  )
  for (const { name, sql } of extensions)
    if (!kept.includes((name ?? '').replaceAll(' ', '?')))
      await session.run(`DROP EXTENSION IF EXISTS ${sql ?? ''} CASCADE`)
}

const left = (thing: Thing | undefined, cause: unknown): BackupError =>
  new BackupError('DATABASE_DENIED', `${thing?.type} ${thing?.identity} cannot be dropped: ${sayingOf(cause)}`, {
    hint: 'Drop it, or the whole database, with an account that may.',
    cause,
  })

const ROUTINES: ReadonlySet<string> = new Set(['function', 'procedure', 'aggregate'])

/** Each one for itself, so that one that cannot be dropped keeps no other. */
function statementsFor(things: readonly Thing[], version: number): string[] {
  const tables = things.filter(({ type }) => type === 'table').map(({ identity }) => identity)
  const others = things.filter(({ type }) => type !== 'table')
  const statements: string[] = []
  for (let at = 0; at < tables.length; at += TOGETHER)
    statements.push(`DROP TABLE IF EXISTS ${tables.slice(at, at + TOGETHER).join(', ')} CASCADE`)
  for (const { type, identity } of others) {
    if (type === 'large object') statements.push(`SELECT pg_catalog.lo_unlink(${identity})`)
    else statements.push(`DROP ${kindOf(type, version)} IF EXISTS ${identity} CASCADE`)
  }
  return statements
}

function kindOf(type: string, version: number): string {
  if (ROUTINES.has(type)) return version >= 110_000 ? 'ROUTINE' : type.toUpperCase()
  if (type === 'composite type') return 'TYPE'
  return type.replaceAll('-', ' ').toUpperCase()
}
