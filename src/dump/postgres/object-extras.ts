import { textOf, USERS } from './catalogue.ts'
import { identifier, literal, qualified } from './identifier.ts'
import { notOfExtension } from './object-edges.ts'
import { optionsOf } from './object-tables.ts'
import type { DatabaseObject } from './objects.ts'
import type { Facts, PostgresSession } from './session.ts'

type Asked = (sql: string) => Promise<Facts[]>

/** What comes on top of tables: keys, indexes, views, rules, triggers, policies, comments. */
export async function extras(session: PostgresSession, out: ReadonlySet<string>): Promise<DatabaseObject[]> {
  // Nothing of what is left out, nor what points to it.
  const ask: Asked = async (sql) =>
    (await session.facts(sql)).filter((row) => !out.has(textOf(row, 'relation')) && !out.has(row['other'] ?? ''))
  return [
    ...(await keys(ask, session.version)),
    ...(await indexes(ask)),
    ...(await views(ask)),
    ...(await rules(ask)),
    ...(await statistics(ask)),
    ...(await triggers(ask, session.version)),
    ...(await policies(ask)),
    ...(await comments(ask)),
  ]
}

const tableOf = (row: Facts): string => qualified(textOf(row, 'schema'), textOf(row, 'name'))
const RELATION = 'c.oid AS relation, n.nspname AS schema, c.relname AS name, c.relkind AS kind'
const FROM = 'JOIN pg_namespace n ON n.oid = c.relnamespace'
const OWN = `${USERS} AND c.relpersistence <> 't' AND ${notOfExtension('pg_class', 'c.oid')}`

/** Keys of parts belong to the parts, and are attached; foreign keys of parts come with those of the whole. */
async function keys(ask: Asked, version: number): Promise<DatabaseObject[]> {
  const inherited = version >= 110_000 ? "AND NOT (k.contype = 'f' AND k.conparentid <> 0)" : ''
  const rows = await ask(`
    SELECT k.oid, ${RELATION}, k.conname AS key, k.contype AS type, pg_catalog.pg_get_constraintdef(k.oid) AS sql,
           k.conindid AS index, NULLIF(k.confrelid, 0) AS other, i.indisclustered AS clustered
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid ${FROM} LEFT JOIN pg_index i ON i.indexrelid = k.conindid
     WHERE k.contype IN ('p', 'u', 'x', 'f') AND ${OWN} ${inherited} ORDER BY k.oid`)
  return rows.map((row): DatabaseObject => {
    const isForeign = row['type'] === 'f'
    const only = isForeign && row['kind'] === 'p' ? '' : 'ONLY '
    const sql = `ALTER TABLE ${only}${tableOf(row)} ADD CONSTRAINT ${identifier(textOf(row, 'key'))} ${textOf(row, 'sql')};`
    return {
      id: `pg_constraint:${textOf(row, 'oid')}`,
      also: isForeign ? [] : [`pg_class:${textOf(row, 'index')}`],
      rank: isForeign ? 'foreign key' : 'key',
      sql: [sql],
    }
  })
}

async function indexes(ask: Asked): Promise<DatabaseObject[]> {
  const rows = await ask(`
    SELECT i.indexrelid AS oid, ${RELATION}, pg_catalog.pg_get_indexdef(i.indexrelid) AS sql, i.indisreplident AS identity,
           ic.relname AS index, EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) AS is_key,
           h.inhparent AS parent, pn.nspname AS parent_schema, p.relname AS parent_name, c.relreplident AS identity_kind
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid ${FROM} JOIN pg_class ic ON ic.oid = i.indexrelid
      LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid LEFT JOIN pg_class p ON p.oid = h.inhparent
      LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
     WHERE ${OWN} ORDER BY i.indexrelid`)
  return rows.flatMap((row): DatabaseObject[] => {
    const id = `pg_class:${textOf(row, 'oid')}`
    const index = qualified(textOf(row, 'schema'), textOf(row, 'index'))
    const made: DatabaseObject[] = row['is_key'] === 't' ? [] : [{ id, rank: 'index', sql: [`${textOf(row, 'sql')};`] }]
    if (row['parent'] !== null) {
      const parent = qualified(textOf(row, 'parent_schema'), textOf(row, 'parent_name'))
      const needs = [id, `pg_class:${textOf(row, 'parent')}`]
      const sql = [`ALTER INDEX ${parent} ATTACH PARTITION ${index};`]
      made.push({ id: `${id} attached`, rank: 'index attachment', sql, needs })
    }
    if (row['identity'] === 't') {
      const sql = [`ALTER TABLE ONLY ${tableOf(row)} REPLICA IDENTITY USING INDEX ${identifier(textOf(row, 'index'))};`]
      made.push({ id: `${id} identity`, rank: 'index attachment', sql, needs: [id] })
    }
    return made
  })
}

