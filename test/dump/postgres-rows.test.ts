import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresDump } from '../../src/dump/postgres/postgres-dump.ts'
import type { PostgresTarget } from '../../src/dump/postgres/session.ts'
import type { Section } from '../../src/dump/sql-dump.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { seeded } from '../helpers/random.ts'
import { blocksOf, rowsIn, type Kept } from './postgres-fixture.ts'
import type pg from 'pg'

let server: PostgresServer
let client: pg.Client
let target: PostgresTarget

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  const admin = await server.connect()
  await admin.query('CREATE DATABASE shop')
  client = await server.connect('shop')
  await client.query(`CREATE COLLATION careless (provider = icu, locale = 'de-u-ks-level1', deterministic = false)`)
  await client.query(`CREATE COLLATION german (provider = icu, locale = 'de')`)
  await client.query(`CREATE TYPE mood AS ENUM ('z', 'y', 'x')`)
  await client.query(`CREATE DOMAIN deep AS int; CREATE DOMAIN deeper AS deep`)
  await client.query('CREATE EXTENSION IF NOT EXISTS citext')
  // Whoever looks here for operators or functions is told so.
  await client.query(
    `CREATE FUNCTION public.trap(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'trap'; END $$`,
  )
  await client.query('CREATE OPERATOR public.> (LEFTARG = int, RIGHTARG = int, FUNCTION = public.trap)')
  target = { socket: server.socket, port: server.port, user: 'postgres', password: '', database: 'shop' }
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

const open = (): Promise<PostgresDump> => PostgresDump.open(target, { consistency: 'table' })

async function sectionOf(dump: PostgresDump, table: string): Promise<Section> {
  const sections = await dump.sections()
  const found = sections.find((section) => section.table === table)
  if (found === undefined) throw new Error(`no section for ${table}`)
  return found
}

/** In this order, twice shuffled. */
const shuffled = (count: number): number[] => {
  const random = seeded(7)
  return Array.from({ length: count }, (_, n) => n).toSorted(() => random.next() - 0.5)
}

const KEYS: readonly (readonly [what: string, columns: string, values: (n: number) => string])[] = [
  ['a number', 'k bigint PRIMARY KEY', (n) => `${9223372036854775807n - BigInt(n)}`],
  ['a small number', 'k int PRIMARY KEY', (n) => `${n - 30}`],
  ['a domain of a domain', 'k deeper PRIMARY KEY', (n) => `${n - 30}`],
  [
    'a numeric',
    'k numeric PRIMARY KEY',
    (n) => (n === 0 ? "'NaN'" : n === 1 ? "'-Infinity'" : `-1.${'0'.repeat(300)}${n}1`),
  ],
  ['a float', 'k float4 PRIMARY KEY', (n) => (n === 0 ? "'NaN'" : n === 1 ? "'Infinity'" : `${n} / 3.0`)],
  ['a double', 'k float8 PRIMARY KEY', (n) => (n === 0 ? "'-Infinity'" : `${n} / 7.0 * 1e-300`)],
  ['text', 'k text PRIMARY KEY', (n) => `E'${n % 2 ? 'Z' : 'a'}\\'\\\\ \\n\\t\\x7f é${n}'`],
  [
    'text in German order',
    'k varchar(40) COLLATE german PRIMARY KEY',
    (n) => `'${['ä', 'A', 'z', 'a', 'Ö-', 'o'][n % 6]}${n}'`,
  ],
  ['text, its index in another order', 'k text COLLATE german NOT NULL', (n) => `'${'aZÄ'[n % 3]}${n}'`],
  ['padded text', 'k char(9) PRIMARY KEY', (n) => `'a${n}'`],
  ['bytes', 'k bytea PRIMARY KEY', (n) => `'\\x00${n.toString(16).padStart(6, '0')}5c0aff'`],
  ['bits', 'k bit(20) PRIMARY KEY', (n) => `${n}::bit(20)`],
  ['more bits', 'k varbit(20) PRIMARY KEY', (n) => `B'${n.toString(2)}'`],
  ['a truth', 'k bool, l "name", PRIMARY KEY (k, l)', (n) => `${n % 2 === 0}, 'n${n}'`],
  ['a date', 'k date PRIMARY KEY', (n) => (n === 0 ? "'infinity'" : `'0044-03-15 BC'::date + ${n}`)],
  ['a moment', 'k timestamptz PRIMARY KEY', (n) => `'2024-10-27 00:59:59+00'::timestamptz + '${n} us'`],
  ['a time', 'k timetz PRIMARY KEY', (n) => `'12:00:00.${n}1+0${n % 9}:30'`],
  ['an interval', 'k interval PRIMARY KEY', (n) => `'${n - 20} days -${n}:00:01'`],
  ['an identifier', 'k uuid PRIMARY KEY', (n) => `'00000000-0000-0000-0000-${n.toString(16).padStart(12, '0')}'`],
  ['an address', 'k cidr PRIMARY KEY', (n) => `'10.${n}.0.0/16'`],
  ['a member and a number', 'k mood NOT NULL, l int NOT NULL, UNIQUE (k, l)', (n) => `'${'zyx'[n % 3]}', ${n}`],
  ['three, the last one first', 'a text DEFAULT $$x$$, k int, l "char", PRIMARY KEY (k, l)', (n) => `${n}, 'c'`],
]
const NO_KEY = new Set(['three, the last one first'])

