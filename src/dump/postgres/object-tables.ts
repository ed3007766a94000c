import { textOf, USERS } from './catalogue.ts'
import { identifier, literal, qualified } from './identifier.ts'
import { notOfExtension } from './object-edges.ts'
import type { DatabaseObject } from './objects.ts'
import type { Facts, PostgresSession } from './session.ts'

/** What stands in brackets behind GENERATED … AS IDENTITY, or behind CREATE SEQUENCE. */
const counting = (row: Facts): string =>
  [
    `START WITH ${BigInt(textOf(row, 'start'))} INCREMENT BY ${BigInt(textOf(row, 'step'))}`,
    `MINVALUE ${BigInt(textOf(row, 'least'))} MAXVALUE ${BigInt(textOf(row, 'most'))}`,
    `CACHE ${BigInt(textOf(row, 'cache'))}${row['round'] === 't' ? ' CYCLE' : ''}`,
  ].join(' ')

/** Tables with their columns and checks, but without keys; sequences, and whose they are. */
export async function tablesAndSequences(
  session: PostgresSession,
  out: ReadonlySet<string>,
): Promise<DatabaseObject[]> {
  const sequences = await session.facts(`
    SELECT c.oid, n.nspname AS schema, c.relname AS name, pg_catalog.format_type(s.seqtypid, NULL) AS type,
           s.seqstart AS start, s.seqincrement AS step, s.seqmin AS least, s.seqmax AS most, s.seqcache AS cache,
           s.seqcycle AS round, d.refobjid AS owner, d.refobjsubid AS column, d.deptype AS kind, a.attname AS column_name,
           tn.nspname AS owner_schema, t.relname AS owner_name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
      LEFT JOIN pg_depend d ON d.classid = 'pg_class'::pg_catalog.regclass AND d.objid = c.oid
           AND d.refclassid = 'pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
      LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE ${USERS} AND c.relpersistence <> 't' AND ${notOfExtension('pg_class', 'c.oid')} ORDER BY c.oid`)
  const kept = sequences.filter((row) => !out.has(textOf(row, 'oid')))
  const identities = new Map(
    kept.filter((row) => row['kind'] === 'i').map((row) => [`${textOf(row, 'owner')}.${textOf(row, 'column')}`, row]),
  )
  return [
    ...kept.filter((row) => row['kind'] !== 'i').flatMap(sequenceObjects),
    ...(await tables(session, out, identities)),
  ]
}

function sequenceObjects(row: Facts): DatabaseObject[] {
  const name = qualified(textOf(row, 'schema'), textOf(row, 'name'))
  const id = `pg_class:${textOf(row, 'oid')}`
  const made: DatabaseObject = {
    id,
    rank: 'sequence',
    sql: [`CREATE SEQUENCE ${name} AS ${textOf(row, 'type')} ${counting(row)};`],
    needs: [],
  }
  if (row['kind'] !== 'a') return [made]
  const column = `${qualified(textOf(row, 'owner_schema'), textOf(row, 'owner_name'))}.${identifier(textOf(row, 'column_name'))}`
  const needs = [id, `pg_class:${textOf(row, 'owner')}`]
  return [made, { id: `${id} owned`, rank: 'ownership', sql: [`ALTER SEQUENCE ${name} OWNED BY ${column};`], needs }]
}

async function tables(
  session: PostgresSession,
  out: ReadonlySet<string>,
  identities: ReadonlyMap<string, Facts>,
): Promise<DatabaseObject[]> {
  const rows = await session.facts(`
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relpersistence AS kind, c.reltype AS type, y.typarray AS array,
           c.relispartition AS is_part, CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS parts,
           pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound, pg_catalog.json_build_object('options', c.reloptions) AS options,
           CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END AS of,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(p.oid::pg_catalog.text, pn.nspname, p.relname) ORDER BY i.inhseqno)
              FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
             WHERE i.inhrelid = c.oid) AS parents,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(k.oid::pg_catalog.text, k.conname, pg_catalog.pg_get_constraintdef(k.oid), k.conislocal OR c.relispartition) ORDER BY k.conname)
              FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c') AS checks
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_type y ON y.oid = c.reltype
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${USERS} AND ${notOfExtension('pg_class', 'c.oid')}
     ORDER BY c.oid`)
  const kept = rows.filter((row) => !out.has(textOf(row, 'oid')))
  const columns = await columnsByTable(session)
  return kept.flatMap((row) => tableObjects(row, columns.get(textOf(row, 'oid')) ?? [], identities))
}

async function columnsByTable(session: PostgresSession): Promise<Map<string, Facts[]>> {
  const generated = session.version >= 120_000 ? 'a.attgenerated' : "''"
  const rows = await session.facts(`
    SELECT a.attrelid AS relation, a.attnum AS number, a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS filled, a.attidentity AS identity, ${generated} AS generated, a.attislocal AS own, d.oid AS initial_oid,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS initial,
           CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END AS storage,
           CASE WHEN a.attcollation <> t.typcollation THEN pg_catalog.format('%I.%I', ln.nspname, l.collname) END AS collation
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
      JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relpersistence <> 't' AND ${USERS} ORDER BY a.attrelid, a.attnum`)
  return Map.groupBy(rows, (row) => textOf(row, 'relation'))
}

