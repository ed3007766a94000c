import fs from 'node:fs'
import path from 'node:path'
import mysql from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { isEnded, outcome, type JobView } from '../../src/engine/job.ts'
import type { BackupSpec, ServerDatabaseSpec } from '../../src/engine/spec.ts'
import { SUMMARY_NAME } from '../../src/archive/manifest.ts'
import { openParts } from '../../src/archive/parts.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { SpineWorld } from '../engine/spine-world.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { seeded, type Random } from '../helpers/random.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'
import { killLoop } from './kill9-loop.ts'
import { createJobOf, inFolder, LONG, placeIn, SEED, strays } from './kill9-world.ts'

/** Whole backups of a busy MariaDB: what is claimed holds, whatever happens to connections, processes and tables. */

const ACCOUNTS = 400
const TOTAL = ACCOUNTS * 1000
const WRITERS = 4

let server: MariadbServer
let loads = 0

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  await server.root.query(`
    CREATE DATABASE bank CHARACTER SET utf8mb4; USE bank;
    CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL);
    INSERT INTO accounts SELECT seq, 1000 FROM seq_1_to_${ACCOUNTS};
    CREATE TABLE ballast (id INT PRIMARY KEY, body TEXT NOT NULL);
    INSERT INTO ballast SELECT seq, REPEAT(SHA1(seq), 20) FROM seq_1_to_8000;
    CREATE TABLE accounts_too (id INT PRIMARY KEY, balance INT NOT NULL);
    INSERT INTO accounts_too SELECT seq, 1000 FROM seq_1_to_${ACCOUNTS};
    CREATE TABLE loose (n INT, body TEXT);
    INSERT INTO loose SELECT seq % 7, REPEAT(MD5(seq), 30) FROM seq_1_to_3000;
    CREATE VIEW rich AS SELECT id FROM accounts WHERE balance > 1000;
    CREATE USER saver@localhost IDENTIFIED BY 'secret';
    GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON bank.* TO saver@localhost`)
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

const database = (more: Partial<ServerDatabaseSpec> = {}): ServerDatabaseSpec => ({
  type: 'mysql',
  socket: server.socket,
  user: 'saver',
  passwordEnv: 'RATCHET_TEST_PASSWORD',
  database: 'bank',
  ...more,
})
process.env['RATCHET_TEST_PASSWORD'] = 'secret'

const specOf = (world: SpineWorld, more: Partial<ServerDatabaseSpec> = {}): BackupSpec =>
  world.spec({
    ...{ sources: [], type: 'databases', databases: [database(more)], level: 1, deflate: 2 << 20 },
    pacing: { minMs: 0, maxMs: 60, bias: 100 },
  })

/** Money goes from table to table and from account to account: both tables together hold the same sum at each moment. */
class Writers implements AsyncDisposable {
  #stopped = false
  readonly #running: Promise<void>[]
  transfers = 0

  constructor() {
    this.#running = Array.from({ length: WRITERS }, (_, n) => this.#write(seeded(n + 1)))
  }