describe.skipIf(!hasPostgres)('rows are read after the last key seen', () => {
  test.each(KEYS)('which is %s', async (what, columns, values) => {
    const table = `t ${what}`
    await client.query(`CREATE TABLE "${table}" (more text DEFAULT repeat('m', 90), ${columns})`)
    if (what.includes('another order')) await client.query(`CREATE UNIQUE INDEX ON "${table}" (k COLLATE "C" DESC)`)
    const names = /\bl\b/.test(columns) ? 'k, l' : 'k'
    for (const n of shuffled(60)) await client.query(`INSERT INTO "${table}" (${names}) VALUES (${values(n)})`)
    await using dump = await open()
    const section = await sectionOf(dump, `public."${table}"`)
    expect(section).toMatchObject({ unit: 'database:shop', kind: 'rows', resumable: !NO_KEY.has(what) })
    const blocks = await blocksOf(dump, section, null, 900)
    const rows = rowsIn(blocks)
    expect([rows.length, new Set(rows).size, blocks.reduce((n, block) => n + block.rows, 0)]).toEqual([60, 60, 60])
    expect(blocks.length).toBeGreaterThan(6)
    expect(blocks.slice(0, -1).every(({ safe, length }) => safe && length === 900)).toBe(true)
    if (NO_KEY.has(what)) return
    // Each by a connection of its own, as other processes would.
    for (const [i, { mark }] of blocks.slice(0, -1).entries()) {
      await using other = await open()
      expect(mark).not.toBeNull()
      const rest = await blocksOf(other, section, mark, 900)
      expect([...rowsIn(blocks.slice(0, i + 1)), ...rowsIn(rest)]).toEqual(rows)
    }
  })

  test.each([
    ['equal texts that differ', 'k text COLLATE careless PRIMARY KEY'],
    ['an order that an extension makes', 'k citext PRIMARY KEY'],
    ['an order of bytes only', 'k text COLLATE german NOT NULL'],
    ['NULL', 'k int UNIQUE'],
    ['a key that may be broken for a while', 'k int NOT NULL UNIQUE DEFERRABLE'],
    ['a computed key', 'k int GENERATED ALWAYS AS (1) STORED PRIMARY KEY'],
    ['money', 'k money PRIMARY KEY'],
  ])('not with %s', async (what, columns) => {
    await client.query(`CREATE TABLE "no ${what}" (${columns}, l int DEFAULT 1)`)
    if (what.includes('bytes only')) await client.query(`CREATE UNIQUE INDEX ON "no ${what}" (k text_pattern_ops)`)
    await client.query(
      `CREATE UNIQUE INDEX ON "no ${what}" (l) WHERE l > 5; CREATE UNIQUE INDEX ON "no ${what}" ((l + 1))`,
    )
    await using dump = await open()
    expect((await sectionOf(dump, `public."no ${what}"`)).resumable).toBe(false)
  })

  test('and none that was there all along is lost while others come and go', async () => {
    await client.query('CREATE TABLE busy (id int PRIMARY KEY, kept bool)')
    await client.query('INSERT INTO busy SELECT i * 10, i % 3 = 0 FROM generate_series(0, 299) i')
    const size = 400
    let mark: Kept['mark'] = null
    const seen: string[] = []
    for (let round = 0; ; round++) {
      await using dump: PostgresDump = await open()
      const section = await sectionOf(dump, 'public.busy')
      const memory = Buffer.alloc(size)
      const { value: block } = await dump.read(section, mark, () => memory).next()
      if (block === undefined) break
      const kept = { ...block, text: memory.toString('latin1', 0, block.length) }
      seen.push(...rowsIn([kept]))
      if (block.mark === null) break
      mark = block.mark
      await client.query('DELETE FROM busy WHERE id IN (SELECT id FROM busy WHERE NOT kept AND id < $1 LIMIT 9)', [
        round * 200,
      ])
      await client.query('INSERT INTO busy VALUES ($1, false) ON CONFLICT DO NOTHING', [round * 10 + 5])
    }
    const kept = seen.filter((row) => row.endsWith('\tt'))
    expect([kept.length, new Set(seen).size]).toEqual([100, seen.length])
  })
})

