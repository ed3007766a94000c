import type { ColumnFacts } from './columns.ts'
import type { MysqlSession } from './session.ts'

export interface TableFacts {
  readonly name: string
  readonly kind: 'table' | 'view' | 'sequence'
  /** It keeps the rows that have been replaced, too (MariaDB, WITH SYSTEM VERSIONING). */
  readonly versioned: boolean
  /** Lower case; null: none is told, as of a view that is broken. */
  readonly engine: string | null
  /** What the server estimates; never relied upon. */
  readonly rows: number
  readonly bytes: number
  readonly columns: readonly ColumnFacts[]
  /** Columns of the key that rows are read by, in its order; null: rows cannot be told apart. */
  readonly key: readonly string[] | null
}

/** Engines whose tables take part in a consistent read. */
const TRANSACTIONAL: ReadonlySet<string> = new Set(['innodb', 'rocksdb', 'tokudb', 'ndbcluster'])

export const isTransactional = ({ engine }: TableFacts): boolean => engine !== null && TRANSACTIONAL.has(engine)

/** Tables, views and sequences of the database, by name: the bytes of names decide, not their collation. */
export async function readCatalogue(session: MysqlSession, database: string): Promise<TableFacts[]> {
  const tables = await session.facts(
    `SELECT TABLE_NAME AS name, TABLE_TYPE AS type, ENGINE AS engine, TABLE_ROWS AS rowCount, DATA_LENGTH AS bytes
       FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? ORDER BY CAST(TABLE_NAME AS BINARY)`,
    [database],
  )
  const columns = await columnsByTable(session, database)
  const keys = await keysByTable(session, database)
  return tables.map(({ name, type, engine, rowCount, bytes }) => ({
    name: name ?? '',
    kind: kindOf(type ?? ''),
    versioned: /VERSIONED/i.test(type ?? ''),
    engine: engine?.toLowerCase() ?? null,
    rows: Number(rowCount ?? 0),
    bytes: Number(bytes ?? 0),
    columns: columns.get(name ?? '') ?? [],
    key: keys.get(name ?? '') ?? null,
  }))
}

function kindOf(type: string): TableFacts['kind'] {
  if (/VIEW/i.test(type)) return 'view'
  return /SEQUENCE/i.test(type) ? 'sequence' : 'table'
}

async function columnsByTable(session: MysqlSession, database: string): Promise<Map<string, ColumnFacts[]>> {
  const rows = await session.facts(
    `SELECT TABLE_NAME AS tableName, COLUMN_NAME AS name, DATA_TYPE AS type, CHARACTER_SET_NAME AS charset, EXTRA AS extra
       FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION`,
    [database],
  )
  const found = new Map<string, ColumnFacts[]>()
  for (const { tableName, name, type, charset, extra } of rows) {
    const facts = { name: name ?? '', type: (type ?? '').toLowerCase(), charset: charset ?? null, extra: extra ?? '' }
    listOf(found, tableName ?? '').push(facts)
  }
  return found
}

interface KeyColumn {
  readonly index: string
  readonly column: string
  readonly nullable: boolean
  readonly prefix: boolean
}

/**
 * The key to page by: the primary one, else the first unique one without NULL. One over the beginning of a column, or
 * over an expression, tells no rows apart.
 */
async function keysByTable(session: MysqlSession, database: string): Promise<Map<string, readonly string[]>> {
  const rows = await session.facts(
    `SELECT TABLE_NAME AS tableName, INDEX_NAME AS indexName, COLUMN_NAME AS name, NULLABLE AS nullable, SUB_PART AS prefix
       FROM information_schema.STATISTICS
      WHERE TABLE_SCHEMA = ? AND NON_UNIQUE = 0 AND INDEX_TYPE = 'BTREE'
      ORDER BY TABLE_NAME, (INDEX_NAME <> 'PRIMARY'), INDEX_NAME, SEQ_IN_INDEX`,
    [database],
  )
  const found = new Map<string, KeyColumn[]>()
  for (const { tableName, indexName, name, nullable, prefix } of rows) {
    listOf(found, tableName ?? '').push({
      index: indexName ?? '',
      column: name ?? '',
      nullable: nullable === 'YES' || name === null,
      prefix: prefix !== null,
    })
  }
  return new Map([...found].flatMap(([table, columns]) => keyAmong(columns).map((key) => [table, key] as const)))
}

function keyAmong(columns: readonly KeyColumn[]): (readonly string[])[] {
  const byIndex = Map.groupBy(columns, ({ index }) => index)
  const fit = [...byIndex.values()].find((key) => key.every(({ nullable, prefix }) => !nullable && !prefix))
  return fit === undefined ? [] : [fit.map(({ column }) => column)]
}

function listOf<T>(lists: Map<string, T[]>, key: string): T[] {
  const present = lists.get(key)
  if (present !== undefined) return present
  const made: T[] = []
  lists.set(key, made)
  return made
}
