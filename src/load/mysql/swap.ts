import { BackupError } from '../../lib/errors.ts'
import type { Lack } from '../../dump/sql-dump.ts'
import type { Definition } from '../../dump/mysql/definitions.ts'
import { identifier, qualified } from '../../dump/mysql/identifier.ts'
import type { MysqlSession } from '../../dump/mysql/session.ts'
import { settingsFor } from '../../dump/mysql/script.ts'
import { contentsOf, dropCode, findDatabase, isEmpty, makeDatabase, runAll } from './contents.ts'
import { withoutDefiner, wordsOf } from './definition-words.ts'
import { isLost, symbolOf } from './errors.ts'
import { DRAFT, literal, MARKER, MOVED, PLAN } from './marker.ts'
import { checkKeepable, codeOf, type Planned } from './planned.ts'

interface SwapOptions {
  readonly session: MysqlSession
  /** What was loaded; takes the place of `final`, whose content goes to `aside`. */
  readonly scratch: string
  readonly final: string
  readonly aside: string
  /** Whether the scratch database goes at the end. */
  readonly made: boolean
  readonly lack: (lack: Lack) => void
}

const ENABLED = /\bON COMPLETION (NOT )?PRESERVE ENABLE\b/

/**
 * Tables change their places in one RENAME, which the server carries out whole or not at all; rows are never without a
 * database. What is no table cannot be moved: it is read from both databases first, kept in a table of ours, and made
 * again behind the tables. That table is renamed together with them, so whoever goes on sees by its name on which side of
 * the move things are.
 */
export class Swap {
  readonly #o: SwapOptions

  constructor(options: SwapOptions) {
    this.#o = options
  }

  /** Yields where it may be left; begun again, it goes on. Null: nothing was there before. */
  async *run(): AsyncGenerator<string, string | null, undefined> {
    const { session, scratch, aside, made } = this.#o
    if ((await findDatabase(session, scratch)) !== null) {
      if (!(await this.#has(MOVED))) {
        if (!(await this.#has(PLAN)) && (await this.#has(MARKER))) {
          await this.#plan()
          yield 'planning'
        }
        if (await this.#has(PLAN)) {
          await this.#move()
          yield 'moving'
        }
      }
      if (await this.#has(MOVED)) {
        yield* this.#makeAgain()
      }
      await this.#clear(made)
    }
    return (await findDatabase(session, aside)) === null ? null : aside
  }

  async #has(table: string): Promise<boolean> {
    const rows = await this.#o.session.facts(
      'SELECT 1 AS found FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?',
      [this.#o.scratch, table],
    )
    return rows.length > 0
  }

  async #plan(): Promise<void> {
    const { session, scratch, final } = this.#o
    if ((await findDatabase(session, final)) === null)
      await makeDatabase(session, final, await findDatabase(session, scratch))
    await checkKeepable(session, final)
    await this.#tellReferences()
    const planned = [...(await this.#definitions(scratch, 'new')), ...(await this.#definitions(final, 'old'))]
    const draft = qualified(scratch, DRAFT)
    await session.run(`DROP TABLE IF EXISTS ${draft}`)
    await session.run(
      `CREATE TABLE ${draft} (n INT PRIMARY KEY, definition LONGTEXT) ENGINE = InnoDB CHARACTER SET utf8mb4`,
    )
    for (const [n, one] of planned.entries()) {
      await session.run(`INSERT INTO ${draft} VALUES (${n}, ${literal(JSON.stringify(one))})`)
    }
    await session.run(`RENAME TABLE ${draft} TO ${qualified(scratch, PLAN)}`)
  }

  /** The server has foreign keys of other databases follow the tables that they are about. */
  async #tellReferences(): Promise<void> {
    const { session, final, aside, lack } = this.#o
    const rows = await session.facts(
      `SELECT DISTINCT CONSTRAINT_SCHEMA AS other, TABLE_NAME AS name FROM information_schema.REFERENTIAL_CONSTRAINTS
        WHERE UNIQUE_CONSTRAINT_SCHEMA = ? AND CONSTRAINT_SCHEMA <> ?`,
      [final, final],
    )
    for (const { other, name } of rows) {
      const why = `its foreign key goes on referring to ${aside}, and no more to ${final}: make it anew`
      lack({ kind: 'table', name: `${other ?? ''}.${name ?? ''}`, why })
    }
  }

  async #definitions(database: string, side: Planned['side']): Promise<Planned[]> {
    const { session, final, aside, lack } = this.#o
    const { found, uncovered } = await codeOf(session, database)
    const where = side === 'new' ? final : aside
    for (const { kind, name, why } of uncovered) lack({ kind, name, why: `it is not in ${where}: ${why}` })
    return found.map((one) => ({ ...one, side }))
  }