async function views(ask: Asked): Promise<DatabaseObject[]> {
  const rows = await ask(`
    SELECT ${RELATION}, c.reltype AS type, y.typarray AS array, pg_catalog.pg_get_viewdef(c.oid) AS sql, c.relispopulated AS filled,
           pg_catalog.json_build_object('options', c.reloptions) AS options,
           (SELECT r.oid FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename = '_RETURN') AS rule
      FROM pg_class c ${FROM} LEFT JOIN pg_type y ON y.oid = c.reltype
     WHERE c.relkind IN ('v', 'm') AND ${OWN} ORDER BY c.oid`)
  return rows.flatMap((row): DatabaseObject[] => {
    const id = `pg_class:${textOf(row, 'relation')}`
    const also = [
      `pg_type:${textOf(row, 'type')}`,
      `pg_type:${textOf(row, 'array')}`,
      `pg_rewrite:${textOf(row, 'rule')}`,
    ]
    const query = textOf(row, 'sql').trimEnd().replace(/;$/, '')
    if (row['kind'] === 'v')
      return [{ id, also, rank: 'view', sql: [`CREATE VIEW ${tableOf(row)}${optionsOf(row)} AS\n${query};`] }]
    const sql = [`CREATE MATERIALIZED VIEW ${tableOf(row)}${optionsOf(row)} AS\n${query}\n  WITH NO DATA;`]
    const made: DatabaseObject = { id, also, rank: 'view', sql }
    if (row['filled'] !== 't') return [made]
    const refresh = [`REFRESH MATERIALIZED VIEW ${tableOf(row)};`]
    return [made, { id: `${id} filled`, rank: 'refresh', sql: refresh, needs: [id] }]
  })
}

async function rules(ask: Asked): Promise<DatabaseObject[]> {
  const rows = await ask(`
    SELECT r.oid, ${RELATION}, pg_catalog.pg_get_ruledef(r.oid) AS sql, r.rulename AS rule, r.ev_enabled AS state
      FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class ${FROM} WHERE r.rulename <> '_RETURN' AND ${OWN} ORDER BY r.oid`)
  return rows.map((row) => ({
    id: `pg_rewrite:${textOf(row, 'oid')}`,
    rank: 'rule',
    sql: [`${textOf(row, 'sql').replace(/;$/, '')};`, ...stateOf(row, 'RULE', textOf(row, 'rule'))],
  }))
}

