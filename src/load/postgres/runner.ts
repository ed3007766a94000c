import type { Lack } from '../../dump/sql-dump.ts'
import type { PostgresSession } from '../../dump/postgres/session.ts'
import { BackupError } from '../../lib/errors.ts'
import type { StatementRunner } from '../file-load.ts'
import { loadError, sayingOf, sqlState } from './errors.ts'
import { Exchange, type Outcome } from './exchange.ts'
import type { Marker } from './marker.ts'
import type { PgStatement } from './statements.ts'

/** Bytes of what a block of a dump holds, and a little more. */
export const ROOM = (1 << 20) + 4096

const BEGIN = Buffer.from('BEGIN')
const COMMIT = Buffer.from('COMMIT')

export interface RunnerOptions {
  readonly session: PostgresSession
  readonly marker: Marker
  readonly file: { readonly index: number; readonly name: string }
  /** Settings that this server knows, in small letters. */
  readonly settings: ReadonlySet<string>
  /** `ROOM` bytes for rows on their way, used by one runner at a time. */
  readonly memory: Buffer
  readonly lack: (lack: Lack) => void
  /** So much of the file is in the database now. */
  readonly held: (at: number) => void
}

/** Rows on their way: the server works on them while the next ones are unpacked. */
interface Flight {
  readonly statement: PgStatement
  readonly done: Promise<Outcome>
}

/**
 * Statements over one connection. Definitions and rows each come in one transaction with the mark that tells of them, so
 * it does not matter whether somebody died before he could say so.
 */
export class PgRunner implements StatementRunner<PgStatement> {
  readonly #o: RunnerOptions
  #inTransaction = false
  #flight: Flight | null = null

  constructor(options: RunnerOptions) {
    this.#o = options
  }

  /**
   * RESET is passed over: it is for a session that belongs to somebody else. What it would bring back are settings of the
   * database that the next statement of ours could fail by.
   */
  async setting(statement: PgStatement): Promise<void> {
    const text = statement.text.toString('latin1')
    if (text.startsWith('RESET') || !this.#o.settings.has(statement.allowed.name)) return
    // Where tables lie is for this server to say.
    if (statement.allowed.name === 'default_tablespace' && !text.endsWith("''")) return
    await this.#land()
    await this.#do(Exchange.each(statement.text), statement.place)
  }

  async definition(statement: PgStatement, at: number): Promise<void> {
    const { allowed, place } = statement
    // All at once: servers may be far away, and definitions many.
    const all = [BEGIN, statement.text, Buffer.from(this.#moved(at)), COMMIT]
    const { tag, error } = await Exchange.each(...all).over(this.#o.session)
    if (error === null) return this.#kept(tag, at)
    if (!this.#o.session.alive) throw loadError(error, place)
    await this.#do(Exchange.simple('ROLLBACK'), place)
    const state = sqlState(error)
    if (state === '42601' && /multiple commands/.test(error.message)) throw twoInOne(place)
    if (!allowed.there.has(state)) {
      if (!allowed.spare.has(state)) throw loadError(error, `${place}: ${allowed.what} ${allowed.name}`)
      this.#o.lack({ kind: allowed.what, name: allowed.name, why: sayingOf(error) })
    }
    await this.#do(Exchange.simple('BEGIN'), place)
    await this.#mark(at)
  }

  async rows(statement: PgStatement): Promise<void> {
    await this.#land()
    if (!this.#inTransaction) await this.#do(Exchange.simple('BEGIN'), statement.place)
    this.#inTransaction = true
    const exchange = Exchange.copy(Buffer.from(statement.text), this.#own(statement.rows))
    this.#flight = { statement, done: exchange.over(this.#o.session) }
    // What did not fit is waited for: it is lent, or large.
    if (statement.rows.reduce((sum, { length }) => sum + length, 0) > ROOM) await this.#land()
  }

  async commit(at: number): Promise<void> {
    await this.#land()
    if (!this.#inTransaction) await this.#do(Exchange.simple('BEGIN'), this.#o.file.name)
    await this.#mark(at)
  }

  async ended(): Promise<void> {
    const { file, marker } = this.#o
    const next = marker.moved({ file: file.index + 1, at: 0 })
    this.#check(await this.#do(Exchange.simple(`BEGIN; ${next}; COMMIT`), file.name))
  }

  async #mark(at: number): Promise<void> {
    this.#inTransaction = false
    // Together: what fails is not committed.
    this.#kept(await this.#do(Exchange.simple(`${this.#moved(at)}; COMMIT`), this.#o.file.name), at)
  }

  #moved(at: number): string {
    return this.#o.marker.moved({ file: this.#o.file.index, at })
  }

  #kept(said: string, at: number): void {
    this.#check(said)
    this.#o.held(at)
  }

  #check(said: string): void {
    if (said.endsWith('UPDATE 1 COMMIT')) return
    throw new BackupError(
      'DATABASE_FAILED',
      `${this.#o.file.name}: the server did not keep what was loaded (${said})`,
      {
        hint: 'Something in the database changed the record of how far it is loaded.',
      },
    )
  }

  /** Waits for rows that are on their way. */
  async #land(): Promise<void> {
    const flight = this.#flight
    if (flight === null) return
    this.#flight = null
    const { error } = await flight.done
    if (error === null) return
    const { allowed, place } = flight.statement
    await this.#fail(error, `${place}: rows of ${allowed.name}`)
  }

  async #do(exchange: Exchange, place: string): Promise<string> {
    const { tag, error } = await exchange.over(this.#o.session)
    return error === null ? tag : this.#fail(error, place)
  }

  async #fail(error: Error, place: string): Promise<never> {
    this.#inTransaction = false
    if (this.#o.session.alive) await Exchange.simple('ROLLBACK').over(this.#o.session)
    throw loadError(error, place)
  }

  /** The rows in memory of ours, if they are not too many: whoever gave them uses his again. */
  #own(rows: readonly Buffer[]): Buffer[] {
    const { memory } = this.#o
    const length = rows.reduce((sum, piece) => sum + piece.length, 0)
    if (length > ROOM) return [...rows]
    let at = 0
    for (const piece of rows) at += piece.copy(memory, at)
    return [memory.subarray(0, length)]
  }
}

const twoInOne = (place: string): BackupError =>
  new BackupError('ENTRY_REFUSED', `${place}: what looks like one statement is several, and is not run`)
