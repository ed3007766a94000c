import { BackupError } from '../../lib/errors.ts'
import type { Lack } from '../../dump/sql-dump.ts'
import { identifier } from '../../dump/mysql/identifier.ts'
import type { MysqlSession } from '../../dump/mysql/session.ts'
import type { StatementRunner } from '../file-load.ts'
import type { LoadFile } from '../sql-load.ts'
import { hasDefiner, withoutDefiner } from './definition-words.ts'
import { isLost, isThere, loadError, symbolOf } from './errors.ts'
import { setMark, type Mark } from './marker.ts'
import type { MysqlStatement } from './statements.ts'

export interface RunnerOptions {
  readonly session: MysqlSession
  /** Loaded into; the session's own. */
  readonly database: string
  readonly id: string
  /** The longest statement that the server takes. Bytes. */
  readonly longest: number
  readonly trusted: boolean
  readonly lack: (lack: Lack) => void
}

/** Tables and rows have to come back; the others are named where they cannot. */
const NEEDED: ReadonlySet<string> = new Set(['table', 'sequence', 'insert'])
const TRANSACTIONAL = /^(?:InnoDB|ROCKSDB|TokuDB|ndbcluster)$/i
/** What the server says to whoever may not make objects that run under another account. */
const NOT_THEIRS: ReadonlySet<string> = new Set([
  ...['ER_SPECIFIC_ACCESS_DENIED_ERROR', 'ER_ACCESS_DENIED_ERROR', 'ER_NO_SUCH_USER', 'ER_CANNOT_USER'],
])

/** Runs statements over one connection; what one file after another has in common. */
export class MysqlRunner {
  readonly #o: RunnerOptions
  #loose: Mark['loose'] = null
  /** The table that rows go into. */
  #table: string | null = null
  #open = false

  constructor(options: RunnerOptions) {
    this.#o = options
  }

  /** `more`: rows of the same table follow in the next file. */
  forFile({ index, name, more }: LoadFile): StatementRunner<MysqlStatement> {
    const named = (statement: MysqlStatement): string => `${name}, line ${statement.line}`
    return {
      setting: (statement) => this.#run(statement.sql, named(statement)),
      definition: (statement, at, again) => this.#definition(statement, { file: index, at }, again, named(statement)),
      rows: (statement) => this.#rows(statement, index, named(statement)),
      commit: (at) => this.#commit({ file: index, at }),
      ended: () => this.#leave(index + 1, more),
    }
  }

  async #run(sql: string, what: string): Promise<void> {
    try {
      await this.#o.session.run(sql)
    } catch (error) {
      throw loadError(error, what)
    }
  }

  async #definition(
    statement: MysqlStatement,
    at: { file: number; at: number },
    again: boolean,
    named: string,
  ): Promise<void> {
    const { what, name } = statement
    try {
      await this.#make(statement)
    } catch (error) {
      if (isLost(error)) throw error
      // By the one who was killed before he could say so: only the first statement of a connection can be such a one.
      const done = again && isThere(error)
      const told = loadError(error, named)
      if (!done && (NEEDED.has(what) || !(told instanceof BackupError))) throw told
      if (!done && told instanceof BackupError) this.#o.lack({ kind: what, name, why: told.message })
    }
    this.#table = null
    this.#loose = null
    await this.#mark({ ...at, loose: null })
  }

  async #make({ sql, what, name }: MysqlStatement): Promise<void> {
    const { session, trusted, lack } = this.#o
    // From its first moment the server would run it, under our account, in whatever database it names.
    if (what === 'event' && !trusted)
      return lack({ kind: what, name, why: 'what runs by itself is not made from an archive of somebody else' })
    if (!hasDefiner(sql) || what === 'table') return session.run(sql)
    if (!trusted) return session.run(withoutDefiner(sql))
    try {
      await session.run(sql)
    } catch (error) {
      if (!NOT_THEIRS.has(symbolOf(error))) throw error
      await session.run(withoutDefiner(sql))
      lack({ kind: what, name, why: 'it is back, but runs under the account that loaded it: another may not be named' })
    }
  }

  async #rows(statement: MysqlStatement, file: number, named: string): Promise<void> {
    const { longest, session } = this.#o
    if (statement.bytes > longest) {
      const what = `${named}: a row of ${statement.name} is longer than the server takes (max_allowed_packet)`
      const hint = 'Raise max_allowed_packet of the server, then restore again.'
      throw new BackupError('DATABASE_FAILED', what, { hint })
    }
    if (statement.name !== this.#table) await this.#enter(statement.name, file, named)
    if (!this.#open) await session.run('START TRANSACTION')
    this.#open = true
    await this.#run(statement.sql, named)
  }

  /** Rows of another table than before. A trigger would run for each of them, under our account, whatever it says. */
  async #enter(table: string, file: number, named: string): Promise<void> {
    const { session, database } = this.#o
    const [facts] = await session.facts(
      `SELECT ENGINE AS engine, (SELECT MIN(TRIGGER_NAME) FROM information_schema.TRIGGERS
          WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ?) AS fires
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?`,
      [database, table, database, table],
    )
    if ((facts?.['fires'] ?? null) !== null)
      throw new BackupError(
        'ENTRY_REFUSED',
        `${named}: rows of ${table} behind the trigger ${facts?.['fires']} on it`,
        {
          hint: 'A backup of this program holds triggers behind all rows. Load this one by the server’s own client, if you trust it.',
        },
      )
    if (!TRANSACTIONAL.test(facts?.['engine'] ?? '')) {
      if (this.#open) throw new BackupError('INTERNAL', `rows of ${table} among those of another table`)
      this.#loose = { table, file }
      await this.#mark({ file, at: 0, loose: this.#loose })
    } else this.#loose = null
    this.#table = table
  }

  /** Once all rows of a table are there, they need not come again. */
  async #leave(file: number, more: boolean): Promise<void> {
    if (!more) this.#loose = null
    if (!more) this.#table = null
    await this.#mark({ file, at: 0, loose: this.#loose })
  }

  async #commit(at: { file: number; at: number }): Promise<void> {
    await this.#mark({ ...at, loose: this.#loose })
    if (this.#open) await this.#o.session.run('COMMIT')
    this.#open = false
  }

  async #mark(mark: Omit<Mark, 'id' | 'made'>): Promise<void> {
    const { session, database, id } = this.#o
    await setMark(session, database, { ...mark, id })
  }
}

/** A table without its rows again: nobody knows which of them came. */
export async function emptyTable(session: MysqlSession, table: string): Promise<void> {
  await session.run(`DELETE FROM ${identifier(table)}`)
}