describe.skipIf(!hasPostgres)('rows longer than a block', () => {
  test('go on through several, wherever they end', async () => {
    await client.query('CREATE TABLE long_ones (t text, id int PRIMARY KEY)')
    const size = 300
    // Around every length at which the end of the rows would be cut.
    for (let id = 0; id < 400; id++)
      await client.query('INSERT INTO long_ones VALUES ($1, $2)', [`${'x'.repeat(id % 5 === 0 ? 5 : 150 + id)}\\`, id])
    await using dump = await open()
    const section = await sectionOf(dump, 'public.long_ones')
    const blocks = await blocksOf(dump, section, null, size)
    const rows = rowsIn(blocks)
    expect(rows.map((row) => Number(row.split('\t')[0]))).toEqual(Array.from({ length: 400 }, (_, i) => i))
    expect(blocks.some(({ safe }) => !safe)).toBe(true)
    expect(blocks.slice(0, -1).every(({ safe, mark, length }) => safe === (mark !== null) && length === size)).toBe(
      true,
    )
    const safe = [...blocks.entries()].filter(([, { mark }]) => mark !== null)
    for (const [i, { mark }] of safe.filter((_, n) => n % 9 === 0)) {
      await using other = await open()
      const rest = await blocksOf(other, section, mark, size)
      expect([...rowsIn(blocks.slice(0, i + 1)), ...rowsIn(rest)]).toEqual(rows)
    }
  })

  test('in memory of a block, and beyond the limit not at all', async () => {
    await client.query('CREATE TABLE giant (id int PRIMARY KEY, t bytea)')
    await client.query(
      "INSERT INTO giant SELECT i, decode(repeat('00ff', 5 << 20), 'hex') FROM generate_series(1, 3) i",
    )
    await using dump = await open()
    const section = await sectionOf(dump, 'public.giant')
    const blocks = await blocksOf(dump, section)
    expect(rowsIn(blocks).map((row) => row.length)).toEqual(Array.from({ length: 3 }, () => (20 << 20) + 5))
    // The server waits for a slow reader, and goes on with it.
    const memory = Buffer.alloc(1 << 20)
    let length = 0
    for await (const block of dump.read(section, null, () => memory)) {
      length += block.length
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    expect(length).toBe(blocks.reduce((sum, block) => sum + block.length, 0))
    await client.query("INSERT INTO giant SELECT 4, decode(repeat('00', 33 << 20), 'hex')")
    await expect(blocksOf(dump, section)).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringContaining('public.giant') as string,
    })
  })
})

test.skipIf(!hasPostgres)('who does not want to go on elsewhere need not have them in order', async () => {
  await client.query("CREATE TABLE heap (id int PRIMARY KEY, t text DEFAULT repeat('x', 50))")
  for (const n of shuffled(100)) await client.query('INSERT INTO heap VALUES ($1)', [n])
  await using dump = await PostgresDump.open(target, { consistency: 'snapshot', inOrder: false })
  const section = await sectionOf(dump, 'public.heap')
  expect(section.resumable).toBe(false)
  const blocks = await blocksOf(dump, section, null, 900)
  expect(blocks.every(({ safe, mark }) => safe && mark === null)).toBe(true)
  const ids = rowsIn(blocks).map((row) => Number(row.split('\t')[0]))
  expect(ids).toEqual(shuffled(100))
})

