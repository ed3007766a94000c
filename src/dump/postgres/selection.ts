import type { Lack } from '../sql-dump.ts'
import { textOf, type Relation } from './catalogue.ts'
import { qualified } from './identifier.ts'
import type { PostgresSession } from './session.ts'

/** Tables by `schema.table`, or by `table` in any schema: names as they are, no patterns. */
export interface Choice {
  /** Left out, with what is made of them. */
  readonly exclude?: readonly string[]
  /** Without their rows. */
  readonly structureOnly?: readonly string[]
  /** Only these; absent: all. */
  readonly include?: readonly string[]
}

/** What of a database is dumped. */
export interface Selection {
  /** With rows, in the order in which they are read. */
  readonly tables: readonly Relation[]
  readonly sequences: readonly Relation[]
  /** Left out: tables, what is made of them, and their sequences. */
  readonly without: readonly Relation[]
  /** Foreign keys of tables that stay to tables that do not: as pg_dump writes them. */
  readonly cutKeys: readonly string[]
  readonly lacks: readonly Lack[]
}

const named = (names: readonly string[], { schema, name }: Relation): boolean =>
  names.includes(name) || names.includes(`${schema}.${name}`)

export async function select(
  session: PostgresSession,
  relations: readonly Relation[],
  { exclude = [], structureOnly = [], include }: Choice,
): Promise<Selection> {
  const own = relations.filter(({ condition }) => condition !== null)
  const isTable = ({ kind }: Relation): boolean =>
    kind !== 'view' && kind !== 'materialized view' && kind !== 'sequence'
  // A table that is named stands for its parts.
  const all = async (names: readonly string[]): Promise<ReadonlySet<string>> =>
    withParts(
      session,
      own.filter((one) => named(names, one)).map(({ oid }) => oid),
    )
  const [wanted, rowless] = [include === undefined ? null : await all(include), await all(structureOnly)]
  const unwanted = (one: Relation): boolean =>
    named(exclude, one) || (wanted !== null && isTable(one) && !wanted.has(one.oid))
  const out = new Set(own.filter(unwanted).map(({ oid }) => oid))
  // A name in the profile that fits nothing is most likely misspelt.
  const unknown = [...(include ?? []), ...structureOnly].filter((name) => !own.some((one) => named([name], one)))
  const why = 'the profile names it, and it is not there'
  const lacks: Lack[] = unknown.map((name) => ({ kind: 'table', name, why }))
  for (const view of await dependants(session, out)) {
    const found = own.find(({ oid }) => oid === view)
    if (found === undefined || out.has(view)) continue
    out.add(view)
    lacks.push({ kind: found.kind, name: found.shown, why: 'it is made of something that is left out' })
  }
  for (const { kind, oid, owner } of own) if (kind === 'sequence' && owner !== null && out.has(owner)) out.add(oid)
  const kept = own.filter(({ oid }) => !out.has(oid))
  for (const { kind, shown } of kept)
    if (kind === 'foreign table') lacks.push({ kind, name: shown, why: 'its rows lie on another server' })
  const keys = await cutKeys(session, out)
  return {
    tables: kept.filter((one) => one.kind === 'table' && !rowless.has(one.oid)),
    sequences: kept.filter(({ kind }) => kind === 'sequence'),
    without: own.filter(({ oid }) => out.has(oid)),
    cutKeys: keys.map(({ sql }) => sql),
    lacks: [...lacks, ...keys.map(({ lack }) => lack), ...(await otherLacks(session))],
  }
}

async function withParts(session: PostgresSession, oids: readonly string[]): Promise<ReadonlySet<string>> {
  if (oids.length === 0) return new Set()
  const rows = await session.facts(
    `WITH RECURSIVE part (oid) AS (
       SELECT pg_catalog.unnest($1::pg_catalog.oid[])
       UNION SELECT i.inhrelid FROM part p JOIN pg_inherits i ON i.inhparent = p.oid
              JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition)
     SELECT oid FROM part`,
    [`{${oids.join(',')}}`],
  )
  return new Set(rows.map((row) => textOf(row, 'oid')))
}

/** Views that are made of one of these, or of one that is; and parts of a table that is left out. */
async function dependants(session: PostgresSession, out: ReadonlySet<string>): Promise<string[]> {
  if (out.size === 0) return []
  const rows = await session.facts(
    `WITH RECURSIVE gone (oid) AS (
       SELECT pg_catalog.unnest($1::pg_catalog.oid[])
       UNION SELECT x.oid FROM gone g CROSS JOIN LATERAL (
         SELECT r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
          WHERE d.classid = 'pg_rewrite'::pg_catalog.regclass AND d.refclassid = 'pg_class'::pg_catalog.regclass
            AND d.refobjid = g.oid
         UNION ALL SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = g.oid) AS x (oid))
     SELECT oid FROM gone`,
    [`{${[...out].join(',')}}`],
  )
  return rows.map((row) => textOf(row, 'oid'))
}

async function cutKeys(session: PostgresSession, out: ReadonlySet<string>): Promise<{ sql: string; lack: Lack }[]> {
  if (out.size === 0) return []
  const rows = await session.facts(
    `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, c.relkind AS kind,
            pg_catalog.quote_ident(k.conname) AS name, pg_catalog.pg_get_constraintdef(k.oid) AS sql
       FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE k.contype = 'f' AND k.confrelid = ANY ($1::pg_catalog.oid[]) AND NOT k.conrelid = ANY ($1::pg_catalog.oid[])`,
    [`{${[...out].join(',')}}`],
  )
  return rows.map((row) => {
    const [table, name] = [textOf(row, 'table'), textOf(row, 'name')]
    const only = row['kind'] === 'p' ? '' : 'ONLY '
    const why = `the table it points to is left out (${table})`
    const sql = `ALTER TABLE ${only}${table}\n    ADD CONSTRAINT ${name} ${textOf(row, 'sql')};`
    return { sql, lack: { kind: 'foreign key', name, why } }
  })
}

/** What no table holds and no definition makes. */
async function otherLacks(session: PostgresSession): Promise<Lack[]> {
  const [objects] = await session.facts('SELECT pg_catalog.count(*) AS count FROM pg_largeobject_metadata')
  const count = Number(objects?.['count'] ?? 0)
  const lacks: Lack[] =
    count === 0 ? [] : [{ kind: 'large objects', name: '*', why: `there are ${count}; large objects are not read` }]
  const subscriptions = await session.facts(
    `SELECT s.subname AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
      WHERE d.datname = pg_catalog.current_database()`,
  )
  for (const row of subscriptions)
    lacks.push({ kind: 'subscription', name: textOf(row, 'name'), why: 'it would subscribe where it is loaded' })
  return lacks
}

/** What the sequences of the database go on from: never a value that was given out already. */
export async function sequenceValues(session: PostgresSession, sequences: readonly Relation[]): Promise<string[]> {
  const statements: string[] = []
  for (const { schema, name } of sequences) {
    const from = qualified(schema, name)
    const [row] = await session.facts(`SELECT last_value AS last, is_called AS called FROM ${from}`)
    // Numbers, by the server's own word; still nothing but digits goes into SQL.
    const last = BigInt(textOf(row ?? {}, 'last'))
    const text = from.replaceAll("'", "''")
    statements.push(`SELECT pg_catalog.setval('${text}', ${last}, ${row?.['called'] === 't'});`)
  }
  return statements
}
