import { textOf } from './catalogue.ts'
import type { PostgresSession } from './session.ts'

/** What needs what, by `catalogue:oid`. What belongs to an extension stands for the extension. */
export async function edgesOf(session: PostgresSession): Promise<(readonly [from: string, to: string])[]> {
  const rows = await session.facts(`
    SELECT d.classid::pg_catalog.regclass::pg_catalog.text AS class, d.objid AS id,
           COALESCE(e.refclassid, d.refclassid)::pg_catalog.regclass::pg_catalog.text AS ref_class,
           COALESCE(e.refobjid, d.refobjid) AS ref_id
      FROM pg_depend d
      LEFT JOIN pg_depend e ON e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'
     WHERE d.deptype IN ('n', 'a', 'i', 'P', 'S') AND d.objid >= 16384 AND d.refobjid >= 16384
       AND NOT EXISTS (SELECT 1 FROM pg_class s WHERE d.classid = 'pg_class'::pg_catalog.regclass
                          AND s.oid = d.objid AND s.relkind = 'S' AND d.deptype IN ('a', 'i'))
     ORDER BY d.classid, d.objid, d.refclassid, d.refobjid`)
  return rows.map((row) => [
    `${textOf(row, 'class')}:${textOf(row, 'id')}`,
    `${textOf(row, 'ref_class')}:${textOf(row, 'ref_id')}`,
  ])
}

/** Conditions and names that several questions share. */
export const notOfExtension = (catalogue: string, oid: string): string =>
  `NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = '${catalogue}'::pg_catalog.regclass AND x.objid = ${oid} AND x.deptype = 'e')`