  async #write(random: Random): Promise<void> {
    const connection = await mysql.createConnection({ socketPath: server.socket, user: 'root', database: 'bank' })
    const account = (): number => 1 + random.int(ACCOUNTS)
    try {
      while (!this.#stopped) {
        await connection.beginTransaction()
        const [from, to] = random.int(2) === 0 ? ['accounts', 'accounts_too'] : ['accounts_too', 'accounts']
        try {
          await connection.query(`UPDATE ${from} SET balance = balance - 7 WHERE id = ${account()}`)
          await connection.query(`UPDATE ${to} SET balance = balance + 7 WHERE id = ${account()}`)
          await connection.commit()
          this.transfers++
        } catch (error) {
          if (!(error instanceof Error) || !('errno' in error) || error.errno !== 1213) throw error
          await connection.rollback() // a deadlock: one of two gives way
        }
      }
    } finally {
      connection.destroy()
    }
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
async function loaded(
  world: SpineWorld,
  app: App,
  backup: JobView,
): Promise<{ sum: number; ids: number; loose: number }> {
  const target = path.join(world.folder, `restored-${++loads}`)
  const start = app.engine.start({ kind: 'restore', archive: backup.number, target })
  const job = await stepped(app, start, async () => {})
  expect([outcome(job), job.error]).toEqual(['completed', null])
  return load(path.join(target, 'databases/bank'))
}

async function load(folder: string): Promise<{ sum: number; ids: number; loose: number }> {
  const name = `copy${++loads}`
  await server.root.query(`CREATE DATABASE ${name}`)
  const { status, stderr } = server.client(name, fs.readFileSync(path.join(folder, 'load.sql')), folder)
  expect([status, stderr]).toEqual([0, ''])
  const [rows] = await server.root.query(`
    SELECT (SELECT SUM(balance) FROM ${name}.accounts) + (SELECT SUM(balance) FROM ${name}.accounts_too) AS sum,
      (SELECT COUNT(DISTINCT id) FROM ${name}.accounts) + (SELECT COUNT(*) FROM ${name}.ballast) AS ids,
      (SELECT COUNT(*) FROM ${name}.loose) AS loose`)
  const [row] = rows as { sum: string; ids: number; loose: number }[]
  await server.root.query(`DROP DATABASE ${name}`)
  return { sum: Number(row?.sum), ids: row?.ids ?? 0, loose: row?.loose ?? 0 }
}

const WHOLE = { ids: ACCOUNTS + 8000, loose: 3000 }

/** What the archive says about itself. */
async function claimed(world: SpineWorld, backup: JobView): Promise<{ consistency: string; restarts: number }> {
  const archive = path.join(world.output, `${backup.archive ?? ''}.zip`)
  expect(fs.readFileSync(archive).includes('secret')).toBe(false)
  using reader = openZip(openParts(realDisk, archive))
  for (const entry of reader.entries()) {
    if (entry.path.toString() !== SUMMARY_NAME) continue
    const pieces: Uint8Array[] = []
    for await (const { bytes } of reader.content(entry)) pieces.push(Uint8Array.from(bytes))
    const { databases } = JSON.parse(Buffer.concat(pieces).toString()) as {
      databases: { stored: [{ consistency: string; restarts: number }] }
    }
    const [{ consistency, restarts }] = databases.stored
    const told = backup.warnings.recent.some(({ message }) => message.includes('its snapshot was lost'))
    expect(told).toBe(consistency === 'table')
    return { consistency, restarts }
  }
  throw new Error('the archive has no summary')
}

/** Waits a moment for the table, which may just be read: then nothing is altered this time. */
async function altered(sql: string): Promise<void> {
  try {
    await server.root.query(`SET STATEMENT lock_wait_timeout = 1 FOR ${sql}`)
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ER_LOCK_WAIT_TIMEOUT') throw error
  }
}

/** Ends all connections of the account that backs up. */
async function killAll(): Promise<number> {
  const [rows] = await server.root.query("SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = 'saver'")
  for (const { id } of rows as { id: number }[]) await server.root.query(`KILL ${id}`).catch((error: unknown) => error)
  return (rows as unknown[]).length
}

describe.skipIf(!hasMariadb)('a busy MariaDB', () => {
  test('in slices, in one process: one moment of it', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    await using writers = new Writers()
    const job = await stepped(app, app.engine.start({ kind: 'backup', spec: specOf(world) }), async () => {})
    expect([outcome(job), job.warnings.recent]).toEqual(['completed', []])
    expect(job.steps).toBeGreaterThan(3)
    expect(writers.transfers).toBeGreaterThan(10)
    expect((await claimed(world, job)).consistency).toBe('snapshot')
    expect(await loaded(world, app, job)).toEqual({ sum: 2 * TOTAL, ...WHOLE })
  })

  test('whose connections end again and again: a snapshot only if it was one', async () => {
    const seen = new Set<string>()
    for (let round = 1; round <= (LONG ? 40 : 6); round++) {
      await using world = new SpineWorld()
      const app = await world.app()
      await using _ = new Writers()
      const random = seeded(SEED + round)
      let kills = 0
      const start = app.engine.start({ kind: 'backup', spec: specOf(world) })
      const job = await stepped(app, start, async () => {
        if (kills < round && random.int(10) < 4) kills += await killAll()
      })
      expect([job.error, job.status]).toEqual([null, 'completed'])
      const { consistency } = await claimed(world, job)
      seen.add(consistency)
      const { sum, ...rest } = await loaded(world, app, job)
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
    expect([job.status, (await claimed(world, job)).consistency]).toEqual(['completed', 'table'])
    const { sum: _sum, ...rest } = await loaded(world, app, job)
    expect(rest).toEqual(WHOLE)
  }, 240_000)

  test('whose tables are altered, emptied and swapped meanwhile: read again, or named', async () => {
    await using world = new SpineWorld()
    const app = await world.app()
    await server.root.query('CREATE TABLE bank.storm (id INT PRIMARY KEY, a INT); INSERT INTO bank.storm VALUES (1, 1)')
    const start = app.engine.start({ kind: 'backup', spec: specOf(world) })
    const job = await stepped(app, start, async (n) => {
      if (n < 12 && n % 3 === 0) await altered(`ALTER TABLE bank.storm ADD c${n} INT DEFAULT ${n}`)
      if (n === 4)
        await server.root.query('CREATE TABLE bank.storm2 LIKE bank.storm; RENAME TABLE bank.storm2 TO bank.storm3')
    })
    expect([job.error, job.status]).toEqual([null, 'completed'])
    const { sum: _, ...rest } = await loaded(world, app, job)
    expect(rest).toEqual(WHOLE)
    await server.root.query('DROP TABLE IF EXISTS bank.storm, bank.storm2, bank.storm3')
  })

  test.each([
    ['a wrong password', { passwordEnv: 'RATCHET_TEST_WRONG' }, 'DATABASE_DENIED'],
    ['an unknown database', { database: 'nowhere' }, 'DATABASE_'],
    ['an unset variable', { passwordEnv: 'RATCHET_TEST_UNSET' }, 'PROFILE_INVALID'],
    ['a server that is not there', { socket: '/nowhere/s.sock' }, 'UNREACHABLE'],
  ])('with %s: nothing of it is published, and the error says what to change', async (_, more, code) => {
    process.env['RATCHET_TEST_WRONG'] = 'wrong'
    await using world = new SpineWorld()
    const app = await world.app()
    const job = await stepped(app, app.engine.start({ kind: 'backup', spec: specOf(world, more) }), async (n) => {
      if (n > 3) await app.engine.cancel(1)
    })
    expect(job.status).not.toBe('completed')
    const said = `${job.error?.code ?? ''} ${job.warnings.recent.map(({ message }) => message).join(' ')}`
    expect(said).toContain(code)
    expect(fs.readdirSync(world.output).filter((name) => name.endsWith('.zip'))).toEqual([])
  })

  test('processes killed with SIGKILL: every row once, and nothing left behind', async () => {
    await inFolder('mysql', SEED, async (folder) => {
      const place = placeIn(folder, 'db')
      const spec = sampleSpec({
        ...{ sources: [], type: 'databases', databases: [database()], archive: 'bank', output: place.output },
        ...{ pacing: { minMs: 0, maxMs: 150, bias: 100 }, deflate: 2 << 20 },
      })
      createJobOf(place, spec)
      const plan = { sliceMs: 150, when: 'mixed', threads: 1 } as const
      const report = await killLoop(place, plan, seeded(SEED))
      expect(report.last.status).toBe('completed')
      expect(report.kills).toBeGreaterThan(0)
      expect(strays(place, true)).toEqual([])
      await using world = new SpineWorld()
      const app = await world.app()
      const target = path.join(folder, 'target')
      const archive = path.join(place.output, fs.readdirSync(place.output).find((name) => name.endsWith('.zip')) ?? '')
      const job = await stepped(app, app.engine.start({ kind: 'restore', archive, target }), async () => {})
      expect(outcome(job)).toBe('completed')
      expect(await load(path.join(target, 'databases/bank'))).toEqual({ sum: 2 * TOTAL, ...WHOLE })
    })
  }, 240_000)
})
