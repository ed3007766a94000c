import pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { BackupError } from '../../lib/errors.ts'
import { CopyOut, type RowTaker, type Wire } from './copy-out.ts'
import { said } from '../server-errors.ts'
import { askedForPassword, databaseError } from './errors.ts'
import { checkTarget, configOf, type PostgresTarget } from './target.ts'

export type { PostgresTarget } from './target.ts'

/** What a server said for one row: names, definitions, counts. */
export type Facts = Record<string, string | null>

const CONNECT_MS = 10_000
/** For what is asked of the catalogue; rows have no limit of their own. */
const FACTS_MS = 300_000
/** More than this is no answer to a question about a catalogue (S-SRV-1). Bytes. */
const MOST_FACTS = 128 << 20
const MOST_GREETING = 1 << 20
const OLDEST = 100_000
const END_MS = 1000

/**
 * Pinned on every connection: whatever the settings of the server, the database or the account are, the same text
 * comes, and what is quoted stays quoted. Nothing but `pg_catalog` is searched for names, functions and operators.
 * The waits are without end because between two steps nobody reads.
 */
const PINS = [
  "SELECT pg_catalog.set_config('search_path', '', false)",
  'SET standard_conforming_strings = on',
  "SET DateStyle = 'ISO, YMD'",
  "SET IntervalStyle = 'postgres'",
  "SET TimeZone = 'UTC'",
  'SET extra_float_digits = 3',
  "SET bytea_output = 'hex'",
  'SET xmlbinary = base64',
  "SET lc_monetary = 'C'",
  'SET row_security = off',
  'SET quote_all_identifiers = off',
  'SET synchronize_seqscans = off',
  'SET max_parallel_workers_per_gather = 0',
  'SET lock_timeout = 0',
  'SET idle_in_transaction_session_timeout = 0',
]

const pinsOf = (version: number): string[] => [
  ...PINS,
  ...(version >= 110_000 ? ['SET jit = off'] : []),
  ...(version >= 140_000 ? ['SET idle_session_timeout = 0'] : []),
  ...(version >= 170_000 ? ['SET transaction_timeout = 0'] : []),
]

/** The driver's client, which tells a server nothing that stands in the environment. */
class PlainClient extends pg.Client {
  readonly #start: Readonly<Record<string, string>>

  constructor(target: PostgresTarget) {
    super(configOf(target, CONNECT_MS))
    const { user, database } = target
    this.#start = { user, database, application_name: 'ratchet', client_encoding: 'UTF8' }
  }

  /** The driver asks this for what it says first. */
  getStartupConf(): Record<string, string> {
    return { ...this.#start }
  }

  get wire(): Wire & NodeJS.EventEmitter {
    // Not in its declared type: the connection below it, which its own sister packages use as well.
    return (this as unknown as { connection: Wire & NodeJS.EventEmitter }).connection
  }
}

/** What the driver asks of a query: to send itself, and to hear what comes of it. */
export interface Submitted {
  submit(wire: Wire): void
  handleError(error: Error): void
  handleReadyForQuery(): void
}

/** One connection, pinned. */
export class PostgresSession implements AsyncDisposable {
  readonly #client: PlainClient
  #lost: Error | null = null
  #received = 0
  /** 15.20 → 150020. */
  version = 0
  /** As the server spells it, on one line: somebody else's text. */
  versionText = ''
  /** The encoding of the database. Without one (SQL_ASCII), bytes come as they are stored; else they come in UTF-8. */
  encoding = 'UTF8'

