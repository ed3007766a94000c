import fs from 'node:fs'
import path from 'node:path'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { isEnded, outcome, type JobView } from '../../src/engine/job.ts'
import type { BackupSpec, ServerDatabaseSpec } from '../../src/engine/spec.ts'
import { SUMMARY_NAME } from '../../src/archive/manifest.ts'
import { openParts } from '../../src/archive/parts.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { SpineWorld } from '../engine/spine-world.ts'
import { seeded, type Random } from '../helpers/random.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { LONG, SEED } from './kill9-world.ts'

/** Whole backups of a busy PostgreSQL: what is claimed holds, whatever happens to connections, processes and tables. */

const ACCOUNTS = 400
const TOTAL = ACCOUNTS * 1000
const WRITERS = 4

let server: PostgresServer
let admin: pg.Client
let bank: pg.Client
let loads = 0

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  admin = await server.connect()
  await admin.query('CREATE DATABASE bank')
  await admin.query("CREATE ROLE saver LOGIN PASSWORD 'secret'")
  await admin.query('GRANT pg_read_all_data TO saver')
  bank = await server.connect('bank')
  await bank.query(`
    CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
    INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, ${ACCOUNTS}) i;
    CREATE TABLE ballast (id int PRIMARY KEY, body text NOT NULL);
    INSERT INTO ballast SELECT i, repeat(md5(i::text), 25) FROM generate_series(1, 8000) i;
    CREATE TABLE accounts_too (id int PRIMARY KEY REFERENCES accounts, balance int NOT NULL);
    INSERT INTO accounts_too SELECT i, 1000 FROM generate_series(1, ${ACCOUNTS}) i;
    CREATE TABLE loose (n int, body text);
    INSERT INTO loose SELECT i % 7, repeat(md5(i::text), 30) FROM generate_series(1, 3000) i;
    CREATE VIEW rich AS SELECT id FROM accounts WHERE balance > 1000`)
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

process.env['RATCHET_TEST_PASSWORD'] = 'secret'

const specOf = (world: SpineWorld, more: Partial<ServerDatabaseSpec> = {}): BackupSpec => {
  const socket = `${server.socket}/.s.PGSQL.${server.port}`
  const database = { socket, user: 'saver', passwordEnv: 'RATCHET_TEST_PASSWORD', database: 'bank', ...more }
  return world.spec({
    ...{ sources: [], type: 'databases', databases: [{ type: 'postgresql', ...database }], level: 1, deflate: 2 << 20 },
    pacing: { minMs: 0, maxMs: 60, bias: 100 },
  })
}

/** Money goes from table to table and from account to account: both tables together hold the same sum at each moment. */
class Writers implements AsyncDisposable {
  #stopped = false
  readonly #running: Promise<void>[]
  transfers = 0

  constructor() {
    this.#running = Array.from({ length: WRITERS }, (_, n) => this.#write(seeded(n + 1)))
  }

  async #write(random: Random): Promise<void> {
    const connection = await server.connect('bank')
    const account = (): number => 1 + random.int(ACCOUNTS)
    while (!this.#stopped) {
      const [from, to] = random.int(2) === 0 ? ['accounts', 'accounts_too'] : ['accounts_too', 'accounts']
      await connection.query('BEGIN')
      try {
        await connection.query(`UPDATE ${from} SET balance = balance - 7 WHERE id = ${account()}`)
        await connection.query(`UPDATE ${to} SET balance = balance + 7 WHERE id = ${account()}`)
        await connection.query('COMMIT')
        this.transfers++
      } catch (error) {
        if (!(error instanceof Error) || !error.message.includes('deadlock')) throw error
        await connection.query('ROLLBACK') // one of two gives way
      }
    }
    await connection.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }
}

async function stepped(app: App, start: Promise<JobView>, between: (n: number) => Promise<void>): Promise<JobView> {
  let job = await start
  for (let n = 0; !isEnded(job) && n < 3000; n++) {
    await between(n)
    job = await app.engine.step(job.number)
  }
  return job
}

/** Restores the files, loads them by the vendor's client, and says what the database then holds. */
async function loaded(world: SpineWorld, app: App, backup: JobView): Promise<readonly number[]> {
  const target = path.join(world.folder, `restored-${++loads}`)
  const start = app.engine.start({ kind: 'restore', archive: backup.number, target })
  const job = await stepped(app, start, async () => {})
  expect([outcome(job), job.error]).toEqual(['completed', null])
  const name = `copy${++loads}`
  await admin.query(`CREATE DATABASE ${name} TEMPLATE template0`)
  const { status, stderr } = server.psql(name, ['-f', path.join(target, 'databases/bank/load.sql')])
  expect([status, stderr]).toEqual([0, ''])
  const { stdout } = server.psql(name, [
    '-Atc',
    `SELECT (SELECT sum(balance) FROM accounts) + (SELECT sum(balance) FROM accounts_too),
       (SELECT count(DISTINCT id) FROM accounts) + (SELECT count(*) FROM ballast), (SELECT count(*) FROM loose)`,
  ])
  await admin.query(`DROP DATABASE ${name}`)
  return stdout.trim().split('|').map(Number)
}

