import { BackupError } from '../../lib/errors.ts'
import { type Consistency, type Lack, type RowMark, type Section, type SqlBlock, type SqlDump } from '../sql-dump.ts'
import { definitionsDigest, readRelations, tableState, type Relation, type TableState } from './catalogue.ts'
import { definitionBlocks, findPgDump, statementBlocks } from './definitions.ts'
import { readingOf } from './keyset.ts'
import { ownDefinitions } from './objects.ts'
import type { PgDump } from './pg-dump.ts'
import { RowBlocks } from './row-blocks.ts'
import { orderFileOf, POSTAMBLE, preambleFor } from './script.ts'
import { select, sequenceValues, type Choice, type Selection } from './selection.ts'
import { uncovered } from './object-uncovered.ts'
import { PostgresSession, type PostgresTarget } from './session.ts'
import { about, Snapshot, withLockOn } from './snapshot.ts'

export interface PostgresDumpOptions extends Choice {
  readonly consistency: Consistency
  /**
   * Whether rows come in the order of their key, so that reading can go on behind a mark: true, unless it is said
   * otherwise. Where they do not lie in that order, reading without it costs the server a third.
   */
  readonly inOrder?: boolean
  /** How long a table may be locked by others before the wait is given up. */
  readonly lockMs?: number
  /** Whether pg_dump is used where it is at hand and new enough. */
  readonly pgDump?: boolean
}

const BEFORE = 'definitions:before'
const SEQUENCES = 'definitions:sequences'
const AFTER = 'definitions:after'
const LOCK_MS = 60_000

/** A PostgreSQL database as SQL text that psql loads. */
export class PostgresDump implements SqlDump {
  readonly server: string
  readonly consistency: Consistency
  /** Every table takes part in every promise. */
  readonly exceptions: readonly Lack[] = []
  readonly preamble: string
  readonly postamble = POSTAMBLE
  readonly #target: PostgresTarget
  readonly #options: PostgresDumpOptions
  readonly #program: PgDump | null
  readonly #snapshot: Snapshot | null
  #session: PostgresSession
  #selection: Selection | null = null
  /**
   * Definitions stand in one stretch for all tables, so all of it is one unit: once a table is another one, so are the
   * definitions that its rows were to be loaded into.
   */
  readonly #unit: string
  #lacks: Lack[] | null = null

  private constructor(
    target: PostgresTarget,
    options: PostgresDumpOptions,
    session: PostgresSession,
    snapshot: Snapshot | null,
  ) {
    this.#target = target
    this.#options = options
    this.#session = session
    this.#snapshot = snapshot
    this.#unit = `database:${target.database}`
    this.#program = options.pgDump === false ? null : findPgDump(session.version)
    this.server = `PostgreSQL ${session.versionText}`
    this.consistency = options.consistency
    this.preamble = preambleFor(session.encoding)
  }

  /** Errors: those of `PostgresSession.open`; DATABASE_DENIED, DATABASE_BUSY with the table that cannot be locked. */
  static async open(target: PostgresTarget, options: PostgresDumpOptions): Promise<PostgresDump> {
    if (options.consistency === 'table')
      return new PostgresDump(target, options, await PostgresSession.open(target), null)
    const snapshot = await Snapshot.take(target, options, options.lockMs ?? LOCK_MS)
    try {
      return new PostgresDump(target, options, await snapshot.join(), snapshot)
    } catch (error) {
      await snapshot[Symbol.asyncDispose]()
      throw error
    }
  }

  async sections(): Promise<readonly Section[]> {
    const { tables, sequences } = await this.#selected()
    const unit = this.#unit
    const definitions = { kind: 'definitions', unit, table: null, estimate: 0, bytes: 0, resumable: false } as const
    const rows = tables.map((table): Section => {
      const resumable = this.#keyOf(table) !== null
      const { shown, rows: estimate, bytes } = table
      return { id: idOf(table), kind: 'rows', unit, table: shown, estimate, bytes, resumable }
    })
    const between = sequences.length === 0 ? [] : [{ id: SEQUENCES, ...definitions }]
    return [{ id: BEFORE, ...definitions }, ...rows, ...between, { id: AFTER, ...definitions }]
  }

  /** Told once: they are those of the whole database. */
  takeLacks(): readonly Lack[] {
    return this.#lacks?.splice(0) ?? []
  }

