import { hex, planColumns, type ColumnFacts, type ColumnPlan } from './columns.ts'
import { identifier, qualified } from './identifier.ts'
import type { RowMark } from '../sql-dump.ts'
import type { RawRow } from './raw-row.ts'
import { SqlText } from './sql-text.ts'

export interface RowReading {
  /** What is selected: the plan's columns, and behind them those of the key. */
  readonly columns: readonly ColumnPlan[]
  /** SQL that gives the rows after `mark`, in the order of the key; without a key, all of them, in any order. */
  select(mark: RowMark | null): string
  /** Where a row of that result stands: the literals of its key, as they stand in SQL; null without a key. */
  markOf(row: RawRow): RowMark | null
}

interface Reading {
  readonly database: string
  readonly table: string
  readonly columns: readonly ColumnFacts[]
  readonly key: readonly string[] | null
}

/**
 * How the rows of a table are read so that another process can go on: in the order of a key, after the last key seen.
 * Never by LIMIT and OFFSET, which lose rows where others are deleted meanwhile.
 */
export function readingOf({ database, table, columns, key }: Reading): RowReading {
  const plans = planColumns(columns)
  const keys = (key ?? []).map((name) => keyColumn(name, columns))
  const list = [...plans, ...keys].map(({ select }) => select).join(', ')
  // A table may have nothing but columns that the server computes: its rows are still to be counted.
  const from = `SELECT ${list === '' ? 'NULL' : list} FROM ${qualified(database, table)}`
  const order = keys.length === 0 ? '' : ` ORDER BY ${keys.map(({ name }) => identifier(name)).join(', ')}`
  const scratch = new SqlText()
  return {
    columns: plans,
    select: (mark) => `${from}${mark === null ? '' : ` WHERE ${after(keys, mark)}`}${order}`,
    markOf: (row) => {
      if (keys.length === 0) return null
      const values = row.values()
      return keys.map(({ write }, i) => {
        const value = values[plans.length + i]
        if (value === null || value === undefined) throw new RangeError(`a key of ${table} is NULL`)
        scratch.clear()
        write(scratch, value, 0, value.length)
        return scratch.bytes.toString('utf8')
      })
    },
  }
}

/** Read a second time, as what compares as it is stored: a literal of it finds its place again. */
function keyColumn(name: string, columns: readonly ColumnFacts[]): ColumnPlan & { readonly compare: string } {
  const facts = columns.find((column) => column.name === name)
  if (facts === undefined) throw new RangeError(`there is no column ${name}`)
  const [plan] = planColumns([{ ...facts, extra: '' }])
  if (plan === undefined) throw new RangeError(`${name} cannot be read`)
  // Bytes of another character set compare as text of that set, in the column's own collation.
  const introducer = facts.charset === null || plan.write !== hex ? '' : `_${facts.charset} `
  return { ...plan, compare: introducer }
}

/** `(a > x) OR (a = x AND b > y) …`: a comparison of row constructors would not use the index everywhere. */
function after(keys: readonly (ColumnPlan & { readonly compare: string })[], mark: RowMark): string {
  const terms = keys.map((key, i) => {
    const equal = keys.slice(0, i).map((before, j) => `${identifier(before.name)} = ${before.compare}${mark[j] ?? ''}`)
    return `(${[...equal, `${identifier(key.name)} > ${key.compare}${mark[i] ?? ''}`].join(' AND ')})`
  })
  return terms.join(' OR ')
}