const STATES: Readonly<Record<string, string>> = { D: 'DISABLE', R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS' }

function stateOf(row: Facts, what: string, name: string): string[] {
  const state = STATES[textOf(row, 'state')]
  return state === undefined ? [] : [`ALTER TABLE ${tableOf(row)} ${state} ${what} ${identifier(name)};`]
}

async function statistics(ask: Asked): Promise<DatabaseObject[]> {
  const rows = await ask(`
    SELECT s.oid, ${RELATION}, pg_catalog.pg_get_statisticsobjdef(s.oid) AS sql
      FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid ${FROM} WHERE ${OWN} ORDER BY s.oid`)
  return rows.map((row) => ({
    id: `pg_statistic_ext:${textOf(row, 'oid')}`,
    rank: 'statistics',
    sql: [`${textOf(row, 'sql')};`],
  }))
}

/** In the order of their names they fire; those of parts come with those of the whole. */
async function triggers(ask: Asked, version: number): Promise<DatabaseObject[]> {
  const inherited = version >= 130_000 ? 'AND t.tgparentid = 0' : ''
  const rows = await ask(`
    SELECT t.oid, ${RELATION}, pg_catalog.pg_get_triggerdef(t.oid) AS sql, t.tgname AS trigger, t.tgenabled AS state
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid ${FROM}
     WHERE NOT t.tgisinternal ${inherited} AND ${OWN} ORDER BY t.oid`)
  return rows.map((row) => ({
    id: `pg_trigger:${textOf(row, 'oid')}`,
    rank: 'trigger',
    sql: [`${textOf(row, 'sql')};`, ...stateOf(row, 'TRIGGER', textOf(row, 'trigger'))],
  }))
}

const COMMANDS: Readonly<Record<string, string>> = { r: 'SELECT', a: 'INSERT', w: 'UPDATE', d: 'DELETE', '*': 'ALL' }

async function policies(ask: Asked): Promise<DatabaseObject[]> {
  const secured = await ask(`
    SELECT ${RELATION}, c.relforcerowsecurity AS forced FROM pg_class c ${FROM} WHERE c.relrowsecurity AND ${OWN} ORDER BY c.oid`)
  const rows = await ask(`
    SELECT p.oid, ${RELATION}, p.polname AS policy, p.polcmd AS command, p.polpermissive AS permissive,
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS seen, pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS written,
           (SELECT pg_catalog.string_agg(CASE WHEN r.oid IS NULL THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END, ', ')
              FROM pg_catalog.unnest(p.polroles) AS u (oid) LEFT JOIN pg_roles r ON r.oid = u.oid) AS roles
      FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid ${FROM} WHERE ${OWN} ORDER BY p.oid`)
  const enabled = secured.map((row): DatabaseObject => {
    const force = row['forced'] === 't' ? [`ALTER TABLE ${tableOf(row)} FORCE ROW LEVEL SECURITY;`] : []
    const sql = [`ALTER TABLE ${tableOf(row)} ENABLE ROW LEVEL SECURITY;`, ...force]
    return { id: `pg_class:${textOf(row, 'relation')} secured`, rank: 'policy', sql }
  })
  const made = rows.map((row): DatabaseObject => {
    const parts = [
      `CREATE POLICY ${identifier(textOf(row, 'policy'))} ON ${tableOf(row)}`,
      `AS ${row['permissive'] === 't' ? 'PERMISSIVE' : 'RESTRICTIVE'} FOR ${COMMANDS[textOf(row, 'command')] ?? 'ALL'}`,
      `TO ${textOf(row, 'roles')}`,
      ...(row['seen'] === null ? [] : [`USING (${textOf(row, 'seen')})`]),
      ...(row['written'] === null ? [] : [`WITH CHECK (${textOf(row, 'written')})`]),
    ]
    return { id: `pg_policy:${textOf(row, 'oid')}`, rank: 'policy', sql: [`${parts.join(' ')};`] }
  })
  return [...enabled, ...made]
}

/** What the server calls things, and what COMMENT ON does. */
const COMMENTED: Readonly<Record<string, string>> = {
  table: 'TABLE',
  view: 'VIEW',
  'materialized view': 'MATERIALIZED VIEW',
  sequence: 'SEQUENCE',
  index: 'INDEX',
  type: 'TYPE',
  schema: 'SCHEMA',
  extension: 'EXTENSION',
  function: 'FUNCTION',
  procedure: 'PROCEDURE',
  collation: 'COLLATION',
  trigger: 'TRIGGER',
  rule: 'RULE',
  policy: 'POLICY',
  'statistics object': 'STATISTICS',
  'table constraint': 'CONSTRAINT',
  'table column': 'COLUMN',
  'view column': 'COLUMN',
  'materialized view column': 'COLUMN',
  'composite type column': 'COLUMN',
}

async function comments(ask: Asked): Promise<DatabaseObject[]> {
  const rows = await ask(`
    SELECT i.type, i.identity, d.description AS text, d.objoid AS oid, d.objsubid AS part,
           COALESCE(x.indrelid, CASE WHEN d.classoid = 'pg_class'::pg_catalog.regclass THEN d.objoid END,
                    k.conrelid, g.tgrelid, w.ev_class, p.polrelid, s.stxrelid) AS relation,
           (SELECT t.typtype FROM pg_type t WHERE d.classoid = 'pg_type'::pg_catalog.regclass AND t.oid = d.objoid) AS type_kind
      FROM pg_description d CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
      LEFT JOIN pg_index x ON d.classoid = 'pg_class'::pg_catalog.regclass AND x.indexrelid = d.objoid
      LEFT JOIN pg_constraint k ON d.classoid = 'pg_constraint'::pg_catalog.regclass AND k.oid = d.objoid
      LEFT JOIN pg_trigger g ON d.classoid = 'pg_trigger'::pg_catalog.regclass AND g.oid = d.objoid
      LEFT JOIN pg_rewrite w ON d.classoid = 'pg_rewrite'::pg_catalog.regclass AND w.oid = d.objoid
      LEFT JOIN pg_policy p ON d.classoid = 'pg_policy'::pg_catalog.regclass AND p.oid = d.objoid
      LEFT JOIN pg_statistic_ext s ON d.classoid = 'pg_statistic_ext'::pg_catalog.regclass AND s.oid = d.objoid
     WHERE d.objoid >= 16384 AND NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = d.classoid AND x.objid = d.objoid AND x.deptype = 'e')
       AND d.classoid <> 'pg_extension'::pg_catalog.regclass
     ORDER BY d.classoid, d.objoid, d.objsubid`)
  return rows.flatMap((row): DatabaseObject[] => {
    const what = row['type_kind'] === 'd' ? 'DOMAIN' : COMMENTED[textOf(row, 'type')]
    if (what === undefined) return []
    const sql = [`COMMENT ON ${what} ${textOf(row, 'identity')} IS ${literal(textOf(row, 'text'))};`]
    return [{ id: `comment:${textOf(row, 'oid')}.${textOf(row, 'part')}`, rank: 'comment', sql }]
  })
}