  private constructor(client: PlainClient) {
    this.#client = client
    client.on('error', (error) => (this.#lost ??= error))
    client.on('end', () => (this.#lost ??= new Error('Connection terminated')))
    client.wire.stream.on('data', (bytes: Buffer) => {
      this.#received += bytes.length
      if (this.#received > MOST_FACTS) client.wire.stream.destroy(new Error('the server answers without end'))
    })
  }

  /** UNREACHABLE, DATABASE_DENIED, DATABASE_NOT_FOUND, DATABASE_BUSY, TIMED_OUT; BAD_REQUEST: no such target can be. */
  static async open(target: PostgresTarget): Promise<PostgresSession> {
    checkTarget(target)
    const client = new PlainClient(target)
    guard(client, target)
    const session = await connect(client, target)
    try {
      await session.#pin()
      return session
    } catch (error) {
      session.destroy()
      throw databaseError(error, `the server of ${target.database} does not accept how it is to be read`)
    }
  }

  async #pin(): Promise<void> {
    await this.run('SET statement_timeout = 0')
    const [number] = await this.facts('SHOW server_version_num')
    this.version = Number(number?.['server_version_num'])
    if (!(this.version >= OLDEST)) throw new BackupError('DATABASE_FAILED', 'the server is older than PostgreSQL 10')
    for (const pin of pinsOf(this.version)) await this.run(pin)
    const [text] = await this.facts('SHOW server_version')
    this.versionText = said(text?.['server_version'] ?? '').slice(0, 80)
    const [encoding] = await this.facts('SHOW server_encoding')
    this.encoding = encoding?.['server_encoding'] ?? 'UTF8'
    // Such a database may hold bytes that are no text in any encoding: it would refuse to send them as UTF-8.
    await this.run(`SET client_encoding = '${this.encoding === 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8'}'`)
  }

  /** Whether the connection is still there, as far as is known without asking. */
  get alive(): boolean {
    return this.#lost === null
  }

  /** Small results, as text. Values only as parameters. */
  async facts(sql: string, values: readonly string[] = []): Promise<Facts[]> {
    this.#received = 0
    try {
      const query = { text: sql, values: [...values], query_timeout: FACTS_MS }
      return (await this.#client.query<Facts>(query)).rows
    } catch (error) {
      if (error instanceof Error && error.message === 'Query read timeout') this.destroy()
      throw databaseError(error, 'the server could not be asked')
    }
  }

  /** Carries a statement out that gives no rows. */
  async run(sql: string): Promise<void> {
    await this.facts(sql)
  }

  /**
   * The rows of a COPY … TO STDOUT, as they come: the server waits for whoever takes them. Nothing else is asked
   * meanwhile; one that is left before its end takes the connection with it. Returns how many the server says it sent.
   */
  async *copy<T>(sql: string, taker: RowTaker<T>): AsyncGenerator<T, number, undefined> {
    let ended = false
    try {
      if (this.#lost !== null) throw this.#lost
      // The driver asks no more of a query than what this has; its type names its own class.
      const copy = this.#client.query(new CopyOut(sql) as CopyOut & pg.Submittable)
      yield* copy.rows(taker)
      ended = true
      return copy.rowCount
    } catch (error) {
      throw databaseError(error, 'rows could not be read')
    } finally {
      if (!ended) this.destroy()
    }
  }

  /** Hands the driver a query of a kind of its own, for as long as it takes. What it comes to, the query knows. */
  submit(query: Submitted): void {
    if (this.#lost === null) this.#client.query(query as Submitted & pg.Submittable)
    else query.handleError(this.#lost)
  }

  /** Ends it at once, whatever is under way. */
  destroy(): void {
    this.#lost ??= new Error('Connection terminated')
    this.#client.wire.stream.destroy()
  }

  /** Politely, so that the server writes nothing about it into its log, but not for long. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.alive) {
      const stop = new AbortController()
      const ended = this.#client.end().catch((error: Error) => error)
      await Promise.race([ended, systemClock.sleep(END_MS, stop.signal)])
      stop.abort()
    }
    this.destroy()
  }

  static made(client: PlainClient): PostgresSession {
    return new PostgresSession(client)
  }
}

async function connect(client: PlainClient, target: PostgresTarget): Promise<PostgresSession> {
  // Before it is known who answers, nobody is listened to for long.
  const watch = setInterval(() => {
    const { stream } = client.wire
    const received = 'bytesRead' in stream ? Number(stream.bytesRead) : 0
    if (received > MOST_GREETING) stream.destroy(new Error('the server greets without end'))
  }, 50)
  try {
    await client.connect()
    return PostgresSession.made(client)
  } catch (error) {
    client.wire.stream.destroy()
    throw databaseError(error, `cannot connect to the database ${target.database}`)
  } finally {
    clearInterval(watch)
  }
}

/** The password itself is told to nobody whom no certificate vouches for. */
function guard(client: PlainClient, target: PostgresTarget): void {
  if (target.tls !== undefined) return
  const asked = 'authenticationCleartextPassword'
  client.wire.removeAllListeners(asked)
  client.wire.on(asked, () => client.wire.emit('error', askedForPassword(target)))
}
