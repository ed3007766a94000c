import { once } from 'node:events'
import mysql, { type Connection, type ConnectionOptions, type RowDataPacket } from 'mysql2'
import { databaseError } from './errors.ts'
import { IncomingRows } from './incoming-rows.ts'
import type { RawRow } from './raw-row.ts'

/** Where a server is and who asks. */
export interface MysqlTarget {
  /** Name or address; or `socket`. */
  readonly host?: string
  readonly port?: number
  /** Absolute path of its socket on this machine. */
  readonly socket?: string
  readonly user: string
  readonly password: string
  readonly database: string
  /** Absent: no TLS. `ca` in PEM; `name`: whom its certificate is for, where that is not the host. */
  readonly tls?: { readonly ca?: string; readonly name?: string }
}

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
]

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
      throw databaseError(error, `cannot connect to the database ${target.database}`)
    }
    // What ends an idle connection is told by the next query; without a listener it would end the process.
    connection.on('error', () => {})
    try {
      for (const sql of PINS) await connection.promise().query(sql)
      const [rows] = await connection.promise().query<RowDataPacket[]>('SELECT VERSION() AS version')
      return new MysqlSession(connection, versionOf(String(rows[0]?.['version'])))
    } catch (error) {
      connection.destroy()
      throw databaseError(error, `the server of ${target.database} does not accept how it is to be read`)
    }
  }

  /** Small results, as text: names, definitions, counts. Values only as parameters. */
  async facts(sql: string, values: readonly (string | number)[] = []): Promise<Record<string, string | null>[]> {
    try {
      const [rows] = await this.#connection.promise().query<RowDataPacket[]>({
        sql,
        values: [...values],
        typeCast: (field) => field.string('utf8'),
      })
      return rows as Record<string, string | null>[]
    } catch (error) {
      throw databaseError(error, 'the server could not be asked')
    }
  }

  /** Carries a statement out that gives no rows. */
  async run(sql: string): Promise<void> {
    try {
      await this.#connection.promise().query(sql)
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

function optionsOf({ host, port, socket, user, password, database, tls }: MysqlTarget): ConnectionOptions {
  return {
    ...(socket === undefined ? { host: host ?? 'localhost', port: port ?? 3306 } : { socketPath: socket }),
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
    ...(tls === undefined ? {} : { ssl: { ...tlsOf(tls), minVersion: 'TLSv1.2', rejectUnauthorized: true } }),
  }
}

function tlsOf({ ca, name }: NonNullable<MysqlTarget['tls']>): { ca?: string; servername?: string } {
  return { ...(ca === undefined ? {} : { ca }), ...(name === undefined ? {} : { servername: name }) }
}

function versionOf(text: string): ServerVersion {
  const [, major = '0', minor = '0', patch = '0'] = /(\d+)\.(\d+)\.(\d+)/.exec(text.replace(/^5\.5\.5-/, '')) ?? []
  const number = Number(major) * 10_000 + Number(minor) * 100 + Number(patch)
  return { vendor: /mariadb/i.test(text) ? 'mariadb' : 'mysql', text, number }
}