const WHOLE = [ACCOUNTS + 8000, 3000]

/** What the archive says about itself. */
async function claimed(world: SpineWorld, backup: JobView): Promise<string> {
  const archive = path.join(world.output, `${backup.archive ?? ''}.zip`)
  expect(fs.readFileSync(archive).includes('secret')).toBe(false)
  using reader = openZip(openParts(realDisk, archive))
  for (const entry of reader.entries()) {
    if (entry.path.toString() !== SUMMARY_NAME) continue
    const pieces: Uint8Array[] = []
    for await (const { bytes } of reader.content(entry)) pieces.push(Uint8Array.from(bytes))
    const { databases } = JSON.parse(Buffer.concat(pieces).toString()) as {
      databases: { stored: [{ consistency: string }] }
    }
    return databases.stored[0].consistency
  }
  throw new Error('the archive has no summary')
}

describe.skipIf(!hasPostgres)('a busy PostgreSQL', () => {
  test('in slices, in one process: one moment of it', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    await using writers = new Writers()
    const job = await stepped(app, app.engine.start({ kind: 'backup', spec: specOf(world) }), async () => {})
    expect([outcome(job), job.error, job.warnings.recent]).toEqual(['completed', null, []])
    expect(job.steps).toBeGreaterThan(3)
    expect(writers.transfers).toBeGreaterThan(10)
    expect(await claimed(world, job)).toBe('snapshot')
    expect(await loaded(world, app, job)).toEqual([2 * TOTAL, ...WHOLE])
  })

  test('whose connections end again and again: a snapshot only if it was one', async () => {
    const seen = new Set<string>()
    for (let round = 1; round <= (LONG ? 40 : 5); round++) {
      await using world = new SpineWorld()
      const app = await world.app()
      await using _ = new Writers()
      const random = seeded(SEED + round)
      let kills = 0
      const start = app.engine.start({ kind: 'backup', spec: specOf(world) })
      const job = await stepped(app, start, async () => {
        if (kills >= round || random.int(10) >= 4) return
        const { rowCount } = await admin.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'saver'",
        )
        kills += rowCount ?? 0
      })
      expect([job.error, job.status]).toEqual([null, 'completed'])
      const consistency = await claimed(world, job)
      seen.add(consistency)
      const [sum, ...rest] = await loaded(world, app, job)
      expect(rest).toEqual(WHOLE)
      if (consistency === 'snapshot') expect(sum).toBe(2 * TOTAL)
    }
    expect(seen.has('snapshot')).toBe(true)
  })

  test('whose steps are taken by one process after another: told as tables, and no row is lost or doubled', async () => {
    await using world = new SpineWorld()
    let app = await world.app()
    await using _ = new Writers()
    const pacing = { minMs: 0, maxMs: 20, bias: 100 } // no step comes to the end of it
    let job = await app.engine.start({ kind: 'backup', spec: { ...specOf(world), pacing } })
    for (let n = 1; !isEnded(job) && n < 3000; n++) {
      await world.close(app)
      app = await world.app()
      job = await app.engine.step(job.number)
    }
    expect([job.status, job.error, await claimed(world, job)]).toEqual(['completed', null, 'table'])
    const [, ...rest] = await loaded(world, app, job)
    expect(rest).toEqual(WHOLE)
  })

  test('whose tables are altered meanwhile: read again', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    const storm = await server.connect('bank')
    await storm.query("SET lock_timeout = '1s'; CREATE TABLE storm (id int PRIMARY KEY); INSERT INTO storm VALUES (1)")
    const start = app.engine.start({ kind: 'backup', spec: specOf(world, { consistency: 'table' }) })
    const job = await stepped(app, start, async (n) => {
      if (n === 1) await storm.query('ALTER TABLE storm ADD c int DEFAULT 3')
      if (n === 2) await storm.query('CREATE TABLE storm2 (id int); ALTER TABLE storm RENAME c TO d')
    })
    expect([job.error, job.status]).toEqual([null, 'completed'])
    const [, ...rest] = await loaded(world, app, job)
    expect(rest).toEqual(WHOLE)
    await storm.query('DROP TABLE IF EXISTS storm, storm2')
  })
})
