import type { Facts, PostgresSession } from './session.ts'

/** A column of the key that rows are read by. */
export interface KeyColumn {
  readonly name: string
  /** Schema and name of its type; a domain's is the one it is made of. */
  readonly type: readonly [schema: string, name: string]
  /** Schema and name of the index's collation; null: its type has none. */
  readonly collation: readonly [schema: string, name: string] | null
}

/**
 * Types by whose text a row is found again exactly, in the order of `pg_catalog`'s own operators. Enums are too. Not
 * among them: what compares by operators of an extension (citext), and what reads differently elsewhere (money).
 */
const KEY_TYPES: ReadonlySet<string> = new Set([
  ...['bool', 'int2', 'int4', 'int8', 'oid', 'numeric', 'float4', 'float8'],
  ...['text', 'varchar', 'bpchar', 'name', 'bytea', 'bit', 'varbit', 'uuid', 'pg_lsn'],
  ...['date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval'],
  ...['inet', 'cidr', 'macaddr', 'macaddr8'],
])

/**
 * The key to page by, per table: the primary one, else the first unique one without NULL. Not one over an expression or
 * a part of the rows; not one whose order is not its type's own, or under whose collation different texts are equal.
 */
export async function keysByTable(session: PostgresSession): Promise<Map<string, readonly KeyColumn[]>> {
  const { version, encoding } = session
  const [count, generated, equal] = [
    version >= 110_000 ? 'i.indnkeyatts' : 'i.indnatts',
    version >= 120_000 ? 'a.attgenerated' : "''",
    version >= 120_000 ? 'NOT l.collisdeterministic' : 'false',
  ]
  const rows = await session.facts(`
    WITH RECURSIVE base (type, root) AS (
      SELECT t.oid, t.oid FROM pg_type t WHERE t.typtype <> 'd'
      UNION ALL SELECT t.oid, b.root FROM pg_type t JOIN base b ON t.typbasetype = b.type WHERE t.typtype = 'd')
    SELECT i.indrelid AS table, i.indexrelid AS index, a.attname AS name, tn.nspname AS type_schema, t.typname AS type,
           t.typtype AS type_kind, l.collname AS collation, ln.nspname AS collation_schema,
           (a.attnotnull AND ${generated} = '' AND o.opcdefault AND op.nspname = 'pg_catalog'
             AND (l.oid IS NULL OR NOT (${equal}))) AS fit
      FROM pg_index i
      JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = ic.relam AND m.amname = 'btree'
     CROSS JOIN LATERAL pg_catalog.generate_series(0, ${count} - 1) AS k (at)
      LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.at]
      LEFT JOIN base b ON b.type = a.atttypid LEFT JOIN pg_type t ON t.oid = b.root
      LEFT JOIN pg_namespace tn ON tn.oid = t.typnamespace
      LEFT JOIN pg_collation l ON l.oid = i.indcollation[k.at] LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
      LEFT JOIN pg_opclass o ON o.oid = i.indclass[k.at] LEFT JOIN pg_namespace op ON op.oid = o.opcnamespace
     WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
       AND i.indrelid >= 16384
     ORDER BY i.indrelid, i.indisprimary DESC, ic.relname COLLATE "C", k.at`)
  const found = new Map<string, readonly KeyColumn[]>()
  for (const [table, columns] of Map.groupBy(rows, (row) => row['table'] ?? '')) {
    const byIndex = Map.groupBy(columns, (row) => row['index'])
    const fit = [...byIndex.values()].find((key) => key.every((row) => isFit(row, encoding)))
    if (fit !== undefined) found.set(table, fit.map(keyColumn))
  }
  return found
}

function isFit(row: Facts, encoding: string): boolean {
  if (row['fit'] !== 't') return false
  const isEnum = row['type_kind'] === 'e'
  // Without an encoding, a key may hold bytes that no text stands for.
  if (encoding === 'SQL_ASCII' && (isEnum || (row['collation'] ?? null) !== null)) return false
  return isEnum || (row['type_schema'] === 'pg_catalog' && KEY_TYPES.has(row['type'] ?? ''))
}

function keyColumn(row: Facts): KeyColumn {
  const [schema, collation] = [row['collation_schema'] ?? null, row['collation'] ?? null]
  return {
    name: row['name'] ?? '',
    type: [row['type_schema'] ?? '', row['type'] ?? ''],
    collation: schema === null || collation === null ? null : [schema, collation],
  }
}
