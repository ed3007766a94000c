import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { nameBeside } from '../../src/load/postgres/databases.ts'
import { PostgresLoad } from '../../src/load/postgres/postgres-load.ts'
import type { LoadOrder } from '../../src/load/sql-load.ts'
import { BackupError } from '../../src/lib/errors.ts'
import pg from 'pg'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { drive, finished, loaded, orderFor, Wire, type DumpFile } from './postgres-fixture.ts'

let server: PostgresServer
let admin: pg.Client

const FILES: DumpFile[] = [
  { name: 'a.sql', rows: false, bytes: Buffer.from('CREATE TABLE public.t (a int);\nCREATE SEQUENCE public.s;\n') },
  { name: 'b.sql', rows: true, bytes: Buffer.from('COPY public.t (a) FROM stdin;\n1\n2\n\\.\n') },
  { name: 'c.sql', rows: false, bytes: Buffer.from('CREATE INDEX i ON public.t (a);\n') },
]

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  admin = await server.connect()
  await admin.query(
    'CREATE ROLE loader LOGIN CREATEDB; CREATE ROLE reader LOGIN; CREATE ROLE plain LOGIN; CREATE ROLE big LOGIN',
  )
  await admin.query('GRANT big TO loader; ALTER ROLE big CREATEDB; GRANT SET ON PARAMETER app.tenant TO loader')
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

/** Against the default of the database. */
const WRITE = 'SET default_transaction_read_only = off'

/** A database in use, with all that hangs at it. */
async function shop(): Promise<void> {
  if (!hasPostgres) return
  for (const name of await names()) await admin.query(`DROP DATABASE "${name.replaceAll('"', '""')}" WITH (FORCE)`)
  await admin.query("CREATE DATABASE shop TEMPLATE template0 OWNER loader LC_COLLATE 'C' LC_CTYPE 'C'")
  for (const sql of [
    'SET search_path = "$user", "odd, ""name", public',
    "SET DateStyle = 'German'",
    "SET app.tenant = 'it''s \\ one'",
    "SET statement_timeout = '20s'",
    'SET default_transaction_read_only = on',
    'CONNECTION LIMIT 17',
  ])
    await admin.query(`ALTER DATABASE shop ${sql}`)
  await admin.query(
    "REVOKE ALL ON DATABASE shop FROM PUBLIC; GRANT CONNECT ON DATABASE shop TO reader WITH GRANT OPTION; GRANT CREATE ON DATABASE shop TO reader; COMMENT ON DATABASE shop IS 'it''s the shop'",
  )
  await admin.query("ALTER ROLE reader IN DATABASE shop SET work_mem = '10MB'")
  asked('shop', WRITE, 'CREATE TABLE public.old (a int)', 'INSERT INTO public.old VALUES (7)')
}
beforeEach(shop)

const NOT_OURS = new Set(['postgres', 'template0', 'template1'])
const names = async (): Promise<string[]> => {
  const { rows } = await admin.query<{ datname: string }>(
    'SELECT datname FROM pg_database ORDER BY datname COLLATE "C"',
  )
  return rows.map(({ datname }) => datname).filter((name) => !NOT_OURS.has(name))
}
const asked = (database: string, ...sql: readonly string[]): string => {
  const ran = server.psql(database, ['-At', ...sql.flatMap((one) => ['-c', one])])
  if (ran.status !== 0) throw new Error(ran.stderr)
  return ran.stdout.trim()
}
/** All that hangs at a database itself. */
const hangingAt = (name: string): string =>
  asked(
    'postgres',
    `SELECT r.rolname, datconnlimit, datcollate, datctype, encoding, (SELECT string_agg(x, ' ' ORDER BY x COLLATE "C") FROM unnest(datacl::text[]) x), shobj_description(d.oid, 'pg_database'),
      (SELECT setconfig FROM pg_db_role_setting s WHERE s.setdatabase = d.oid AND s.setrole = 0)
     FROM pg_database d JOIN pg_roles r ON r.oid = datdba WHERE datname = '${name}'`,
  )
const order = (changes: Partial<LoadOrder> = {}): LoadOrder => orderFor(server, 'shop', { mode: 'swap', ...changes })
const as = (user: string, changes: Partial<LoadOrder> = {}): LoadOrder => {
  const one = order(changes)
  return { ...one, target: { ...one.target, user } }
}
const swapped = async (before: string): Promise<void> => {
  expect(await names()).toEqual(['shop', before])
  expect(asked('shop', 'SELECT a FROM public.t ORDER BY 1')).toBe('1\n2')
  expect(asked('shop', "SELECT count(*) FROM pg_namespace WHERE nspname = 'ratchet_restore'")).toBe('0')
  expect(asked(before, 'SELECT a FROM public.old')).toBe('7')
}