type Parent = [oid: string, schema: string, name: string]
type Check = [oid: string, name: string, sql: string, own: boolean]

function tableObjects(row: Facts, columns: readonly Facts[], identities: ReadonlyMap<string, Facts>): DatabaseObject[] {
  const oid = textOf(row, 'oid')
  const name = qualified(textOf(row, 'schema'), textOf(row, 'name'))
  const parents = JSON.parse(row['parents'] ?? '[]') as Parent[]
  const checks = JSON.parse(row['checks'] ?? '[]') as Check[]
  const isPart = row['is_part'] === 't'
  // A part is made by itself, so that its columns keep their order, and attached; a child has what it does not inherit.
  const own = columns.filter((column) => isPart || column['own'] === 't')
  const inherited = columns.filter((column) => !own.includes(column))
  const lines = [
    ...own.map((column) => columnLine(column, identities.get(`${oid}.${textOf(column, 'number')}`))),
    ...checks.filter(([, , , local]) => local).map(([, check, sql]) => `CONSTRAINT ${identifier(check)} ${sql}`),
  ]
  const heirs =
    isPart || parents.length === 0 ? '' : ` INHERITS (${parents.map(([, s, n]) => qualified(s, n)).join(', ')})`
  const parts = row['parts'] === null ? '' : ` PARTITION BY ${textOf(row, 'parts')}`
  const unlogged = row['kind'] === 'u' ? 'UNLOGGED ' : ''
  const create = `CREATE ${unlogged}TABLE ${name} (\n    ${lines.join(',\n    ')}\n)${heirs}${parts}${optionsOf(row)};`
  const alter = `ALTER TABLE ONLY ${name}`
  const sql = [
    create,
    ...inherited.flatMap((column) => inheritedLines(alter, column)),
    ...columns.flatMap((column) => storageLines(alter, column)),
    ...(row['of'] === null ? [] : [`${alter} OF ${textOf(row, 'of')};`]),
  ]
  const also = [
    ...[`pg_type:${textOf(row, 'type')}`, `pg_type:${textOf(row, 'array')}`],
    ...columns.flatMap((column) =>
      column['initial_oid'] === null ? [] : [`pg_attrdef:${textOf(column, 'initial_oid')}`],
    ),
    ...checks.map(([check]) => `pg_constraint:${check}`),
  ]
  const id = `pg_class:${oid}`
  const made: DatabaseObject = { id, also, rank: 'table', sql }
  const [parent] = parents
  if (!isPart || parent === undefined) return [made]
  const attach = `ALTER TABLE ONLY ${qualified(parent[1], parent[2])} ATTACH PARTITION ${name} ${textOf(row, 'bound')};`
  return [made, { id: `${id} attached`, rank: 'attachment', sql: [attach], needs: [id, `pg_class:${parent[0]}`] }]
}

export function optionsOf(row: Facts): string {
  const { options } = JSON.parse(row['options'] ?? '{}') as { options?: string[] | null }
  if (options === undefined || options === null || options.length === 0) return ''
  const list = options.map((option) => {
    const at = option.indexOf('=')
    return `${option.slice(0, at)} = ${literal(option.slice(at + 1))}`
  })
  return ` WITH (${list.join(', ')})`
}

function columnLine(column: Facts, counter: Facts | undefined): string {
  const generated = textOf(column, 'generated')
  const initial = column['initial'] ?? null
  const parts = [`${identifier(textOf(column, 'name'))} ${textOf(column, 'type')}`]
  if (column['collation'] !== null) parts.push(`COLLATE ${textOf(column, 'collation')}`)
  if (generated !== '')
    parts.push(`GENERATED ALWAYS AS (${initial ?? 'NULL'}) ${generated === 's' ? 'STORED' : 'VIRTUAL'}`)
  else if (initial !== null) parts.push(`DEFAULT ${initial}`)
  if (column['filled'] === 't') parts.push('NOT NULL')
  if (counter !== undefined) {
    const when = column['identity'] === 'a' ? 'ALWAYS' : 'BY DEFAULT'
    const name = qualified(textOf(counter, 'schema'), textOf(counter, 'name'))
    parts.push(`GENERATED ${when} AS IDENTITY (SEQUENCE NAME ${name} ${counting(counter)})`)
  }
  return parts.join(' ')
}

function inheritedLines(alter: string, column: Facts): string[] {
  const name = identifier(textOf(column, 'name'))
  const initial = column['initial'] ?? null
  const lines = column['filled'] === 't' ? [`${alter} ALTER COLUMN ${name} SET NOT NULL;`] : []
  if (initial !== null && textOf(column, 'generated') === '')
    lines.push(`${alter} ALTER COLUMN ${name} SET DEFAULT ${initial};`)
  return lines
}

const STORAGES: Readonly<Record<string, string>> = { p: 'PLAIN', e: 'EXTERNAL', x: 'EXTENDED', m: 'MAIN' }

function storageLines(alter: string, column: Facts): string[] {
  const storage = STORAGES[textOf(column, 'storage')]
  if (storage === undefined) return []
  return [`${alter} ALTER COLUMN ${identifier(textOf(column, 'name'))} SET STORAGE ${storage};`]
}
