import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresSession } from '../../src/dump/postgres/session.ts'
import { limitOf } from '../../src/load/postgres/databases.ts'
import { thingsIn } from '../../src/load/postgres/empty.ts'
import { PostgresLoad } from '../../src/load/postgres/postgres-load.ts'
import { definitions } from '../dump/postgres-fixture.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { drive, dumped, finished, loaded, orderFor, Wire, type DumpFile } from './postgres-fixture.ts'
import type pg from 'pg'

const HOSTILE = fs.readFileSync(new URL('../dump/postgres-hostile.sql', import.meta.url), 'utf8')
const MORE = `
CREATE AGGREGATE every_one(int) (SFUNC = int4pl, STYPE = int);
CREATE AGGREGATE counted(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
CREATE TEXT SEARCH DICTIONARY book (TEMPLATE = simple);
CREATE COLLATION plain (provider = libc, locale = 'C');
CREATE CAST (mood AS int) WITH INOUT;
CREATE PUBLICATION pub;
CREATE EXTENSION citext;
SELECT lo_create(12345);
`

let server: PostgresServer
let admin: pg.Client
let files: DumpFile[]

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  admin = await server.connect()
  await admin.query('CREATE ROLE loader LOGIN; CREATE ROLE maker LOGIN CREATEDB; CREATE ROLE other LOGIN')
  await admin.query('CREATE DATABASE shop')
  const client = await server.connect('shop')
  await client.query(HOSTILE + MORE)
  files = (await dumped(server, 'shop')).files
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

async function make(name: string, sql = ''): Promise<void> {
  await admin.query(`CREATE DATABASE ${name} TEMPLATE template0 OWNER loader`)
  const ran = server.psql(name, ['-c', sql])
  if (ran.status !== 0) throw new Error(ran.stderr)
}

const asked = (database: string, sql: string): string => server.psql(database, ['-At', '-c', sql]).stdout.trim()
const isThere = async (name: string): Promise<boolean> =>
  (await admin.query('SELECT FROM pg_database WHERE datname = $1', [name])).rowCount === 1
const maker = (database: string, id = 'load-1') => {
  const order = orderFor(server, database, { id })
  return { ...order, target: { ...order.target, user: 'maker' } }
}

async function left(database: string): Promise<unknown[]> {
  const target = { socket: server.socket, port: server.port, user: 'postgres', password: '', database }
  await using session = await PostgresSession.open(target)
  const schemas = await session.facts("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'")
  return [await thingsIn(session), schemas.map(({ nspname }) => nspname)]
}
const NOTHING = [[], ['public']]

describe.skipIf(!hasPostgres)('a database that holds something is not touched', () => {
  test.each([
    ['a table', 'CREATE TABLE t ()', 'table public.t'],
    ['a view', 'CREATE VIEW v AS SELECT 1', 'view public.v'],
    ['a function', "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", 'function public.f()'],
    ['a type', "CREATE TYPE e AS ENUM ('a')", 'type public.e'],
    ['a schema', 'CREATE SCHEMA s', 'schema s'],
    ['a large object', 'SELECT lo_create(77)', 'large object 77'],
    ['a text search configuration', 'CREATE TEXT SEARCH CONFIGURATION c (COPY = simple)', 'text search configuration'],
    ['a marker of another account', FAKE(), 'table public.precious'],
  ])('%s', async (what, sql, thing) => {
    const name = what.replaceAll(' ', '_')
    await make(name, sql)
    const before = definitions(server, name)
    await using load = await PostgresLoad.open(orderFor(server, name))
    await expect(load.prepare()).rejects.toMatchObject({
      code: 'TARGET_EXISTS',
      message: expect.stringContaining(thing) as string,
      hint: expect.stringContaining('swap') as string,
    })
    await load.undo()
    expect(definitions(server, name)).toBe(before)
  })
})

/** Somebody who may make schemas says that all of it came from a load. */
function FAKE(): string {
  return `CREATE TABLE precious (); GRANT CREATE ON DATABASE a_marker_of_another_account TO other; SET ROLE other;
    CREATE SCHEMA ratchet_restore; CREATE TABLE ratchet_restore.progress (id text, file int, at bigint, made boolean, phase text, kept text);
    INSERT INTO ratchet_restore.progress VALUES ('x', 0, 0, true, 'emptying', ''); GRANT ALL ON SCHEMA ratchet_restore TO PUBLIC; GRANT ALL ON ratchet_restore.progress TO PUBLIC`
}

