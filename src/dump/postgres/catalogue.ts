import { createHash } from 'node:crypto'
import { shown } from './identifier.ts'
import { keysByTable, type KeyColumn } from './keys.ts'
import type { Facts, PostgresSession } from './session.ts'

export type RelationKind = 'table' | 'partitioned' | 'view' | 'materialized view' | 'sequence' | 'foreign table'

/** What `pg_class` tells of something that has rows or looks as if it had. */
export interface Relation {
  readonly oid: string
  readonly schema: string
  readonly name: string
  /** Schema and name, for people and ids. */
  readonly shown: string
  readonly kind: RelationKind
  /** What the server estimates; never relied upon. */
  readonly rows: number
  /** Bytes, as told when it was analysed last. */
  readonly bytes: number
  /**
   * Which rows are the user's own: `''`, all of them; of an extension's table what it says itself (`WHERE …`); null:
   * the relation belongs to an extension and is made by it.
   */
  readonly condition: string | null
  /** Columns of the key that rows are read by, in its order; null: rows cannot be told apart, or not put in order. */
  readonly key: readonly KeyColumn[] | null
  /** Of a sequence: the table whose column it counts for. */
  readonly owner: string | null
}

const KINDS: Readonly<Record<string, RelationKind>> = {
  r: 'table',
  p: 'partitioned',
  v: 'view',
  m: 'materialized view',
  S: 'sequence',
  f: 'foreign table',
}

/** Which schemas are a user's. */
export const USERS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

/** All relations of the database that are no index and not temporary, by name: the bytes of names decide. */
export async function readRelations(session: PostgresSession): Promise<Relation[]> {
  const rows = await session.facts(`
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.reltuples::pg_catalog.int8 AS rows,
           c.relpages AS pages, (c.relpages + COALESCE(w.relpages, 0)) * pg_catalog.current_setting('block_size')::pg_catalog.int8 AS bytes, e.oid AS extension, pg_catalog.array_position(e.extconfig, c.oid) AS config,
           e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)] AS condition, o.refobjid AS owner
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class w ON w.oid = c.reltoastrelid
      LEFT JOIN pg_depend d ON d.classid = 'pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
      LEFT JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::pg_catalog.regclass
      LEFT JOIN pg_depend o ON c.relkind = 'S' AND o.classid = 'pg_class'::pg_catalog.regclass AND o.objid = c.oid
           AND o.refclassid = 'pg_class'::pg_catalog.regclass AND o.deptype IN ('a', 'i')
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't' AND ${USERS}
     ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`)
  const keys = await keysByTable(session)
  return rows.map((row) => relationOf(row, keys))
}

function relationOf(row: Facts, keys: ReadonlyMap<string, readonly KeyColumn[]>): Relation {
  const oid = textOf(row, 'oid')
  const [schema, name] = [textOf(row, 'schema'), textOf(row, 'name')]
  const config = row['config'] ?? null
  const condition = (row['extension'] ?? null) === null ? '' : config === null ? null : (row['condition'] ?? '')
  return {
    oid,
    schema,
    name,
    shown: shown(schema, name),
    kind: KINDS[textOf(row, 'kind')] ?? 'table',
    // A table that was never analysed has no estimate: so many rows to a page.
    rows: Math.max(Number(row['rows'] ?? 0), 0) || Number(row['pages'] ?? 0) * 50,
    bytes: Number(row['bytes'] ?? 0),
    condition,
    // What an extension says about its rows cannot be put together with a place to go on from.
    key: condition === '' ? (keys.get(oid) ?? null) : null,
    owner: row['owner'] ?? null,
  }
}

export const textOf = (row: Facts, name: string): string => row[name] ?? ''

/** A table as it is at this moment: what is read of it, and whether it is still the same. */
export interface TableState {
  /** Columns that are loaded: not those that the server computes. */
  readonly columns: readonly string[]
  /** Of its identity, its file, its columns and its key: of anything that makes it another one. */
  readonly digest: string
}

/** Null: there is no such table (any more). */
export async function tableState(
  session: PostgresSession,
  { schema, name, key }: Relation,
): Promise<TableState | null> {
  const generated = session.version >= 120_000 ? 'a.attgenerated' : "''"
  const rows = await session.facts(
    `SELECT c.oid, c.relkind, c.relfilenode, a.attnum, a.attname AS name, a.atttypid, a.atttypmod, a.attnotnull,
            a.attcollation, ${generated} AS generated, a.attidentity,
            pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
      WHERE n.nspname = $1 AND c.relname = $2 ORDER BY a.attnum`,
    [schema, name],
  )
  if (rows.length === 0) return null
  const there = rows.filter((row) => (row['name'] ?? null) !== null)
  const columns = there.filter((row) => textOf(row, 'generated') === '').map((row) => textOf(row, 'name'))
  const digest = createHash('sha256')
    .update(JSON.stringify([rows.map(Object.values), key]))
    .digest('hex')
    .slice(0, 16)
  return { columns, digest }
}

/** Catalogues that definitions are in, and what in them is somebody's temporary table: not counted. */
const WATCHED: readonly (readonly [catalogue: string, oid: string, schema: string | null, relation: string | null])[] =
  [
    ['pg_namespace', 't.oid', 't.oid', null],
    ['pg_type', 't.oid', 't.typnamespace', null],
    ['pg_proc', 't.oid', 't.pronamespace', null],
    ['pg_constraint', 't.oid', 't.connamespace', null],
    ['pg_index', 't.indexrelid', null, 't.indrelid'],
    ['pg_trigger', 't.oid', null, 't.tgrelid'],
    ['pg_rewrite', 't.oid', null, 't.ev_class'],
    ['pg_attrdef', 't.oid', null, 't.adrelid'],
    ['pg_sequence', 't.seqrelid', null, 't.seqrelid'],
    ['pg_policy', 't.oid', null, 't.polrelid'],
    ['pg_extension', 't.oid', null, null],
    ['pg_enum', 't.oid', null, null],
    ['pg_description', 't.objoid', null, null],
  ]

/** Of everything the catalogue holds but rows: another one after any change of a definition. */
export async function definitionsDigest(session: PostgresSession): Promise<string> {
  const hash = createHash('sha256')
  const sum = async (sql: string): Promise<void> =>
    void hash.update(`${textOf((await session.facts(sql))[0] ?? {}, 'sum')};`)
  await sum(`
    SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat(c.oid, ' ', c.relname, ' ', c.reloptions, ' ', a.attnum, ' ',
             a.attname, ' ', a.atttypid, ' ', a.atttypmod, ' ', a.attnotnull, ' ', a.attisdropped), ',' ORDER BY c.oid, a.attnum)) AS sum
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relpersistence <> 't' AND ${USERS}`)
  for (const [catalogue, oid, schema, relation] of WATCHED) {
    const temporary = [
      ...(schema === null
        ? []
        : [`EXISTS (SELECT 1 FROM pg_namespace n WHERE n.oid = ${schema} AND n.nspname ~ '^pg_(toast_)?temp_')`]),
      ...(relation === null
        ? []
        : [`EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = ${relation} AND c.relpersistence = 't')`]),
    ]
    await sum(`
      SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat(${oid}, ' ', t.xmin), ',' ORDER BY ${oid}, t.xmin::pg_catalog.text)) AS sum
        FROM ${catalogue} t WHERE NOT (${temporary.length === 0 ? 'false' : temporary.join(' OR ')})`)
  }
  return hash.digest('hex').slice(0, 16)
}