describe.skipIf(!hasPostgres)('one moment', () => {
  test('is what a snapshot shows, also after it was left in the middle', async () => {
    await client.query('CREATE TABLE moment (id int PRIMARY KEY, t text)')
    await client.query("INSERT INTO moment SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i")
    await using dump = await PostgresDump.open(target, { consistency: 'snapshot' })
    const section = await sectionOf(dump, 'public.moment')
    await client.query("UPDATE moment SET t = 'y'; INSERT INTO moment VALUES (0, 'new'); CREATE TABLE later (id int)")
    const memory = Buffer.alloc(1 << 20)
    for await (const block of dump.read(section, null, () => memory)) {
      expect(block.rows).toBeGreaterThan(0)
      break
    }
    const rows = rowsIn(await blocksOf(dump, section))
    expect([rows.length, rows.every((row) => row.endsWith('\txxxx') || row.endsWith('xxxx'))]).toEqual([20_000, true])
    expect((await dump.sections()).some(({ table }) => table === 'public.later')).toBe(false)
  })

  test('a table that is another one since is not read on', async () => {
    const changes = {
      truncated: 'TRUNCATE x',
      altered: 'ALTER TABLE x ADD COLUMN more int',
      swapped: 'ALTER TABLE x RENAME TO old_x; CREATE TABLE x (id int PRIMARY KEY, t text)',
      dropped: 'DROP TABLE x',
    }
    for (const [how, change] of Object.entries(changes)) {
      await client.query('DROP TABLE IF EXISTS x, old_x; CREATE TABLE x (id int PRIMARY KEY, t text)')
      await client.query("INSERT INTO x SELECT i, repeat('x', 100) FROM generate_series(1, 100) i")
      await using dump = await open()
      const section = await sectionOf(dump, 'public.x')
      const [, second] = await blocksOf(dump, section, null, 2000)
      if (second === undefined) throw new Error('there is only one block')
      await client.query("INSERT INTO x VALUES (1000, 'y')")
      expect(rowsIn(await blocksOf(dump, section, second.mark, 2000)).at(-1)).toBe('1000\ty')
      await client.query(change)
      for (const other of [dump, await open()]) {
        const on = blocksOf(other, section, second.mark, 2000)
        await expect(on, how).rejects.toMatchObject({ code: 'SOURCE_CHANGED', retry: 'later' })
        await other[Symbol.asyncDispose]()
      }
    }
  })

  test('the shape of it all changes with any definition, and with nothing else', async () => {
    await using dump = await open()
    const unit = (await dump.sections())[0]?.unit ?? ''
    const passing = await server.connect('shop')
    for (const change of [
      'CREATE FUNCTION fresh() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
      'CREATE OR REPLACE FUNCTION fresh() RETURNS int LANGUAGE sql AS $$ SELECT 2 $$',
      'CREATE VIEW seen AS SELECT 1 AS one',
      'CREATE TABLE newcomer (id int)',
      'ALTER TABLE newcomer ALTER id SET DEFAULT 5',
      'ALTER TABLE newcomer RENAME id TO di',
      'CREATE INDEX ON newcomer (di)',
    ]) {
      const before = await dump.shape(unit)
      await client.query('INSERT INTO busy VALUES (-1, false); DELETE FROM busy WHERE id = -1; ANALYZE busy')
      await passing.query('DROP TABLE IF EXISTS pg_temp.passing; CREATE TEMP TABLE passing (id serial PRIMARY KEY)')
      await client.query('VACUUM FULL busy')
      expect(await dump.shape(unit), change).toBe(before)
      await client.query(change)
      expect(await dump.shape(unit), change).not.toBe(before)
      await using other = await PostgresDump.open(target, { consistency: 'snapshot' })
      expect(await other.shape(unit), change).toBe(await dump.shape(unit))
    }
  })
})
