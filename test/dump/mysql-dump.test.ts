import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MysqlDump, type TableChoice } from '../../src/dump/mysql/dump.ts'
import type { MysqlTarget } from '../../src/dump/mysql/session.ts'
import type { Consistency, Lack, RowMark, Section } from '../../src/dump/sql-dump.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'

let server: MariadbServer
let target: MysqlTarget

const BLOCK = 32 << 10

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  await server.root.query(`
    CREATE DATABASE odd CHARACTER SET utf8mb4; USE odd;
    SET sql_mode = '';
    CREATE TABLE many (a INT, b VARCHAR(40) COLLATE utf8mb4_unicode_ci, body TEXT, PRIMARY KEY (b, a));
    INSERT INTO many SELECT seq, CONCAT('k', seq % 50), REPEAT('it''s \\\\ \\n', seq % 60) FROM seq_1_to_2000;
    CREATE TABLE \`semi;colon'--x\`\`y\` (\`na"me\` INT PRIMARY KEY, \`new
line\` TEXT);
    INSERT INTO \`semi;colon'--x\`\`y\` VALUES (1, '); DROP TABLE many; --'), (2, NULL);
    CREATE TABLE loose (n INT, t TEXT); INSERT INTO loose SELECT seq % 3, REPEAT('z', 100) FROM seq_1_to_700;
    CREATE TABLE wide (id INT PRIMARY KEY, b LONGBLOB);
    INSERT INTO wide VALUES (1, 'short'), (2, REPEAT(UNHEX('00FF275C'), 40000)), (3, REPEAT('y', 200000)), (4, '');
    CREATE TABLE computed (a INT GENERATED ALWAYS AS (1) STORED); INSERT INTO computed () VALUES (), ();
    CREATE TABLE nothing (a INT PRIMARY KEY);
    CREATE TABLE child (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES nothing (a));
    CREATE TABLE counted (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 500; INSERT INTO counted VALUES (0);
    SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; INSERT INTO counted VALUES (0); SET sql_mode = '';
    CREATE TABLE isam (id INT PRIMARY KEY) ENGINE = MyISAM; INSERT INTO isam VALUES (1);
    CREATE TRIGGER fires BEFORE INSERT ON many FOR EACH ROW SET NEW.a = NEW.a + 1;
    CREATE VIEW looks AS SELECT a FROM many;
    CREATE USER reader@localhost; GRANT SELECT ON odd.* TO reader@localhost`)
  target = { socket: server.socket, user: 'root', password: '', database: 'odd' }
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

interface Read {
  readonly text: string
  readonly rows: number
  readonly lacks: readonly Lack[]
}

/** One section; `again`: a connection of its own for each block. */
async function readSection(section: Section, wish: Consistency, again: boolean): Promise<Read> {
  const pieces: Buffer[] = []
  const lacks: Lack[] = []
  let rows = 0
  let safe = true
  for (let mark: RowMark | null = null, more = true; more;) {
    await using dump = await MysqlDump.open(target, { consistency: wish })
    more = false
    for await (const block of dump.read(section, mark, () => Buffer.alloc(BLOCK))) {
      pieces.push(Buffer.from(block.memory.subarray(0, block.length)))
      rows += block.rows
      safe = block.safe
      if (block.mark !== null) mark = JSON.parse(JSON.stringify(block.mark)) as RowMark
      if (!again || !block.safe || block.length < BLOCK || !section.resumable) continue
      more = true
      break
    }
    lacks.push(...dump.takeLacks())
  }
  expect(safe).toBe(true)
  return { text: Buffer.concat(pieces).toString('utf8'), rows, lacks }
}

async function readAll(wish: Consistency, again: boolean): Promise<{ sql: string; byId: Map<string, Read> }> {
  await using dump = await MysqlDump.open(target, { consistency: wish })
  const byId = new Map<string, Read>()
  for (const section of await dump.sections()) byId.set(section.id, await readSection(section, wish, again))
  const sql = [dump.preamble, ...[...byId.values()].map(({ text }) => text), dump.postamble].join('\n')
  return { sql, byId }
}

async function checksums(database: string): Promise<unknown> {
  const names = ['many', "`semi;colon'--x``y`", 'loose', 'wide', 'computed', 'nothing', 'child', 'counted', 'isam']
  const [rows] = await server.root.query(`CHECKSUM TABLE ${names.map((name) => `${database}.${name}`).join(', ')}`)
  return (rows as { Checksum: number }[]).map(({ Checksum }) => Checksum)
}