describe.skipIf(!hasPostgres)('a database takes the place of another one', () => {
  test('with all that hangs at it; the other one is kept as it was', async () => {
    const before = hangingAt('shop')
    const { kept, lacks } = await loaded(order(), FILES)
    expect(kept).toBe('shop_before_load-1')
    expect(lacks).toEqual([{ kind: 'database', name: 'settings of reader', why: expect.any(String) as string }])
    await swapped('shop_before_load-1')
    expect(hangingAt('shop')).toBe(before)
    expect(hangingAt('shop_before_load-1')).toBe(before)
    expect(before).toContain('odd')
  })

  test('that belongs to somebody else, whom the account stands in for', async () => {
    await admin.query('ALTER DATABASE shop OWNER TO big')
    const before = hangingAt('shop')
    await loaded(order(), FILES)
    await swapped('shop_before_load-1')
    expect(hangingAt('shop')).toBe(before)
  })

  test('what the account may not give is told', async () => {
    await admin.query("ALTER DATABASE shop SET log_statement = 'all'")
    const { lacks } = await loaded(order(), FILES)
    expect(lacks.map(({ name }) => name)).toEqual(['setting log_statement', 'settings of reader'])
    await swapped('shop_before_load-1')
  })

  test('that is not there', async () => {
    await admin.query('DROP DATABASE shop')
    expect((await loaded(order(), FILES)).kept).toBe(null)
    expect(await names()).toEqual(['shop'])
    expect(asked('shop', 'SELECT count(*) FROM public.t')).toBe('2')
    // Asked again by somebody who did not hear of it.
    await using again = await PostgresLoad.open(order())
    expect(await finished(again)).toBe(null)
    expect(await names()).toEqual(['shop'])
  })

  test('into an empty database that is there', async () => {
    await admin.query('CREATE DATABASE spare OWNER loader')
    expect((await loaded(order({ scratch: 'spare' }), FILES)).kept).toBe('shop_before_load-1')
    await swapped('shop_before_load-1')
  })

  test('but not into one that holds something, or is not there, or is not his', async () => {
    await admin.query('CREATE DATABASE spare OWNER loader')
    asked('spare', 'CREATE TABLE x ()')
    await using full = await PostgresLoad.open(order({ scratch: 'spare' }))
    await expect(full.prepare()).rejects.toMatchObject({ code: 'TARGET_EXISTS' })
    await using none = await PostgresLoad.open(order({ scratch: 'none' }))
    await expect(none.prepare()).rejects.toMatchObject({ code: 'DATABASE_NOT_FOUND' })
    await admin.query('ALTER DATABASE spare OWNER TO postgres')
    await using theirs = await PostgresLoad.open(order({ scratch: 'spare' }))
    await expect(theirs.prepare()).rejects.toMatchObject({
      code: 'DATABASE_DENIED',
      message: expect.stringContaining('spare') as string,
    })
    expect(asked('shop', 'SELECT a FROM public.old')).toBe('7')
  })

  test('which takes rights that are asked for before anything is loaded', async () => {
    await admin.query('GRANT CONNECT ON DATABASE shop TO plain')
    await using plain = await PostgresLoad.open(as('plain'))
    await expect(plain.prepare()).rejects.toMatchObject({
      code: 'DATABASE_DENIED',
      message: expect.stringContaining('CREATEDB') as string,
      hint: expect.stringMatching(/CREATEDB.*mode new/) as string,
    })
    await admin.query('ALTER DATABASE shop OWNER TO postgres')
    await using other = await PostgresLoad.open(order())
    await expect(other.prepare()).rejects.toMatchObject({
      code: 'DATABASE_DENIED',
      message: expect.stringContaining('belongs to postgres') as string,
      hint: expect.stringContaining('OWNER TO') as string,
    })
    expect(await names()).toEqual(['shop'])
  })

  test('names are cut between letters, and stay different', () => {
    const long = 'ü'.repeat(31)
    const id = 'x'.repeat(40)
    expect(nameBeside('shop', 'before', '1')).toBe('shop_before_1')
    for (const name of [long, `${long}a`, `a${long}`]) {
      const beside = nameBeside(name, 'ratchet', id)
      expect(Buffer.byteLength(beside)).toBeLessThanOrEqual(63)
      expect(beside.isWellFormed() && !beside.includes('\uFFFD')).toBe(true)
    }
    expect(nameBeside(`${long}a`, 'before', id)).not.toBe(nameBeside(`${long}b`, 'before', id))
  })

  test('given up: nothing of it is left', async () => {
    const load = await PostgresLoad.open(order())
    await drive(load, FILES)
    expect(await names()).toEqual(['shop', 'shop_ratchet_load-1'])
    await load[Symbol.asyncDispose]()
    await using other = await PostgresLoad.open(order())
    await other.undo()
    expect(await names()).toEqual(['shop'])
    expect(asked('shop', 'SELECT a FROM public.old')).toBe('7')
  })
})