  async *read(section: Section, after: RowMark | null, lend: () => Buffer): AsyncGenerator<SqlBlock, void, undefined> {
    const session = await this.#connected()
    let whole = false
    try {
      yield* this.#read(session, section, after, lend)
      whole = true
    } finally {
      // Whatever is under way on it, nothing else is asked over it.
      if (!whole) session.destroy()
    }
  }

  async *#read(
    session: PostgresSession,
    section: Section,
    after: RowMark | null,
    lend: () => Buffer,
  ): AsyncGenerator<SqlBlock, void, undefined> {
    const selection = await this.#selected()
    if (section.kind === 'rows') {
      const table = selection.tables.find((one) => idOf(one) === section.id)
      if (table === undefined) throw gone(section.table ?? section.id)
      yield* this.#rows(session, table, after, lend)
      return
    }
    if (section.id === SEQUENCES) {
      yield* statementBlocks(await sequenceValues(session, selection.sequences), lend)
      return
    }
    const part = section.id === BEFORE ? 'before' : 'after'
    if (this.#program === null) {
      yield* statementBlocks((await ownDefinitions(session, selection))[part], lend)
      return
    }
    const [target, program, snapshot] = [this.#target, this.#program, this.#snapshot?.id ?? null]
    yield* definitionBlocks({ part, session, target, selection, snapshot, program, lend })
  }

  async *#rows(
    session: PostgresSession,
    table: Relation,
    after: RowMark | null,
    lend: () => Buffer,
  ): AsyncGenerator<SqlBlock, void, undefined> {
    // Under a snapshot all tables are locked already, for as long as it lives.
    if (this.#snapshot === null) await withLockOn(session, table, this.#options.lockMs ?? LOCK_MS)
    const state = await tableState(session, table)
    if (state === null) throw gone(table.shown)
    yield* this.#copy(session, table, state, after, lend)
    if (this.#snapshot === null) await session.run('COMMIT')
  }

  async *#copy(
    session: PostgresSession,
    table: Relation,
    { columns, digest }: TableState,
    after: RowMark | null,
    lend: () => Buffer,
  ): AsyncGenerator<SqlBlock, void, undefined> {
    const { schema, name, condition } = table
    const key = this.#keyOf(table)
    const reading = readingOf({ schema, table: name, columns, key, condition: condition ?? '', digest })
    const blocks = new RowBlocks({
      lend,
      header: Buffer.from(reading.header),
      table: table.shown,
      markOf: (row) => reading.markOf(row),
      keyed: key !== null,
    })
    try {
      const count = yield* session.copy(reading.select(after), blocks)
      if (count !== blocks.total)
        throw new BackupError('DATABASE_FAILED', `the server sent ${blocks.total} rows and says it sent ${count}`)
    } catch (error) {
      throw about(table, error)
    }
    const last = blocks.end()
    if (last !== null) yield last
  }

  /** Of all definitions. What rows are emptied or swapped in the middle of a table is told by their mark. */
  async shape(unit: string): Promise<string> {
    if (unit !== this.#unit) throw new RangeError(`there is no unit ${unit}`)
    return definitionsDigest(await this.#connected())
  }

  orderFile(files: readonly string[]): string {
    return orderFileOf(files)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]()
    await this.#snapshot?.[Symbol.asyncDispose]()
  }

  #keyOf({ key }: Relation): Relation['key'] {
    return this.#options.inOrder === false ? null : key
  }

  /** One that was left in the middle of a section is gone: another one takes its place. */
  async #connected(): Promise<PostgresSession> {
    await this.#snapshot?.check()
    if (!this.#session.alive) {
      const { version, encoding } = this.#session
      this.#session = this.#snapshot === null ? await PostgresSession.open(this.#target) : await this.#snapshot.join()
      if (this.#session.version !== version || this.#session.encoding !== encoding)
        throw new BackupError('SOURCE_CHANGED', 'the server is another one than before', { retry: 'later' })
    }
    return this.#session
  }

  /** As it was when it was asked first: later, rows may be on their way over the connection. */
  async #selected(): Promise<Selection> {
    if (this.#selection !== null) return this.#selection
    const session = await this.#connected()
    this.#selection = await select(session, await readRelations(session), this.#options)
    this.#lacks ??= [...this.#selection.lacks, ...(this.#program === null ? await uncovered(session) : [])]
    return this.#selection
  }
}

const idOf = ({ shown }: Relation): string => `rows:${shown}`

const gone = (table: string): BackupError =>
  new BackupError('SOURCE_CHANGED', `the table ${table} is there no more`, { retry: 'later' })
