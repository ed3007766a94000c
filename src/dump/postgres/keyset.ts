import { BackupError } from '../../lib/errors.ts'
import type { RowMark } from '../sql-dump.ts'
import type { KeyColumn } from './keys.ts'
import { identifier, literal, qualified } from './identifier.ts'

export interface RowReading {
  /** What stands before the rows, with its line end. */
  readonly header: string
  /** SQL that gives the rows after `mark`, in the order of the key; without a key, all of them, in any order. */
  select(mark: RowMark | null): string
  /** Where a row stands, by its bytes; null: they are not enough, or too many to be kept. */
  markOf(row: Buffer): RowMark | null
}

export interface Reading {
  readonly schema: string
  readonly table: string
  /** Names of those that are loaded, in their order. */
  readonly columns: readonly string[]
  readonly key: readonly KeyColumn[] | null
  /** What an extension says about the rows of its table that belong to the user; '' for all rows. */
  readonly condition: string
  /** Stands in each mark: of a table that is another one since, nothing can be read on. */
  readonly digest: string
}

/** A mark is kept in a record. Bytes of its text. */
const LONGEST_MARK = 4000
const TAB = 0x09
const NEWLINE = 0x0a

/**
 * How the rows of a table are read so that another process can go on: in the order of a key, after the last key seen.
 * The columns of the key come first, so that the mark of a long row is found in its beginning.
 */
export function readingOf({ schema, table, columns, key, condition, digest }: Reading): RowReading {
  const keys = key ?? []
  const first = keys.map(({ name }) => name)
  const names = [...first, ...columns.filter((name) => !first.includes(name))].map(identifier).join(', ')
  const from = `SELECT ${names} FROM ONLY ${qualified(schema, table)} ${condition}`
  const order = keys.length === 0 ? '' : ` ORDER BY ${keys.map(term).join(', ')}`
  return {
    // A table without columns has rows all the same; no list stands for all columns that are loaded.
    header: `COPY ${qualified(schema, table)}${names === '' ? '' : ` (${names})`} FROM stdin;\n`,
    select(mark) {
      // Of the table itself and of no other, and faster than a query of the same rows.
      const plain = keys.length === 0 && names !== '' && condition === ''
      if (mark === null && plain) return `COPY ${qualified(schema, table)} (${names}) TO STDOUT`
      if (mark === null) return `COPY (${from}${order}) TO STDOUT`
      if (mark[0] !== digest) throw changed(schema, table)
      if (keys.length === 0 || mark.length !== keys.length + 1) throw new RangeError('this is no mark of this table')
      return `COPY (${from} WHERE ${after(keys, mark.slice(1))}${order}) TO STDOUT`
    },
    markOf: (row) => markIn(row, keys.length, digest),
  }
}

export const changed = (schema: string, table: string): BackupError =>
  new BackupError('SOURCE_CHANGED', `the table ${schema}.${table} was altered or emptied while it was read`, {
    retry: 'later',
  })

/** In the order of the index that tells rows apart, whatever the column's own order is. */
function term({ name, collation }: KeyColumn): string {
  return `${identifier(name)}${collation === null ? '' : ` COLLATE ${qualified(...collation)}`}`
}

/** One comparison of rows: the server finds the place in the index by it. */
function after(keys: readonly KeyColumn[], values: readonly string[]): string {
  const literals = keys.map(({ type }, i) => `${literal(values[i] ?? '')}::${qualified(...type)}`)
  const [left, right] = [keys.map(term).join(', '), literals.join(', ')]
  return keys.length === 1
    ? `${left} OPERATOR(pg_catalog.>) ${right}`
    : `ROW(${left}) OPERATOR(pg_catalog.>) ROW(${right})`
}

function markIn(row: Buffer, count: number, digest: string): RowMark | null {
  const mark = [digest]
  let at = 0
  for (let i = 0; i < count; i++) {
    const end = endOfField(row, at)
    if (end === -1) return null
    mark.push(unescaped(row.toString('utf8', at, end)))
    at = end + 1
  }
  return Buffer.byteLength(JSON.stringify(mark)) > LONGEST_MARK ? null : mark
}

function endOfField(row: Buffer, from: number): number {
  for (let at = from; at < row.length; at++) if (row[at] === TAB || row[at] === NEWLINE) return at
  return -1
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

/** COPY's text form back to the value (PostgreSQL manual, "COPY", "Text Format"). */
const unescaped = (field: string): string => field.replaceAll(/\\(.)/gs, (_, c: string) => ESCAPES[c] ?? c)
