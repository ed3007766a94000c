import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { startMariadb } from '../test/servers/mariadb.ts'
import type { Client } from 'pg'
import { startPostgres, type PostgresServer } from '../test/servers/postgres.ts'
import { cpuOf, cpuOfAll } from './process-tree.ts'

/**
 * A server with a database `bench` of about 300 MB of SQL in 20 tables: one of a million rows, two without a key.
 * Scripts are for `sh -c`, and take a file as `$0`.
 */
export interface BenchServer extends AsyncDisposable {
  readonly kind: 'mysql' | 'postgresql'
  /** How a profile reaches it. */
  readonly access: Readonly<Record<string, string | number>>
  /** What the vendor's program does: packed into a file. */
  readonly packed: { readonly name: string; readonly script: string }
  /** A plain dump, and loading it into the database `copy`. */
  readonly plain: string
  readonly load: { readonly name: string; readonly script: string }
  /** Its own CPU time so far. Seconds. */
  cpu(): number
  /** Without a database `copy`, or with an empty one. */
  fresh(make: boolean): Promise<void>
  /** Rows of the table `big` in `copy`. */
  restored(): Promise<number>
}

const TABLES: readonly (readonly [name: string, rows: number, keyed: boolean])[] = [
  ['big', 1_000_000, true],
  ...Array.from({ length: 17 }, (_, n) => [`t${n}`, 20_000, true] as const),
  ...Array.from({ length: 2 }, (_, n) => [`keyless${n}`, 20_000, false] as const),
]

export async function mariadbServer(): Promise<BenchServer> {
  const server = await startMariadb(['--innodb-buffer-pool-size=1G', '--innodb-log-file-size=512M'])
  await server.root.query('CREATE DATABASE bench CHARACTER SET utf8mb4; USE bench')
  for (const [name, rows, keyed] of TABLES) {
    await server.root.query(`CREATE TABLE ${name} (id BIGINT${keyed ? ' PRIMARY KEY' : ''}, name VARCHAR(60),
      email VARCHAR(80), n INT, d DECIMAL(12,2), at DATETIME, body TEXT)`)
    await server.root.query(`INSERT INTO ${name} SELECT seq, CONCAT('name ', MD5(seq)),
      CONCAT(LEFT(SHA1(seq), 12), '@example.org'), seq * 7919 % 1000003, seq / 7, FROM_UNIXTIME(1600000000 + seq),
      CONCAT('it''s a text of ', REPEAT(CONCAT(MD5(seq * 3), ' some words here '), 1 + seq % 3)) FROM seq_1_to_${rows}`)
  }
  const connect = `--no-defaults --socket='${server.socket}' --user=root`
  const dump = `mariadb-dump ${connect} --single-transaction bench`
  return {
    kind: 'mysql',
    access: { socket: server.socket, user: 'root' },
    packed: { name: 'mariadb-dump --single-transaction | gzip', script: `${dump} | gzip > "$0"` },
    plain: `${dump} > "$0"`,
    load: { name: 'mariadb < dump', script: `mariadb ${connect} copy < "$0"` },
    cpu: () => cpuOf(server.pid),
    async fresh(make) {
      const made = make ? '; CREATE DATABASE copy CHARACTER SET utf8mb4' : ''
      await server.root.query(`DROP DATABASE IF EXISTS copy${made}`)
    },
    async restored() {
      const [[row]] = (await server.root.query('SELECT COUNT(*) AS n FROM copy.big')) as unknown as [[{ n: number }]]
      return row.n
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

async function fillPostgres(server: PostgresServer, admin: Client): Promise<void> {
  await admin.query('CREATE DATABASE bench')
  const bench = await server.connect('bench')
  for (const [name, rows, keyed] of TABLES) {
    await bench.query(`CREATE TABLE ${name} (id bigint${keyed ? ' PRIMARY KEY' : ''}, name varchar(60),
      email varchar(80), n int, d numeric(12,2), at timestamp, body text)`)
    await bench.query(`INSERT INTO ${name} SELECT i, 'name ' || md5(i::text), left(md5((i * 5)::text), 12) || '@example.org',
      (i::bigint * 7919) % 1000003, i / 7.0, to_timestamp(1600000000 + i),
      'it''s a text of ' || repeat(md5((i * 3)::text) || ' some words here ', 1 + i % 3) FROM generate_series(1, ${rows}) i`)
  }
  await bench.query('VACUUM ANALYZE')
}

export async function postgresServer(): Promise<BenchServer> {
  const tuned = ['shared_buffers=1GB', 'max_wal_size=8GB', 'fsync=on', 'autovacuum=off'].flatMap((one) => ['-c', one])
  const server = await startPostgres(tuned)
  const admin = await server.connect()
  try {
    await fillPostgres(server, admin)
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  const connect = `-h '${server.socket}' -p ${server.port} -U postgres`
  const dump = `'${path.join(server.programs, 'pg_dump')}' ${connect} bench`
  return {
    kind: 'postgresql',
    access: { socket: server.socket, port: server.port, user: 'postgres' },
    packed: { name: 'pg_dump | gzip', script: `${dump} | gzip > "$0"` },
    plain: `${dump} > "$0"`,
    load: {
      name: 'psql < dump',
      script: `'${path.join(server.programs, 'psql')}' ${connect} -X -q -o /dev/null -d copy < "$0"`,
    },
    cpu: () => cpuOfAll(server.pid),
    async fresh(make) {
      await admin.query('DROP DATABASE IF EXISTS copy')
      if (make) await admin.query('CREATE DATABASE copy')
    },
    async restored() {
      const { stdout } = server.psql('copy', ['-Atc', 'SELECT count(*) FROM big'])
      return Number(stdout)
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** Runs one of its scripts, outside of any measurement. */
export const runScript = (script: string, file: string): void =>
  void execFileSync('sh', ['-c', script, file], { stdio: ['ignore', 'inherit', 'inherit'] })
