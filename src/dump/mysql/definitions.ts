import { BackupError } from '../../lib/errors.ts'
import type { TableFacts } from './catalogue.ts'
import { identifier, qualified } from './identifier.ts'
import { hiddenFrom, rightsOn } from './rights.ts'
import type { MysqlSession } from './session.ts'
import { unqualified } from './unqualify.ts'

/** What a database holds beside rows. `view` and `stand-in`: a view before those it is made of are there. */
export type ObjectKind = 'sequence' | 'table' | 'stand-in' | 'view' | 'routine' | 'trigger' | 'event'

/** One statement that makes an object, and the session it has to run in. */
export interface Definition {
  readonly kind: ObjectKind
  readonly name: string
  /** Without a semicolon at its end; those inside belong to it. */
  readonly sql: string
  /** What the object was made under, and behaves by ever after; null: the session of the dump itself. */
  readonly under: Under | null
}

export interface Under {
  readonly sqlMode: string | null
  readonly charset: string
  readonly collation: string
  readonly timeZone: string | null
}

type Row = Record<string, string | null>

/** Where definitions are read; throws as the session does. What cannot be had is added to `uncovered`. */
export interface Reading {
  readonly session: MysqlSession
  readonly database: string
  readonly uncovered: Uncovered[]
}

/** An object whose definition cannot be had: why. The backup goes on without it, and says so. */
export interface Uncovered {
  readonly kind: ObjectKind
  readonly name: string
  readonly why: string
}

/** What a table's or sequence's own file makes, before its rows. */
export function definitionsOf(reading: Reading, table: TableFacts): Promise<Definition[]> {
  const reader = new Reader(reading)
  return table.kind === 'sequence' ? reader.sequence(table.name) : reader.table(table.name)
}

/**
 * What has to come after all rows, in this order: a stand-in for each view, routines, views, triggers (which must not
 * fire on restored rows), events.
 */
export async function definitionsAfter(reading: Reading, views: readonly TableFacts[]): Promise<Definition[]> {
  const { session, database, uncovered } = reading
  for (const { kind, right } of hiddenFrom(await rightsOn(session, database))) {
    const why = `the account lacks ${right}: it is not shown whether there are any`
    uncovered.push({ kind, name: '*', why })
  }
  const reader = new Reader(reading)
  const after = views.flatMap(standIn)
  after.push(...(await reader.routines()))
  for (const view of views) after.push(...(await reader.view(view.name)))
  after.push(...(await reader.triggers()), ...(await reader.events()))
  return after
}

/**
 * A view of the same columns that needs nothing: what is made of it can be made before it, in any order. A broken view
 * has no columns to be known by; nothing can be made of it either.
 */
function standIn({ name, columns }: TableFacts): Definition[] {
  if (columns.length === 0) return []
  const list = columns.map((column) => `1 AS ${identifier(column.name)}`).join(', ')
  return [{ kind: 'stand-in', name, sql: `CREATE VIEW ${identifier(name)} AS SELECT ${list}`, under: null }]
}

class Reader {
  readonly #session: MysqlSession
  readonly #database: string
  readonly #uncovered: Uncovered[]

  constructor({ session, database, uncovered }: Reading) {
    this.#session = session
    this.#database = database
    this.#uncovered = uncovered
  }

  async table(name: string): Promise<Definition[]> {
    return this.#one('table', name, `SHOW CREATE TABLE ${this.#qualified(name)}`, 'Create Table')
  }