describe.skipIf(!hasPostgres)('whose database it is', () => {
  test('one that is absent takes a right to make', async () => {
    await using load = await PostgresLoad.open(orderFor(server, 'absent'))
    expect(load.server).toMatch(/^PostgreSQL \d/)
    await expect(load.prepare()).rejects.toMatchObject({
      code: 'DATABASE_DENIED',
      message: expect.stringContaining('CREATEDB') as string,
      hint: expect.stringContaining('empty database') as string,
    })
    await load.undo()
  })

  test('one in which the account may only fill public', async () => {
    await make('filled')
    await admin.query('ALTER DATABASE filled OWNER TO postgres')
    server.psql('filled', ['-c', 'GRANT ALL ON SCHEMA public TO loader'])
    const small = [{ name: 'a.sql', rows: false, bytes: Buffer.from('CREATE TABLE public.a (b int);\n') }]
    await using load = await PostgresLoad.open(orderFor(server, 'filled'))
    await drive(load, small)
    expect(
      asked(
        'filled',
        "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
      ),
    ).toBe('a,ratchet_restore_progress')
    await finished(load)
    expect(
      asked('filled', "SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
    ).toBe('a')
  })

  test('one in which it may do nothing', async () => {
    await make('locked')
    await admin.query('ALTER DATABASE locked OWNER TO postgres')
    await using load = await PostgresLoad.open(orderFor(server, 'locked'))
    await expect(load.prepare()).rejects.toMatchObject({
      code: 'DATABASE_DENIED',
      hint: expect.stringContaining('CREATE') as string,
    })
  })

  test('names that are none', async () => {
    await expect(PostgresLoad.open(orderFor(server, 'x', { id: 'a b' }))).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    const same = orderFor(server, 'x', { mode: 'swap', scratch: 'x' })
    await expect(PostgresLoad.open(same)).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  })
})

describe.skipIf(!hasPostgres)('a load that is given up', () => {
  test('leaves nothing in a database that was there, and that stays', async () => {
    await make('given', 'CREATE EXTENSION hstore')
    const before = server.pgDump('given', []).replaceAll(/^\\(un)?restrict .*$/gm, '')
    await using load = await PostgresLoad.open(orderFor(server, 'given'))
    await drive(load, files)
    expect(await left('given')).not.toEqual(NOTHING)
    await load.undo()
    expect(await left('given')).toEqual(NOTHING)
    expect(server.pgDump('given', []).replaceAll(/^\\(un)?restrict .*$/gm, '')).toBe(before)
    expect(asked('given', "SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension")).toBe('hstore,plpgsql')
    await load.undo()
  })

  test('takes the database with it that was made for it', async () => {
    await using load = await PostgresLoad.open(maker('made'))
    await drive(load, files.slice(0, 3))
    expect(asked('postgres', "SELECT datconnlimit FROM pg_database WHERE datname = 'made'")).toBe('-1')
    // By another process, that knows nothing of it.
    await using other = await PostgresLoad.open(maker('made'))
    await other.undo()
    expect(await isThere('made')).toBe(false)
    await other.undo()
  })

  test('whose database had no marker yet: it is known by its number', async () => {
    await admin.query(`CREATE DATABASE early OWNER maker CONNECTION LIMIT ${limitOf('load-1')}`)
    await using not = await PostgresLoad.open(maker('early', 'load-2'))
    await not.undo()
    expect(await isThere('early')).toBe(true)
    await using load = await PostgresLoad.open(maker('early'))
    await load.undo()
    expect(await isThere('early')).toBe(false)
  })

  test('is not cleared away by the next one: it may be in use', async () => {
    await make('next')
    {
      await using load = await PostgresLoad.open(orderFor(server, 'next'))
      await drive(load, files.slice(0, -1))
    }
    const before = definitions(server, 'next')
    const said = { code: 'TARGET_EXISTS', message: expect.stringContaining('restore load-1') as string }
    await expect(loaded(orderFor(server, 'next', { id: 'load-2' }), files)).rejects.toMatchObject(said)
    expect(definitions(server, 'next')).toBe(before)
  })

  test('goes whole: whoever was cut while clearing it away begins anew', { timeout: 200_000 }, async () => {
    await make('half')
    await using wire = await Wire.to(server)
    const order = orderFor(server, 'half')
    const through = {
      ...order,
      target: { ...order.target, socket: undefined, host: '127.0.0.1', port: wire.port } as never,
    }
    let cuts = 0
    for (let at = 40; ; at += 21) {
      {
        await using load = await PostgresLoad.open(order)
        await drive(load, files)
      }
      wire.again(at, at % 2 === 0 ? 'lost' : 'heard')
      const undone = await PostgresLoad.open(through)
        .then((load) => load.undo().then(() => load))
        .catch((error: unknown) => error)
      const { cut } = wire
      if (undone instanceof PostgresLoad) await undone[Symbol.asyncDispose]()
      if (cut) cuts++
      await using load = await PostgresLoad.open(order)
      const standing = await load.prepare()
      // Before the first word of it was heard, all is still there.
      if (standing.file === 0 && standing.at === 0) {
        expect((await left('half'))[0]).toEqual([])
        await load.undo()
        expect(await left('half')).toEqual(NOTHING)
      }
      if (!cut) break
    }
    expect(cuts).toBeGreaterThan(2)
  })
})
