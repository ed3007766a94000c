import { textOf, USERS } from './catalogue.ts'
import { identifier, literal, qualified } from './identifier.ts'
import { notOfExtension } from './object-edges.ts'
import type { DatabaseObject } from './objects.ts'
import type { Facts, PostgresSession } from './session.ts'

/** Everything that is no table: schemas, extensions, collations, types, functions. */
export async function schemata(session: PostgresSession): Promise<DatabaseObject[]> {
  return [
    ...(await schemas(session)),
    ...(await extensions(session)),
    ...(await collations(session)),
    ...(await enums(session)),
    ...(await domains(session)),
    ...(await composites(session)),
    ...(await ranges(session)),
    ...(await functions(session)),
  ]
}

const nameOf = (row: Facts): string => qualified(textOf(row, 'schema'), textOf(row, 'name'))

async function schemas(session: PostgresSession): Promise<DatabaseObject[]> {
  const rows = await session.facts(`
    SELECT n.oid, n.nspname AS name FROM pg_namespace n
     WHERE ${USERS} AND n.nspname <> 'public' AND ${notOfExtension('pg_namespace', 'n.oid')} ORDER BY n.nspname COLLATE "C"`)
  return rows.map((row) => ({
    id: `pg_namespace:${textOf(row, 'oid')}`,
    rank: 'schema',
    sql: [`CREATE SCHEMA ${identifier(textOf(row, 'name'))};`],
  }))
}

async function extensions(session: PostgresSession): Promise<DatabaseObject[]> {
  const rows = await session.facts(`
    SELECT e.oid, e.extname AS name, n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE e.oid >= 16384 ORDER BY e.oid`)
  return rows.map((row) => {
    const [name, schema] = [identifier(textOf(row, 'name')), identifier(textOf(row, 'schema'))]
    const sql = [`CREATE EXTENSION IF NOT EXISTS ${name} WITH SCHEMA ${schema};`]
    return { id: `pg_extension:${textOf(row, 'oid')}`, rank: 'extension', sql }
  })
}

const PROVIDERS: Readonly<Record<string, string>> = { i: 'icu', c: 'libc', b: 'builtin' }

async function collations(session: PostgresSession): Promise<DatabaseObject[]> {
  const rows = await session.facts(`
    SELECT l.oid, l.collname AS name, n.nspname AS schema, pg_catalog.to_jsonb(l)::pg_catalog.text AS facts
      FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
     WHERE ${USERS} AND ${notOfExtension('pg_collation', 'l.oid')} ORDER BY l.oid`)
  return rows.map((row) => {
    // What it is called has changed from version to version.
    const facts = JSON.parse(textOf(row, 'facts')) as Record<string, string | boolean | null>
    const text = (name: string): string | null => (typeof facts[name] === 'string' ? facts[name] : null)
    const locale = text('colllocale') ?? text('colliculocale') ?? text('collcollate') ?? ''
    const [collate, ctype] = [text('collcollate') ?? locale, text('collctype') ?? locale]
    const provider = PROVIDERS[text('collprovider') ?? ''] ?? 'libc'
    const options = [
      `provider = ${provider}`,
      ...(provider === 'libc'
        ? [`lc_collate = ${literal(collate)}`, `lc_ctype = ${literal(ctype)}`]
        : [`locale = ${literal(locale)}`]),
      ...(facts['collisdeterministic'] === false ? ['deterministic = false'] : []),
    ]
    const sql = [`CREATE COLLATION ${nameOf(row)} (${options.join(', ')});`]
    return { id: `pg_collation:${textOf(row, 'oid')}`, rank: 'collation', sql }
  })
}

const typeId = (row: Facts, column = 'oid'): string => `pg_type:${textOf(row, column)}`

const TYPES = `FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE ${USERS} AND ${notOfExtension('pg_type', 't.oid')}`

async function enums(session: PostgresSession): Promise<DatabaseObject[]> {
  const rows = await session.facts(`
    SELECT t.oid, t.typarray AS array, n.nspname AS schema, t.typname AS name,
           (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels
    ${TYPES} AND t.typtype = 'e' ORDER BY t.oid`)
  return rows.map((row) => {
    const labels = JSON.parse(row['labels'] ?? '[]') as string[]
    const sql = [`CREATE TYPE ${nameOf(row)} AS ENUM (${labels.map(literal).join(', ')});`]
    return { id: typeId(row), also: [typeId(row, 'array')], rank: 'type', sql }
  })
}

