import { once } from 'node:events'
import net from 'node:net'
import mysql, { type Connection, type ConnectionOptions, type RowDataPacket, type SslOptions } from 'mysql2'
import type { ServerTarget } from '../sql-dump.ts'
import { boundedAnswer } from './bounded-answer.ts'
import { databaseError } from './errors.ts'
import { IncomingRows } from './incoming-rows.ts'
import type { RawRow } from './raw-row.ts'

export type MysqlTarget = ServerTarget

export interface ServerVersion {
  readonly vendor: 'mysql' | 'mariadb'
  /** As the server spells it: somebody else's text. */
  readonly text: string
  /** 10.11.19 → 101119. */
  readonly number: number
}

const CONNECT_MS = 10_000

/**
 * Pinned on every connection: whatever the server's own settings are, the same bytes come, and what is quoted stays
 * quoted. Results without conversion of character sets; names and definitions are asked for by `facts`, which are
 * converted. The waits are long because between two steps nobody reads.
 */
const PINS = [
  'SET NAMES utf8mb4',
  "SET SESSION sql_mode = ''",
  "SET SESSION time_zone = '+00:00'",
  'SET SESSION sql_quote_show_create = 1',
  'SET SESSION net_write_timeout = 3600, net_read_timeout = 3600, wait_timeout = 28800, lock_wait_timeout = 60',
  'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
  'SET SESSION autocommit = 1',
]

/** Limits on the time of a statement, where there are such: a query goes on between steps. */
const NO_LIMIT = { mariadb: 'SET SESSION max_statement_time = 0', mysql: 'SET SESSION max_execution_time = 0' }

const asText = (field: { string(encoding: 'utf8'): string | null }): string | null => field.string('utf8')

/** One connection, pinned. */
export class MysqlSession implements AsyncDisposable {
  readonly version: ServerVersion
  readonly #connection: Connection

  private constructor(connection: Connection, version: ServerVersion) {
    this.#connection = connection
    this.version = version
  }

  /** UNREACHABLE, DATABASE_DENIED, DATABASE_NOT_FOUND, TIMED_OUT. */
  static async open(target: MysqlTarget): Promise<MysqlSession> {
    const connection = mysql.createConnection(optionsOf(target))
    try {
      await once(connection, 'connect')
    } catch (error) {
      connection.destroy()
      throw databaseError(
        error,
        `cannot connect to ${target.database === '' ? 'the server' : `the database ${target.database}`}`,
      )
    }
    // What ends an idle connection is told by the next query; without a listener it would end the process.
    connection.on('error', () => {})
    try {
      const version = await boundedAnswer(connection, () => pinned(connection))
      return new MysqlSession(connection, version)
    } catch (error) {
      connection.destroy()
      throw databaseError(error, `the server of ${target.database} does not accept how it is to be read`)
    }
  }

  /** Small results, as text: names, definitions, counts. Values only as parameters. */
  async facts(sql: string, values: readonly (string | number)[] = []): Promise<Record<string, string | null>[]> {
    try {
      const asked = { sql, values: [...values], typeCast: asText }
      const [rows] = await boundedAnswer(this.#connection, () =>
        this.#connection.promise().query<RowDataPacket[]>(asked),
      )
      return rows as Record<string, string | null>[]
    } catch (error) {
      throw databaseError(error, 'the server could not be asked')
    }
  }

  /** Carries a statement out that gives no rows. */
  async run(sql: string): Promise<void> {
    try {
      await boundedAnswer(this.#connection, () => this.#connection.promise().query(sql))
    } catch (error) {
      throw databaseError(error, 'the server refused a statement')
    }
  }

  /**
   * Rows as they are stored, as they come, in bunches: the server waits for whoever reads them. Nothing else is asked
   * meanwhile; one that is left before its end takes the connection with it. `table`: for errors.
   */
  async *rows(sql: string, table = '?'): AsyncGenerator<readonly RawRow[], void, undefined> {
    await this.run('SET SESSION character_set_results = NULL')
    using incoming = new IncomingRows(this.#connection, sql)
    try {
      for (let rows = await incoming.next(); rows !== null; rows = await incoming.next()) yield rows
    } catch (error) {
      throw databaseError(error, `the rows of ${table} could not be read`)
    }
    await this.run('SET SESSION character_set_results = utf8mb4')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.destroy()
  }
}

function optionsOf(target: MysqlTarget): ConnectionOptions {
  const { host, port, socket, user, password, database, tls } = target
  return {
    ...(socket === undefined ? { host: host ?? 'localhost', port: port ?? 3306 } : { socketPath: socket }),
    ...(tls === undefined ? {} : provenBy(tls.name ?? host ?? 'localhost', target)),
    user,
    password,
    database,
    charset: 'utf8mb4',
    connectTimeout: CONNECT_MS,
    // Never: a hostile server answers any query by asking for a file of ours (S-SRV-1).
    flags: ['-LOCAL_FILES'],
    multipleStatements: false,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    ...(tls === undefined ? {} : { ssl: sslOf(tls) }),
  }
}

function sslOf({ ca }: NonNullable<MysqlTarget['tls']>): SslOptions {
  const pinned = { minVersion: 'TLSv1.2', rejectUnauthorized: true, verifyIdentity: true } as const
  return ca === undefined ? pinned : { ...pinned, ca }
}

/**
 * The certificate has to be for `name`. The driver asks for the host it was told, if that is a name; an address it
 * takes for `localhost`, unless the socket says what it leads to.
 */
function provenBy(name: string, { host = 'localhost', port = 3306, socket }: MysqlTarget): ConnectionOptions {
  const stream = (): net.Socket => {
    const to = socket === undefined ? net.connect(port, host) : net.connect(socket)
    return Object.assign(to.setNoDelay(true), { _host: name })
  }
  return { host: name, stream }
}

async function pinned(connection: Connection): Promise<ServerVersion> {
  for (const sql of PINS) await connection.promise().query(sql)
  const [rows] = await connection.promise().query<RowDataPacket[]>('SELECT VERSION() AS version')
  const version = versionOf(String(rows[0]?.['version']))
  await connection.promise().query(NO_LIMIT[version.vendor]).catch(unlessUnknown)
  return version
}

/** An old server has no such variable, and no such limit. */
function unlessUnknown(error: unknown): void {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'ER_UNKNOWN_SYSTEM_VARIABLE') throw error
}

function versionOf(text: string): ServerVersion {
  const [, major = '0', minor = '0', patch = '0'] = /(\d+)\.(\d+)\.(\d+)/.exec(text.replace(/^5\.5\.5-/, '')) ?? []
  const number = Number(major) * 10_000 + Number(minor) * 100 + Number(patch)
  return { vendor: /mariadb/i.test(text) ? 'mariadb' : 'mysql', text, number }
}