describe.skipIf(!hasPostgres)('while others are connected', () => {
  test('programs of the same account that come back at once', async () => {
    const state = { over: false, came: 0, failed: 0 }
    const visit = async (): Promise<void> => {
      while (!state.over) {
        const client = new pg.Client({ host: server.socket, port: server.port, user: 'loader', database: 'shop' })
        client.on('error', () => state.failed++)
        try {
          await client.connect()
          state.came++
          for (;;) await client.query('SELECT pg_sleep(0.01)')
        } catch {
          state.failed++
        }
        await client.end().catch((error: Error) => error)
      }
    }
    const visitors = [visit(), visit(), visit()]
    await loaded(order(), FILES)
    // They were there before, and are again.
    await expect.poll(() => state.came).toBeGreaterThan(3)
    state.over = true
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'loader'")
    await Promise.all(visitors)
    await swapped('shop_before_load-1')
  })

  test('somebody whom the account cannot end: it is told, and goes on later', async () => {
    const client = await server.connect('shop')
    await using load = await PostgresLoad.open(order())
    await drive(load, FILES)
    await expect(finished(load)).rejects.toMatchObject({
      code: 'DATABASE_BUSY',
      retry: 'later',
      hint: expect.stringContaining('all is loaded') as string,
    })
    expect(asked('shop', 'SELECT a FROM public.old')).toBe('7')
    await client.end()
    await using again = await PostgresLoad.open(order())
    expect(await again.prepare()).toEqual({ file: 2, at: 31 })
    expect(await finished(again)).toBe('shop_before_load-1')
    await swapped('shop_before_load-1')
  })
})

describe.skipIf(!hasPostgres)('killed while it takes its place', () => {
  test.each([
    [0, true],
    [1, true],
    [2, true],
    [0, false],
    [1, false],
    [2, false],
  ])('behind yield %s, prepared again: %s', async (yields, prepared) => {
    const load = await PostgresLoad.open(order())
    await drive(load, FILES)
    const steps = load.finish()
    for (let i = 0; i < yields; i++) expect((await steps.next()).done).toBe(false)
    // Nothing more is heard of it.
    await load[Symbol.asyncDispose]()
    await using other = await PostgresLoad.open(order())
    if (prepared) expect((await other.prepare()).file).toBeGreaterThan(1)
    expect(await finished(other)).toBe('shop_before_load-1')
    await swapped('shop_before_load-1')
    // And again, by somebody who did not hear of it.
    await using third = await PostgresLoad.open(order())
    if (prepared) expect((await third.prepare()).file).toBeGreaterThan(1)
    expect(await finished(third)).toBe('shop_before_load-1')
    await swapped('shop_before_load-1')
  })

  test('left at each of its words, by steps that are shorter', async () => {
    const load = await PostgresLoad.open(order())
    await drive(load, FILES)
    await load[Symbol.asyncDispose]()
    for (let steps = 0, done = false; !done; steps++) {
      expect(steps).toBeLessThan(10)
      await using other = await PostgresLoad.open(order())
      const words = other.finish()
      done = (await words.next()).done === true
      await words.return(null)
    }
    await swapped('shop_before_load-1')
  })

  test.each(['lost', 'heard'] as const)('at any word to the server: %s', { timeout: 300_000 }, async (how) => {
    await using wire = await Wire.to(server)
    const direct = order()
    const through = {
      ...direct,
      target: { ...direct.target, socket: undefined, host: '127.0.0.1', port: wire.port } as never,
    }
    let cuts = 0
    for (let at = how === 'lost' ? 20 : 24; ; at += 11) {
      await shop()
      const before = hangingAt('shop')
      {
        await using load = await PostgresLoad.open(direct)
        await drive(load, FILES)
      }
      wire.again(at, how)
      const error = await PostgresLoad.open(through)
        .then((load) => finished(load).finally(() => load[Symbol.asyncDispose]()))
        .catch((failure: unknown) => failure)
      const { cut } = wire
      if (cut) {
        cuts++
        if (error instanceof BackupError) expect(error.retry, error.message).toBe('later')
        await using other = await PostgresLoad.open(direct)
        expect(await finished(other)).toBe('shop_before_load-1')
      }
      await swapped('shop_before_load-1')
      expect(hangingAt('shop')).toBe(before)
      if (!cut) break
    }
    expect(cuts).toBeGreaterThan(5)
  })

  test('one that is asleep before it takes its place can do it no more', async () => {
    const first = await PostgresLoad.open(order())
    await drive(first, FILES)
    const steps = first.finish()
    expect((await steps.next()).done).toBe(false)
    await loaded(order(), FILES)
    await swapped('shop_before_load-1')
    expect(asked('shop', WRITE, 'INSERT INTO public.t VALUES (3) RETURNING a')).toBe('3')
    await expect(
      steps
        .next()
        .then(() => steps.next())
        .then(() => steps.next()),
    ).resolves.toMatchObject({ done: true })
    expect(await names()).toEqual(['shop', 'shop_before_load-1'])
    expect(asked('shop', 'SELECT a FROM public.t ORDER BY 1')).toBe('1\n2\n3')
    await first[Symbol.asyncDispose]()
  })
})
