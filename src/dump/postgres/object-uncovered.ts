import type { Lack } from '../sql-dump.ts'
import { textOf, USERS } from './catalogue.ts'
import type { PostgresSession } from './session.ts'

/** Catalogues of what is not put together here. */
const CATALOGUES: readonly string[] = [
  ...['pg_operator', 'pg_cast', 'pg_conversion', 'pg_opclass', 'pg_opfamily', 'pg_ts_config', 'pg_ts_dict'],
  ...['pg_ts_parser', 'pg_ts_template', 'pg_foreign_data_wrapper', 'pg_foreign_server', 'pg_event_trigger'],
  ...['pg_publication', 'pg_language', 'pg_transform', 'pg_am'],
]

const WHY = 'pg_dump is not at hand, or too old for this server, and without it such definitions are not read'

/** What this catalogue reader cannot carry, by name. */
export async function uncovered(session: PostgresSession): Promise<Lack[]> {
  const aggregate = session.version >= 110_000 ? "t.prokind = 'a'" : 't.proisagg'
  const wanted = [
    ...CATALOGUES.map((name) => `SELECT '${name}'::pg_catalog.regclass, t.oid, 0 FROM ${name} t WHERE true`),
    `SELECT 'pg_proc'::pg_catalog.regclass, t.oid, 0 FROM pg_proc t WHERE ${aggregate}`,
    `SELECT 'pg_class'::pg_catalog.regclass, t.oid, 0 FROM pg_class t WHERE t.relkind = 'f'`,
    // Base types; those that were only announced; ranges with a function of their own.
    `SELECT 'pg_type'::pg_catalog.regclass, t.oid, 0 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
      WHERE ${USERS} AND (t.typtype = 'p' OR t.typtype = 'b' AND NOT EXISTS (SELECT 1 FROM pg_type e WHERE e.typarray = t.oid)
         OR EXISTS (SELECT 1 FROM pg_range r WHERE r.rngtypid = t.oid AND r.rngcanonical <> 0))`,
    // What hangs on columns and tables, and stands in no other definition.
    `SELECT 'pg_class'::pg_catalog.regclass, t.attrelid, t.attnum FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
      WHERE c.relkind IN ('r', 'p') AND t.attnum > 0 AND NOT t.attisdropped
        AND (t.attstattarget > 0 OR pg_catalog.array_to_string(t.attoptions, ',') ~ 'n_distinct')`,
  ].map((sql) => sql.replace(/ WHERE /, (where) => `${where}${oidOf(sql)} >= 16384 AND `))
  const rows = await session.facts(`
    SELECT DISTINCT i.type, i.identity FROM (${wanted.join(' UNION ALL ')}) AS w (class, oid, part)
      CROSS JOIN LATERAL pg_catalog.pg_identify_object(w.class, w.oid, w.part) AS i
     WHERE NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = w.class AND x.objid = w.oid AND x.deptype IN ('e', 'i'))
     ORDER BY i.type, i.identity`)
  return rows.map((row) => ({
    kind: textOf(row, 'type'),
    name: textOf(row, 'identity'),
    why: whyOf(textOf(row, 'type')),
  }))
}

const whyOf = (type: string): string =>
  type === 'table column' ? 'its settings for statistics are not read without pg_dump' : WHY

const oidOf = (sql: string): string => (sql.includes('t.attrelid') ? 't.attrelid' : 't.oid')