describe.skipIf(!hasMariadb)('a MariaDB database as SQL', () => {
  test.each([
    ['in one go', 'snapshot', false],
    ['block by block, each by a connection of its own', 'table', true],
  ] as const)('loads by the vendor’s client, byte for byte: read %s', async (_, wish, again) => {
    const { sql } = await readAll(wish, again)
    const name = `copy_${wish}`
    await server.root.query(`CREATE DATABASE ${name}`)
    expect(server.client(name, Buffer.from(sql))).toEqual({ status: 0, stderr: '' })
    expect(await checksums(name)).toEqual(await checksums('odd'))
    const [[next]] = (await server.root.query(
      `SELECT AUTO_INCREMENT AS next FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${name}' AND TABLE_NAME = 'counted'`,
    )) as unknown as [[{ next: number }]]
    expect(next.next).toBe(501)
  })

  test('comes in blocks that can be gone on behind, whose bytes do not depend on where one went on', async () => {
    const once = await readAll('table', false)
    const often = await readAll('table', true)
    expect(often.byId).toEqual(once.byId)
    const wide = once.byId.get('rows:wide')
    expect([wide?.rows, once.byId.get('rows:many')?.rows, once.byId.get('rows:loose')?.rows]).toEqual([4, 2000, 700])
    for (const { text } of once.byId.values())
      expect(text === '' || text.endsWith(';\n') || /;\s+\n$/.test(text)).toBe(true)
  })

  test('says which tables are no part of the moment, and what the account is not shown', async () => {
    await using dump = await MysqlDump.open({ ...target, user: 'reader' }, { consistency: 'snapshot' })
    expect(dump.exceptions.map(({ name }) => name)).toEqual(['isam'])
    expect(dump.server).toMatch(/^MariaDB \d+\.\d+\.\d+/)
    const after = (await dump.sections()).at(-1)
    if (after === undefined) throw new Error('there is a last section')
    for await (const _ of dump.read(after, null, () => Buffer.alloc(BLOCK)));
    expect(dump.takeLacks().map(({ kind }) => kind)).toEqual(expect.arrayContaining(['trigger', 'event', 'view']))
    expect(dump.takeLacks()).toEqual([])
  })

  test.each<[string, TableChoice, string[]]>([
    ['only those named', { include: ['many', 'misspelt'] }, ['table:many', 'rows:many', 'after']],
    ['without the rows of some', { include: ['many'], structureOnly: ['many'] }, ['table:many', 'after']],
    ['all but some', { include: ['many', 'wide'], exclude: ['many'] }, ['table:wide', 'rows:wide', 'after']],
  ])('takes %s', async (_, choice, ids) => {
    await using dump = await MysqlDump.open(target, { consistency: 'table', ...choice })
    expect((await dump.sections()).map(({ id }) => id)).toEqual(ids)
    expect(dump.takeLacks().map(({ name }) => name)).toEqual(
      choice.include?.includes('misspelt') === true ? ['misspelt'] : [],
    )
  })

  test('has another shape once a table was altered, emptied or replaced', async () => {
    await server.root.query('CREATE TABLE odd.shaped (id INT AUTO_INCREMENT PRIMARY KEY)')
    const shape = async (): Promise<string> => {
      await using dump = await MysqlDump.open(target, { consistency: 'table' })
      return await dump.shape('table:shaped')
    }
    const seen = new Set([await shape()])
    await server.root.query('INSERT INTO odd.shaped VALUES (), ()')
    expect(seen.has(await shape())).toBe(true)
    const changes = ['ALTER TABLE odd.shaped ADD x INT', 'TRUNCATE odd.shaped', 'DROP TABLE odd.shaped']
    for (const sql of changes) {
      await server.root.query(sql)
      const now = await shape()
      expect(seen.has(now), sql).toBe(false)
      seen.add(now)
    }
  })

  test('stands in nobody’s way: a table that has been read may be altered while the snapshot goes on', async () => {
    await server.root.query(`CREATE TABLE odd.free (id INT PRIMARY KEY); CREATE TABLE odd.later (id INT PRIMARY KEY);
      INSERT INTO odd.free VALUES (1); INSERT INTO odd.later VALUES (1), (2)`)
    await using dump = await MysqlDump.open(target, { consistency: 'snapshot', include: ['free', 'later'] })
    const rowsOf = async (id: string): Promise<number> => {
      const section = (await dump.sections()).find((one) => one.id === id)
      if (section === undefined) throw new Error(`there is no ${id}`)
      let rows = 0
      for await (const block of dump.read(section, null, () => Buffer.alloc(BLOCK))) rows += block.rows
      return rows
    }
    expect(await rowsOf('rows:free')).toBe(1)
    await server.root.query('SET STATEMENT lock_wait_timeout = 2 FOR ALTER TABLE odd.free ADD x INT')
    await server.root.query('INSERT INTO odd.later VALUES (3)')
    expect(await rowsOf('rows:later')).toBe(2)
    await server.root.query('DROP TABLE odd.free, odd.later')
  })

  test('names tables that keep a history: what is current is read', async () => {
    await server.root.query(`CREATE TABLE odd.kept (id INT PRIMARY KEY) WITH SYSTEM VERSIONING;
      INSERT INTO odd.kept VALUES (1), (2); DELETE FROM odd.kept WHERE id = 1`)
    await using dump = await MysqlDump.open(target, { consistency: 'table', include: ['kept'] })
    expect(dump.takeLacks()).toMatchObject([
      { kind: 'table', name: 'kept', why: expect.stringContaining('history') as string },
    ])
    const section = (await dump.sections())[1]
    if (section === undefined) throw new Error('it has rows')
    expect((await readSection(section, 'table', false)).rows).toBe(1)
    await server.root.query('DROP TABLE odd.kept')
  })

  test('refuses a row of more than 64 MiB by the name of its table', async () => {
    await server.root.query(
      'SET GLOBAL max_allowed_packet = 128 * 1024 * 1024; CREATE TABLE odd.huge (id INT PRIMARY KEY, b LONGBLOB)',
    )
    const { createConnection } = await import('mysql2/promise')
    const writer = await createConnection({ socketPath: server.socket, user: 'root', database: 'odd' })
    await writer.query('INSERT INTO huge VALUES (1, REPEAT("x", 66 * 1024 * 1024))')
    writer.destroy()
    const section = {
      id: 'rows:huge',
      kind: 'rows',
      unit: 'table:huge',
      table: 'huge',
      estimate: 1,
      bytes: 0,
      resumable: true,
    } as const
    await expect(readSection(section, 'snapshot', false)).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringContaining('huge') as string,
    })
    await server.root.query('DROP TABLE odd.huge')
  })
})
