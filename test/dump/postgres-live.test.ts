import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresDump } from '../../src/dump/postgres/postgres-dump.ts'
import type { PostgresTarget } from '../../src/dump/postgres/session.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { blocksOf, roundTrip, rowsIn } from './postgres-fixture.ts'

let server: PostgresServer
let target: PostgresTarget

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  target = { socket: server.socket, port: server.port, user: 'postgres', password: '', database: 'bank' }
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

describe.skipIf(!hasPostgres)('a database that is written to', () => {
  test('is dumped as it was at one moment', async () => {
    const admin = await server.connect()
    await admin.query('CREATE DATABASE bank')
    const client = await server.connect('bank')
    await client.query(`
      CREATE TABLE a (id int PRIMARY KEY, balance int); CREATE TABLE b (id int, balance int); CREATE SEQUENCE moves;
      INSERT INTO a SELECT i, 1000 FROM generate_series(1, 300) i; INSERT INTO b SELECT i, 1000 FROM generate_series(1, 300) i`)
    let going = true
    let moved = 0
    const writers = Array.from({ length: 4 }, async (_, n) => {
      const writer = await server.connect('bank')
      for (let i = n; going; i += 7) {
        await writer
          .query(`BEGIN; UPDATE a SET balance = balance - ${(i % 90) + 1} WHERE id = ${(i % 300) + 1};
          UPDATE b SET balance = balance + ${(i % 90) + 1} WHERE id = ${((i * 7) % 300) + 1}; SELECT nextval('moves'); COMMIT`)
          .catch((error: Error) => writer.query('ROLLBACK').then(() => expect(error.message).toContain('deadlock')))
        moved++
      }
    })
    for (let round = 0; round < 5; round++) {
      await using dump = await PostgresDump.open(target, { consistency: 'snapshot' })
      const before = moved
      const sums: number[] = []
      for (const section of (await dump.sections()).filter(({ kind }) => kind === 'rows')) {
        const rows = rowsIn(await blocksOf(dump, section))
        sums.push(rows.reduce((sum, row) => sum + Number(row.split('\t')[1]), 0))
        // Others go on meanwhile.
        while (moved < before + 100) await new Promise((resolve) => setTimeout(resolve, 5))
      }
      expect([sums.length, (sums[0] ?? 0) + (sums[1] ?? 0)]).toEqual([2, 600_000])
    }
    going = false
    await Promise.all(writers)
    expect(moved).toBeGreaterThan(400)
  })
})

describe.skipIf(!hasPostgres)('other encodings', () => {
  test.each([
    ['LATIN1', '\\351\\374'],
    ['SQL_ASCII', '\\351\\374\\303\\251\\377'],
    ['EUC_JP', '\\306\\374\\313\\334'],
  ])('%s: bytes come back as they are', async (encoding, bytes) => {
    const admin = await server.connect()
    const create = (name: string): string =>
      `CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`
    const name = `in_${encoding.toLowerCase()}`
    await admin.query(create(name))
    const client = await server.connect(name)
    await client.query(`CREATE TABLE words (t text PRIMARY KEY, d text DEFAULT 'x')`)
    await client.query(
      `INSERT INTO words SELECT convert_from('${bytes}'::bytea, '${encoding}') || i FROM generate_series(1, 50) i`,
    )
    await client.query(`SET client_encoding = '${encoding}'`)
    for (const consistency of ['snapshot', 'table'] as const) {
      const to = `${name}_${consistency}`
      const done = await roundTrip(server, name, to, { consistency, blockSize: 600 }, create(to))
      const [rows] = done.sections.filter(({ kind }) => kind === 'rows')
      expect(rows?.resumable).toBe(encoding !== 'SQL_ASCII')
      const [from, back] = [name, to].map((database) =>
        server.psql(database, ['-Atc', `SELECT encode(convert_to(t, '${encoding}'), 'hex') FROM words ORDER BY 1`]),
      )
      expect(from?.stdout.trim().split('\n')).toHaveLength(50)
      expect(back).toEqual(from)
    }
  })
})

describe.skipIf(!hasPostgres)('what belongs to an extension', () => {
  test('is made by it, but for the rows that it says are the user’s', async () => {
    const admin = await server.connect()
    await admin.query('CREATE DATABASE extended')
    const client = await server.connect('extended')
    await client.query(`
      CREATE EXTENSION citext; CREATE TABLE config (k int PRIMARY KEY); CREATE TABLE inner_one (k int);
      INSERT INTO config VALUES (1), (2), (3); ALTER EXTENSION citext ADD TABLE config; ALTER EXTENSION citext ADD TABLE inner_one;
      UPDATE pg_extension SET extconfig = ARRAY['config'::regclass::oid], extcondition = ARRAY['WHERE k > 1'] WHERE extname = 'citext'`)
    await using dump = await PostgresDump.open({ ...target, database: 'extended' }, { consistency: 'snapshot' })
    const rows = (await dump.sections()).filter(({ kind }) => kind === 'rows')
    expect(rows.map(({ table, resumable }) => [table, resumable])).toEqual([['public.config', false]])
    const [config] = rows
    if (config === undefined) throw new Error('there is none')
    expect(rowsIn(await blocksOf(dump, config))).toEqual(['2', '3'])
  })
})