  /** With the value it goes on from: never one that was given out already. */
  async sequence(name: string): Promise<Definition[]> {
    const made = await this.#one('sequence', name, `SHOW CREATE SEQUENCE ${this.#qualified(name)}`, 'Create Table')
    const [state] = await this.#session.facts(
      `SELECT next_not_cached_value AS next, cycle_count AS round FROM ${this.#qualified(name)}`,
    )
    if (made.length === 0 || state?.['next'] === undefined || state['next'] === null) return made
    // Numbers, by the server's own word; still nothing but digits goes into SQL.
    const [next, round] = [state['next'], state['round'] ?? '0'].map((text) => BigInt(text))
    const sql = `DO SETVAL(${identifier(name)}, ${next}, 0, ${round})`
    return [...made, { kind: 'sequence', name, sql, under: null }]
  }

  async view(name: string): Promise<Definition[]> {
    const found = await this.#one('view', name, `SHOW CREATE VIEW ${this.#qualified(name)}`, 'Create View')
    return found.map((one) => ({ ...one, sql: one.sql.replace(/^CREATE /, 'CREATE OR REPLACE ') }))
  }

  async routines(): Promise<Definition[]> {
    const rows = await this.#session.facts(
      `SELECT ROUTINE_TYPE AS type, ROUTINE_NAME AS name FROM information_schema.ROUTINES
        WHERE ROUTINE_SCHEMA = ? ORDER BY (ROUTINE_TYPE <> 'FUNCTION'), ROUTINE_NAME`,
      [this.#database],
    )
    const found: Definition[] = []
    for (const { type, name } of rows) {
      if (type !== 'FUNCTION' && type !== 'PROCEDURE') {
        this.#uncovered.push({ kind: 'routine', name: name ?? '', why: `it is a ${type ?? '?'}` })
        continue
      }
      const word = type === 'FUNCTION' ? 'Function' : 'Procedure'
      const ask = `SHOW CREATE ${type} ${this.#qualified(name ?? '')}`
      found.push(...(await this.#one('routine', name ?? '', ask, `Create ${word}`)))
    }
    return found
  }

  /** In the order in which those of one table and moment fire. */
  async triggers(): Promise<Definition[]> {
    const rows = await this.#session.facts(
      `SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?
        ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER`,
      [this.#database],
    )
    return this.#each('trigger', rows, 'TRIGGER', 'SQL Original Statement')
  }

  async events(): Promise<Definition[]> {
    const rows = await this.#session.facts(
      'SELECT EVENT_NAME AS name FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? ORDER BY EVENT_NAME',
      [this.#database],
    )
    return this.#each('event', rows, 'EVENT', 'Create Event')
  }

  async #each(kind: ObjectKind, rows: readonly Row[], word: string, column: string): Promise<Definition[]> {
    const found: Definition[] = []
    for (const { name } of rows) {
      found.push(...(await this.#one(kind, name ?? '', `SHOW CREATE ${word} ${this.#qualified(name ?? '')}`, column)))
    }
    return found
  }

  /** The definition that one question gives; none where the account is not told it, or the object is broken. */
  async #one(kind: ObjectKind, name: string, ask: string, column: string): Promise<Definition[]> {
    try {
      const [row] = await this.#session.facts(ask)
      const sql = row?.[column]
      if (row === undefined || sql === undefined || sql === null || sql === '') {
        this.#uncovered.push({ kind, name, why: 'the account is not shown its definition' })
        return []
      }
      const under = kind === 'table' || kind === 'sequence' ? null : underOf(row)
      // What people wrote themselves stays as they wrote it.
      return [{ kind, name, sql: BY_SERVER.has(kind) ? unqualified(sql, this.#database) : sql, under }]
    } catch (error) {
      if (!(error instanceof BackupError) || !LEFT_OUT.has(error.code)) throw error
      this.#uncovered.push({ kind, name, why: error.message })
      return []
    }
  }

  #qualified(name: string): string {
    return qualified(this.#database, name)
  }
}

const BY_SERVER: ReadonlySet<ObjectKind> = new Set(['table', 'sequence', 'view'])
/** What concerns one object only. */
const LEFT_OUT: ReadonlySet<string> = new Set(['DATABASE_DENIED', 'DATABASE_FAILED'])

function underOf(row: Row): Under {
  return {
    sqlMode: row['sql_mode'] ?? null,
    charset: row['character_set_client'] ?? 'utf8mb4',
    collation: row['collation_connection'] ?? 'utf8mb4_general_ci',
    timeZone: row['time_zone'] ?? null,
  }
}