  async #move(): Promise<void> {
    const { session, scratch, final, aside } = this.#o
    const [fresh, old] = [await contentsOf(session, scratch), await contentsOf(session, final)]
    if (!isEmpty(old)) await makeDatabase(session, aside, await findDatabase(session, final))
    await this.#renewPlan()
    // A table with triggers cannot change its database; a view of the same name would be in the way.
    for (const name of fresh.triggers) await session.run(`DROP TRIGGER IF EXISTS ${qualified(scratch, name)}`)
    await runAll(session, dropCode(scratch, fresh))
    const moves = [
      ...[...old.tables, ...old.sequences].map((name) => [qualified(final, name), qualified(aside, name)]),
      ...[...fresh.tables, ...fresh.sequences].map((name) => [qualified(scratch, name), qualified(final, name)]),
      [qualified(scratch, PLAN), qualified(scratch, MOVED)],
    ]
    try {
      for (const name of old.triggers) await session.run(`DROP TRIGGER IF EXISTS ${qualified(final, name)}`)
      await runAll(session, dropCode(final, old))
      await session.run(`RENAME TABLE ${moves.map(([from, to]) => `${from} TO ${to}`).join(', ')}`)
    } catch (error) {
      // Whether it is tried again or given up: meanwhile the database of before is used.
      await this.#putBack(error)
      throw error
    }
  }

  /** The database of before is in use: what has come to it since the plan was made, or is another now, is kept, too. */
  async #renewPlan(): Promise<void> {
    const { session, scratch, final } = this.#o
    const plan = qualified(scratch, PLAN)
    const rows = await session.facts(`SELECT definition FROM ${plan}`)
    const known = new Set(rows.map(({ definition }) => definition))
    const present = (await this.#definitions(final, 'old')).map((one) => JSON.stringify(one))
    for (const one of present.filter((definition) => !known.has(definition)))
      await session.run(`INSERT INTO ${plan} SELECT COALESCE(MAX(n), -1) + 1, ${literal(one)} FROM ${plan}`)
  }

  /** Gives the database of before again what it has that is no table. Throws what could not be made. */
  async #putBack(why: unknown): Promise<void> {
    const { session, scratch, final } = this.#o
    const rows = await session.facts(`SELECT definition FROM ${qualified(scratch, PLAN)} ORDER BY n`)
    const planned = rows.map(({ definition }) => JSON.parse(definition ?? '') as Planned)
    const missing: Lack[] = []
    await session.run(`USE ${identifier(final)}`)
    for (const one of planned) if (one.side === 'old') await this.#make(final, { ...one, side: 'new' }, missing)
    await runAll(session, settingsFor(null))
    const [first] = missing
    if (first === undefined) return
    throw new BackupError(
      'DATABASE_FAILED',
      `${said(why)}; and the ${first.kind} ${first.name} of ${final}: ${first.why}`,
      {
        hint: `Its definition stands in the table ${PLAN} of ${scratch}: make it again by hand.`,
        cause: why,
      },
    )
  }

  /** Gives the move up: false where it has been made already, so that there is only the way on. */
  async abandon(): Promise<boolean> {
    if (await this.#has(MOVED)) return false
    if (await this.#has(PLAN)) await this.#putBack('the swap was given up')
    return true
  }

  /** What is made is taken off the list, so that whoever goes on has less to do, however short his steps are. */
  async *#makeAgain(): AsyncGenerator<string, void, undefined> {
    const { session, scratch, final, aside } = this.#o
    await this.#defaults()
    const rows = await session.facts(`SELECT n, definition FROM ${qualified(scratch, MOVED)} ORDER BY n`)
    const planned = rows.map(({ n, definition }) => ({ n: Number(n), one: JSON.parse(definition ?? '') as Planned }))
    for (const [side, database] of [
      ['new', final],
      ['old', aside],
    ] as const) {
      const mine = planned.filter(({ one }) => one.side === side)
      if (mine.length === 0) continue
      for (const { n, one } of mine) {
        await session.run(`USE ${identifier(database)}`)
        await this.#make(database, one)
        await runAll(session, settingsFor(null))
        await session.run(`DELETE FROM ${qualified(scratch, MOVED)} WHERE n = ${n}`)
        yield `${one.kind} ${one.name}`
      }
    }
  }

  async #make(database: string, { kind, name, sql, under, side }: Planned, lacks?: Lack[]): Promise<void> {
    const { session, lack } = this.#o
    const own = kind === 'trigger' ? (wordsOf(sql)?.sql ?? sql) : sql
    // What runs by itself does not run in a copy that is only kept.
    const text = kind === 'event' && side === 'old' ? own.replace(ENABLED, 'ON COMPLETION $1PRESERVE DISABLE') : own
    try {
      await runAll(session, [...settingsFor(null), ...settingsFor(under)])
      await runAll(session, dropsOf(database, { kind, name, sql }))
      await this.#runAs(text)
    } catch (error) {
      if (!(error instanceof BackupError) || isLost(error)) throw error
      const told = { kind, name, why: `it could not be made in ${database}: ${error.message}` }
      if (lacks === undefined) lack(told)
      else lacks.push(told)
    }
  }

  async #runAs(sql: string): Promise<void> {
    const { session } = this.#o
    try {
      await session.run(sql)
    } catch (error) {
      if (symbolOf(error) !== 'ER_SPECIFIC_ACCESS_DENIED_ERROR' || withoutDefiner(sql) === sql) throw error
      await session.run(withoutDefiner(sql))
    }
  }

  /** The server writes down the whole name of the sequence that a default takes its values from. */
  async #defaults(): Promise<void> {
    const { session, scratch, final, aside } = this.#o
    for (const [from, database] of [
      [scratch, final],
      [final, aside],
    ] as const) {
      const rows = await session.facts(
        `SELECT TABLE_NAME AS tableName, COLUMN_NAME AS name, COLUMN_DEFAULT AS value FROM information_schema.COLUMNS
          WHERE TABLE_SCHEMA = ? AND COLUMN_DEFAULT LIKE '%nextval(%'`,
        [database],
      )
      for (const { tableName, name, value } of rows) {
        if (value?.includes(`${identifier(from)}.`) !== true) continue
        const now = value.replaceAll(`${identifier(from)}.`, `${identifier(database)}.`)
        const table = qualified(database, tableName ?? '')
        await session.run(`ALTER TABLE ${table} ALTER COLUMN ${identifier(name ?? '')} SET DEFAULT (${now})`)
      }
    }
  }

  async #clear(made: boolean): Promise<void> {
    const { session, scratch } = this.#o
    // Last of all: as long as it is there, whoever goes on finds something to do.
    if (made && isEmpty(await contentsOf(session, scratch)))
      return session.run(`DROP DATABASE IF EXISTS ${identifier(scratch)}`)
    for (const name of [PLAN, MOVED, MARKER]) await session.run(`DROP TABLE IF EXISTS ${qualified(scratch, name)}`)
  }
}

const said = (why: unknown): string => (why instanceof Error ? why.message : String(why))

/** Whoever was killed had made it already. A view is replaced. */
function dropsOf(database: string, { kind, name, sql }: Pick<Definition, 'kind' | 'name' | 'sql'>): string[] {
  if (kind === 'stand-in') return [`DROP VIEW IF EXISTS ${qualified(database, name)}`]
  if (kind === 'trigger') return [`DROP TRIGGER IF EXISTS ${qualified(database, name)}`]
  if (kind === 'event') return [`DROP EVENT IF EXISTS ${qualified(database, name)}`]
  if (kind !== 'routine') return []
  const type = /^CREATE .*?\b(FUNCTION|PROCEDURE)\b/is.exec(sql)?.[1] ?? 'FUNCTION'
  return [`DROP ${type} IF EXISTS ${qualified(database, name)}`]
}
