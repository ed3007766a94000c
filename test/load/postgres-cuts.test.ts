import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresLoad } from '../../src/load/postgres/postgres-load.ts'
import type { LoadOrder } from '../../src/load/sql-load.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { BLOCK, drive, dumped, finished, loaded, orderFor, Wire, type DumpFile } from './postgres-fixture.ts'
import type pg from 'pg'

let server: PostgresServer
let admin: pg.Client
let files: DumpFile[]
/** What comes of a load that nothing disturbed. */
let whole: string

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  admin = await server.connect()
  await admin.query('CREATE ROLE loader LOGIN CREATEDB')
  await admin.query('CREATE DATABASE shop')
  const client = await server.connect('shop')
  await client.query(`
    CREATE TYPE mood AS ENUM ('a', 'b');
    CREATE TABLE rows (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text, m mood);
    CREATE TABLE again (a int, b text);
    CREATE TABLE log (n int);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.log VALUES (1); RETURN NEW; END $$;
    INSERT INTO rows (t, m) SELECT repeat(md5(i::text), 30), 'b' FROM generate_series(1, 2500) i;
    INSERT INTO rows (t) SELECT string_agg(md5(i::text), '') FROM generate_series(1, 80000) i;
    INSERT INTO rows (t) SELECT repeat(md5(i::text), 30) FROM generate_series(1, 100) i;
    INSERT INTO again SELECT 1, 'same' FROM generate_series(1, 1000);
    CREATE TRIGGER notes AFTER INSERT ON rows FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE VIEW v AS SELECT count(*) FROM again;
    CREATE INDEX ON again (b);
    COMMENT ON TABLE again IS 'twice';`)
  files = (await dumped(server, 'shop')).files
  await loaded(orderFor(server, 'undisturbed'), files)
  whole = said('undisturbed')
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

const said = (database: string): string => server.pgDump(database, []).replaceAll(/^\\(un)?restrict .*$/gm, '')

const through = (wire: Wire, database: string): LoadOrder => {
  const order = orderFor(server, database)
  return { ...order, target: { ...order.target, socket: undefined, host: '127.0.0.1', port: wire.port } as never }
}

/** As the stage does it: `finish` once all files are in, however often. True: it is done. */
async function tried(order: LoadOrder, state: { all: boolean }): Promise<BackupError | null> {
  try {
    const load = await PostgresLoad.open(order)
    if (!state.all) await drive(load, files, { commit: 2 })
    state.all = true
    await finished(load)
    await load[Symbol.asyncDispose]()
    return null
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
}

describe.skipIf(!hasPostgres)('a load that is cut', () => {
  test('what is compared is not nothing', () => {
    expect(whole).toBe(said('shop').replaceAll('postgres', 'loader'))
    expect(files.find(({ rows, bytes }) => rows && bytes.length > 5 * BLOCK)).toBeDefined()
  })

  test.each(['lost', 'heard'] as const)('goes on wherever it was: %s', { timeout: 300_000 }, async (how) => {
    await using wire = await Wire.to(server)
    let cuts = 0
    for (let at = how === 'lost' ? 3 : 7; ; at += 13) {
      const state = { all: false }
      wire.again(at, how)
      const error = await tried(through(wire, 'cut'), state)
      const { cut } = wire
      if (cut) {
        cuts++
        // The last word may be lost on whoever has all he wants.
        if (error !== null) expect([error.code, error.retry]).toEqual(['UNREACHABLE', 'later'])
        wire.again(Number.POSITIVE_INFINITY, how)
        expect(await tried(through(wire, 'cut'), state)).toBe(null)
      }
      expect(said('cut')).toBe(whole)
      await admin.query('DROP DATABASE cut WITH (FORCE)')
      if (!cut) break
    }
    expect(cuts).toBeGreaterThan(20)
  })

  test('goes on as often as it is cut', async () => {
    await using wire = await Wire.to(server)
    const state = { all: false }
    let tries = 0
    for (let error: BackupError | null = new BackupError('INTERNAL', 'first'); error !== null; tries++) {
      wire.again(150, tries % 2 === 0 ? 'lost' : 'heard')
      error = await tried(through(wire, 'often'), state)
      if (tries > 50) throw error ?? new Error('without end')
    }
    expect(tries).toBeGreaterThan(1)
    expect(said('often')).toBe(whole)
  })
})

describe.skipIf(!hasPostgres)('whoever comes later cuts off whoever was there', () => {
  test('one that is asleep in the middle of a transaction', async () => {
    const order = orderFor(server, 'asleep')
    const first = await PostgresLoad.open(order)
    await first.prepare()
    const index = files.findIndex(({ rows, bytes }) => rows && bytes.length > 5 * BLOCK)
    for (const [i, file] of files.slice(0, index).entries()) await whole_(first, i, file)
    const { name, bytes } = files[index]!
    const file = await first.open({ index, name, rows: true, more: false, from: 0, head: null })
    await file.take(bytes.subarray(0, BLOCK))
    const held = await file.commit()
    await file.take(bytes.subarray(BLOCK, 2 * BLOCK))

    const { standing } = await loaded(order, files)
    expect(standing).toEqual({ file: index, at: held })
    expect(held).toBeGreaterThan(BLOCK / 2)
    // It wakes up, and can do nothing.
    await expect(file.take(bytes.subarray(2 * BLOCK, 6 * BLOCK)).then(() => file.commit())).rejects.toMatchObject({
      code: 'UNREACHABLE',
    })
    await first[Symbol.asyncDispose]()
    expect(said('asleep')).toBe(whole)
  })

  test('but not one of another load', async () => {
    await using first = await PostgresLoad.open(orderFor(server, 'taken'))
    await first.prepare()
    await using second = await PostgresLoad.open(orderFor(server, 'taken', { id: 'load-2' }))
    await expect(second.prepare()).rejects.toMatchObject({ code: 'DATABASE_BUSY', retry: 'later' })
    await drive(first, files)
    await finished(first)
    expect(said('taken')).toBe(whole)
  })
})

async function whole_(load: PostgresLoad, index: number, { name, rows, bytes }: DumpFile): Promise<void> {
  const file = await load.open({ index, name, rows, more: false, from: 0, head: null })
  for (let at = 0; at < bytes.length; at += BLOCK) await file.take(bytes.subarray(at, at + BLOCK))
  await file.end()
  await file.commit()
}
