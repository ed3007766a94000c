import { identifier } from './identifier.ts'
import type { SqlText } from './sql-text.ts'

/** A column as `information_schema.COLUMNS` describes it. */
export interface ColumnFacts {
  readonly name: string
  /** DATA_TYPE, lower case. */
  readonly type: string
  /** CHARACTER_SET_NAME; null: it holds no characters. */
  readonly charset: string | null
  /** EXTRA, as the server spells it. */
  readonly extra: string
}

/** How a column is read, and how what was read is written. */
export interface ColumnPlan {
  readonly name: string
  /** What stands in the list of SELECT. */
  readonly select: string
  /** Writes the bytes of a value, which lie among others. */
  readonly write: (to: SqlText, bytes: Buffer, from: number, end: number) => void
}

/** Digits, exactly as the server sends them. */
const NUMBERS: ReadonlySet<string> = new Set([
  ...['tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'decimal', 'year'],
])
/** Kept as numbers where the text would say less: an ENUM's error value (index 0) reads like an empty member. */
const INDEXES: ReadonlySet<string> = new Set(['enum', 'set', 'bit'])
/** ASCII that the server reads back. */
const TEXTS: ReadonlySet<string> = new Set(['date', 'datetime', 'timestamp', 'time', 'json', 'uuid', 'inet4', 'inet6'])
/** Whose bytes are what a connection in utf8mb4 sends for the same characters. */
const UTF8: ReadonlySet<string> = new Set(['utf8mb4', 'utf8mb3', 'utf8', 'ascii'])

type Write = ColumnPlan['write']
const raw: Write = (to, bytes, from, end) => to.raw(bytes, from, end)
/** With an exponent, so that it is read as a DOUBLE: `-0` would be the integer 0. */
const real: Write = (to, bytes, from, end) => {
  to.raw(bytes, from, end)
  if (!bytes.subarray(from, end).includes(0x65)) to.ascii('e0')
}
const text: Write = (to, bytes, from, end) => to.text(bytes, from, end)
/** Bytes as they are: literals of no character set. */
export const hex: Write = (to, bytes, from, end) => to.hex(bytes, from, end)

/** Whether the server computes it: then it is not inserted. */
export function isGenerated({ extra }: ColumnFacts): boolean {
  return /\b(VIRTUAL|STORED|PERSISTENT) GENERATED\b|\bROW (START|END)\b|^(VIRTUAL|PERSISTENT)$/i.test(extra)
}

/**
 * The columns of a table that are read and inserted by name, invisible ones too. The results have to come without a
 * conversion of character sets (`character_set_results` NULL): then text columns give the bytes that are stored.
 */
export function planColumns(columns: readonly ColumnFacts[]): ColumnPlan[] {
  return columns.filter((column) => !isGenerated(column)).map(planColumn)
}

function planColumn({ name, type, charset }: ColumnFacts): ColumnPlan {
  const column = identifier(name)
  // The text of a FLOAT is rounded to six digits; as a DOUBLE it reads back to the same bits. Times one keeps -0.
  if (type === 'float') return { name, select: `${column}*1e0`, write: real }
  if (type === 'double') return { name, select: column, write: real }
  if (NUMBERS.has(type)) return { name, select: column, write: raw }
  if (INDEXES.has(type)) return { name, select: `${column}+0`, write: raw }
  if (TEXTS.has(type) || (charset !== null && UTF8.has(charset))) return { name, select: column, write: text }
  return { name, select: column, write: hex }
}