async function domains(session: PostgresSession): Promise<DatabaseObject[]> {
  const rows = await session.facts(`
    SELECT t.oid, t.typarray AS array, n.nspname AS schema, t.typname AS name, t.typnotnull AS filled,
           pg_catalog.format_type(t.typbasetype, t.typtypmod) AS base,
           COALESCE(pg_catalog.pg_get_expr(t.typdefaultbin, 'pg_type'::pg_catalog.regclass), pg_catalog.quote_literal(t.typdefault)) AS initial,
           (SELECT pg_catalog.format('%I.%I', ln.nspname, l.collname) FROM pg_collation l
              JOIN pg_namespace ln ON ln.oid = l.collnamespace JOIN pg_type b ON b.oid = t.typbasetype
             WHERE l.oid = t.typcollation AND t.typcollation <> b.typcollation) AS collation,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(c.oid, c.conname, pg_catalog.pg_get_constraintdef(c.oid)) ORDER BY c.conname)
              FROM pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c') AS checks
    ${TYPES} AND t.typtype = 'd' ORDER BY t.oid`)
  return rows.map((row) => {
    const checks = JSON.parse(row['checks'] ?? '[]') as [oid: string | number, name: string, sql: string][]
    const parts = [
      `CREATE DOMAIN ${nameOf(row)} AS ${textOf(row, 'base')}`,
      ...(row['collation'] === null ? [] : [`COLLATE ${textOf(row, 'collation')}`]),
      ...(row['initial'] === null ? [] : [`DEFAULT ${textOf(row, 'initial')}`]),
      ...(row['filled'] === 't' ? ['NOT NULL'] : []),
      ...checks.map(([, name, sql]) => `CONSTRAINT ${identifier(name)} ${sql}`),
    ]
    const also = [typeId(row, 'array'), ...checks.map(([oid]) => `pg_constraint:${oid}`)]
    return { id: typeId(row), also, rank: 'type', sql: [`${parts.join(' ')};`] }
  })
}

async function composites(session: PostgresSession): Promise<DatabaseObject[]> {
  const rows = await session.facts(`
    SELECT t.oid, t.typarray AS array, t.typrelid AS relation, n.nspname AS schema, t.typname AS name,
           (SELECT pg_catalog.string_agg(pg_catalog.concat(pg_catalog.quote_ident(a.attname), ' ', pg_catalog.format_type(a.atttypid, a.atttypmod),
                     CASE WHEN a.attcollation <> b.typcollation THEN pg_catalog.format(' COLLATE %I.%I', ln.nspname, l.collname) END), ', ' ORDER BY a.attnum)
              FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
              LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
    ${TYPES} AND t.typtype = 'c' AND EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c') ORDER BY t.oid`)
  return rows.map((row) => ({
    id: typeId(row),
    also: [typeId(row, 'array'), `pg_class:${textOf(row, 'relation')}`],
    rank: 'type',
    sql: [`CREATE TYPE ${nameOf(row)} AS (${textOf(row, 'columns')});`],
  }))
}

async function ranges(session: PostgresSession): Promise<DatabaseObject[]> {
  const multi = session.version >= 140_000 ? 'r.rngmultitypid' : '0::pg_catalog.oid'
  const rows = await session.facts(`
    SELECT t.oid, t.typarray AS array, n.nspname AS schema, t.typname AS name, m.oid AS multi, m.typarray AS multi_array,
           pg_catalog.format_type(r.rngsubtype, NULL) AS base, pg_catalog.format('%I.%I', mn.nspname, m.typname) AS multi_name,
           pg_catalog.format('%I.%I', o_n.nspname, o.opcname) AS operators,
           CASE WHEN r.rngcollation <> b.typcollation THEN pg_catalog.format('%I.%I', ln.nspname, l.collname) END AS collation,
           CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::pg_catalog.regproc::pg_catalog.text END AS difference
      FROM pg_range r JOIN pg_type t ON t.oid = r.rngtypid JOIN pg_namespace n ON n.oid = t.typnamespace
      JOIN pg_type b ON b.oid = r.rngsubtype JOIN pg_opclass o ON o.oid = r.rngsubopc
      JOIN pg_namespace o_n ON o_n.oid = o.opcnamespace
      LEFT JOIN pg_collation l ON l.oid = r.rngcollation LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
      LEFT JOIN pg_type m ON m.oid = ${multi} LEFT JOIN pg_namespace mn ON mn.oid = m.typnamespace
     WHERE ${USERS} AND ${notOfExtension('pg_type', 't.oid')} AND r.rngcanonical = 0 ORDER BY t.oid`)
  return rows.map((row) => {
    const options = [
      `subtype = ${textOf(row, 'base')}`,
      `subtype_opclass = ${textOf(row, 'operators')}`,
      ...(row['collation'] === null ? [] : [`collation = ${textOf(row, 'collation')}`]),
      ...(row['difference'] === null ? [] : [`subtype_diff = ${textOf(row, 'difference')}`]),
      ...(row['multi'] === null ? [] : [`multirange_type_name = ${textOf(row, 'multi_name')}`]),
    ]
    const also = [typeId(row, 'array'), typeId(row, 'multi'), typeId(row, 'multi_array')]
    return {
      id: typeId(row),
      also,
      rank: 'type',
      sql: [`CREATE TYPE ${nameOf(row)} AS RANGE (${options.join(', ')});`],
    }
  })
}

/** Those that a range makes itself (its constructors) belong to it. */
async function functions(session: PostgresSession): Promise<DatabaseObject[]> {
  const kind = session.version >= 110_000 ? "p.prokind <> 'a'" : 'NOT p.proisagg'
  const rows = await session.facts(`
    SELECT p.oid, pg_catalog.pg_get_functiondef(p.oid) AS sql FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE ${USERS} AND ${kind} AND ${notOfExtension('pg_proc', 'p.oid')}
       AND NOT EXISTS (SELECT 1 FROM pg_depend i WHERE i.classid = 'pg_proc'::pg_catalog.regclass AND i.objid = p.oid AND i.deptype = 'i')
     ORDER BY p.oid`)
  return rows.map((row) => ({
    id: `pg_proc:${textOf(row, 'oid')}`,
    rank: 'function',
    sql: [`${textOf(row, 'sql').trimEnd()};`],
  }))
}
