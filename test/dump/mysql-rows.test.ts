import net from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isTransactional, readCatalogue } from '../../src/dump/mysql/catalogue.ts'
import { readingOf } from '../../src/dump/mysql/keyset.ts'
import type { RowMark } from '../../src/dump/sql-dump.ts'
import type { RawRow } from '../../src/dump/mysql/raw-row.ts'
import { MysqlSession, type MysqlTarget } from '../../src/dump/mysql/session.ts'
import { seeded } from '../helpers/random.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'

let server: MariadbServer
let target: MysqlTarget

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  await server.root.query('CREATE DATABASE shop CHARACTER SET utf8mb4')
  await server.root.query(
    "CREATE USER reader@localhost IDENTIFIED BY 'secret'; GRANT SELECT ON shop.* TO reader@localhost",
  )
  await server.root.query("SET NAMES utf8mb4, sql_mode = ''; USE shop")
  target = { socket: server.socket, user: 'reader', password: 'secret', database: 'shop' }
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

async function tableOf(session: MysqlSession, name: string) {
  const found = (await readCatalogue(session, 'shop')).find((table) => table.name === name)
  if (found === undefined) throw new Error(`no table ${name}`)
  return found
}

/** Reads a table in pieces of at most `size` rows, each over a connection of its own, as other processes would. */
async function inPieces(name: string, size: number, between: () => Promise<void> = async () => {}): Promise<string[]> {
  const seen: string[] = []
  for (let mark: RowMark | null = null; ;) {
    await using session = await MysqlSession.open(target)
    const reading = readingOf({ database: 'shop', table: name, ...(await tableOf(session, name)) })
    let count = 0
    for await (const row of rowsOf(session, reading.select(mark))) {
      seen.push(textOf(row.values().slice(0, reading.columns.length)))
      mark = JSON.parse(JSON.stringify(reading.markOf(row))) as RowMark | null
      if (++count === size) break
    }
    if (count < size) return seen
    await between()
  }
}

async function* rowsOf(session: MysqlSession, sql: string): AsyncGenerator<RawRow, void, undefined> {
  for await (const rows of session.rows(sql)) yield* rows
}

const textOf = (row: readonly (Buffer | null)[]): string =>
  row.map((value) => value?.toString('hex') ?? 'null').join(' ')

async function all(name: string): Promise<string[]> {
  await using session = await MysqlSession.open(target)
  const reading = readingOf({ database: 'shop', table: name, ...(await tableOf(session, name)), key: null })
  const rows: string[] = []
  for await (const row of rowsOf(session, reading.select(null))) rows.push(textOf(row.values()))
  return rows
}

const KEYS: readonly (readonly [what: string, definition: string, values: (n: number) => string])[] = [
  ['a number', 'k BIGINT UNSIGNED PRIMARY KEY', (n) => `${18446744073709551615n - BigInt(n)}`],
  ['a negative decimal', 'k DECIMAL(40,20) PRIMARY KEY', (n) => `-1.${String(n).padStart(20, '0')}`],
  ['a float', 'k FLOAT PRIMARY KEY', (n) => `${n} / 3`],
  [
    'text that ignores case',
    'k VARCHAR(30) COLLATE utf8mb4_general_ci PRIMARY KEY',
    (n) => `'${n % 2 ? 'Z' : 'a'}\\'\\\\${n}'`,
  ],
  ['text in latin1', 'k VARCHAR(30) CHARACTER SET latin1 PRIMARY KEY', (n) => `CONCAT(_latin1 0xE9, '${n}')`],
  ['bytes', 'k VARBINARY(30) PRIMARY KEY', (n) => `UNHEX('00${n.toString(16).padStart(6, '0')}27FF')`],
  ['a time', 'k DATETIME(6) PRIMARY KEY', (n) => `'2024-02-01 00:00:00' + INTERVAL ${n} MICROSECOND`],
  ['a moment', 'k TIMESTAMP(3) PRIMARY KEY', (n) => `'2024-03-31 00:59:59' + INTERVAL ${n * 100} SECOND`],
  ['an address', 'k UUID PRIMARY KEY', (n) => `'00000000-0000-0000-0000-${n.toString(16).padStart(12, '0')}'`],
  ['two columns', 'k INT, l VARCHAR(9), PRIMARY KEY (l, k)', (n) => `${n}, 'g${n % 5}'`],
  [
    'a member and a bit',
    "k ENUM('z','y','x') NOT NULL, l BIT(20) NOT NULL, UNIQUE u (k, l)",
    (n) => `${(n % 3) + 1}, ${n}`,
  ],
]

describe.skipIf(!hasMariadb)('rows are read after the last key seen', () => {
  test.each(KEYS)('which is %s', async (what, definition, values) => {
    const table = `t ${what}`
    await server.root.query(`CREATE TABLE \`${table}\` (${definition}, more INT DEFAULT 1)`)
    const order = Array.from({ length: 60 }, (_, n) => n).toSorted(() => seeded(5).next() - 0.5)
    const names = /\bl\b/.test(definition) ? 'k, l' : 'k'
    for (const n of order) await server.root.query(`INSERT INTO \`${table}\` (${names}) VALUES (${values(n)})`)
    for (const size of [1, 7, 60, 1000]) {
      const rows = await inPieces(table, size)
      expect(rows).toHaveLength(60)
      expect(rows.toSorted()).toEqual((await all(table)).toSorted())
    }
  })

  test('and none that was there all along is lost while others come and go', async () => {
    await server.root.query('CREATE TABLE busy (id INT PRIMARY KEY, kept INT)')
    for (let id = 0; id < 300; id++)
      await server.root.query('INSERT INTO busy VALUES (?, ?)', [id * 10, id % 3 === 0 ? 1 : 0])
    let round = 0
    const rows = await inPieces('busy', 10, async () => {
      await server.root.query('DELETE FROM busy WHERE kept = 0 AND id < ? ORDER BY id LIMIT 7', [round * 200])
      await server.root.query('INSERT IGNORE INTO busy VALUES (?, 0)', [round++ * 10 + 5])
    })
    const kept = rows.filter((row) => row.endsWith(' 31'))
    expect([kept.length, new Set(rows).size]).toEqual([100, rows.length])
  })
})

test.skipIf(!hasMariadb)('the catalogue says what there is, and by which key it is read', async () => {
  await server.root.query(`
    CREATE TABLE keyless (a INT, UNIQUE maybe (a));
    CREATE TABLE prefixed (a TEXT NOT NULL, b INT NOT NULL, UNIQUE short (a(10)), UNIQUE z (b));
    CREATE TABLE old (a INT PRIMARY KEY) ENGINE = MyISAM;
    CREATE VIEW looks AS SELECT 1 AS one;
    CREATE SEQUENCE counts START WITH 5`)
  await using session = await MysqlSession.open(target)
  const found = Object.fromEntries((await readCatalogue(session, 'shop')).map((table) => [table.name, table]))
  expect(found['keyless']).toMatchObject({ kind: 'table', engine: 'innodb', key: null })
  expect(found['prefixed']?.key).toEqual(['b'])
  expect(found['looks']?.kind).toBe('view')
  expect(found['counts']?.kind).toBe('sequence')
  const { keyless, old } = found
  if (keyless === undefined || old === undefined) throw new Error('a table is missing')
  expect([isTransactional(keyless), isTransactional(old)]).toEqual([true, false])
  expect(session.version).toMatchObject({ vendor: 'mariadb' })
  expect(session.version.number).toBeGreaterThan(100_000)
})

describe.skipIf(!hasMariadb)('what goes wrong has a code, a cause and a hint', () => {
  const failing = (changes: Partial<MysqlTarget>) => MysqlSession.open({ ...target, ...changes })

  test('at the door', async () => {
    await expect(failing({ password: 'wrong' })).rejects.toMatchObject({ code: 'DATABASE_DENIED', retry: 'never' })
    await expect(failing({ database: 'mysql' })).rejects.toMatchObject({ code: 'DATABASE_DENIED' })
    await expect(failing({ user: 'root', password: '', database: 'none' })).rejects.toMatchObject({
      code: 'DATABASE_NOT_FOUND',
    })
    await expect(failing({ socket: '/nowhere/s.sock' })).rejects.toMatchObject({ code: 'UNREACHABLE', retry: 'later' })
    const { socket: _, ...byHost } = target
    await expect(MysqlSession.open({ ...byHost, host: '127.0.0.1', port: 1 })).rejects.toMatchObject({
      code: 'UNREACHABLE',
    })
    const tls = { ...byHost, host: '127.0.0.1', port: server.port, tls: {} }
    await expect(MysqlSession.open(tls)).rejects.toMatchObject({ code: 'UNREACHABLE', retry: 'never' })
  })

  test('in the middle of a table', async () => {
    await server.root.query('CREATE TABLE long_one (id INT PRIMARY KEY, t TEXT)')
    await server.root.query("INSERT INTO long_one SELECT seq, REPEAT('x', 2000) FROM seq_1_to_20000")
    await using session = await MysqlSession.open(target)
    const [me] = await session.facts('SELECT CONNECTION_ID() AS id')
    let rows = 0
    const read = async (): Promise<void> => {
      for await (const _ of session.rows('SELECT id, t FROM shop.long_one')) {
        if (++rows === 100) await server.root.query(`KILL ${Number(me?.['id'])}`)
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'UNREACHABLE', retry: 'later' })
    expect(rows).toBeLessThan(20_000)
  })

  test('when a server answers without end: its connection is given up', async () => {
    await using session = await MysqlSession.open(target)
    const endless = "SELECT REPEAT('x', 1000000) AS a FROM seq_1_to_200"
    await expect(session.facts(endless)).rejects.toMatchObject({ code: 'DATABASE_FAILED', retry: 'never' })
    await expect(session.facts('SELECT 1')).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })

  test('when a server asks for a file of ours: nothing is sent', async () => {
    const sent: Buffer[] = []
    const hostile = net.createServer((socket) => {
      const greeting = Buffer.from(
        `0a${Buffer.from('8.0.0').toString('hex')}00010000004142434445464748000fa221020009001500000000000000000000` +
          `494a4b4c4d4e4f505152535400${Buffer.from('mysql_native_password').toString('hex')}00`,
        'hex',
      )
      const packet = (sequence: number, body: Buffer): Buffer => {
        const head = Buffer.alloc(4)
        head.writeUIntLE(body.length, 0, 3)
        head[3] = sequence
        return Buffer.concat([head, body])
      }
      let step = 0
      socket.write(packet(0, greeting))
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        sent.push(bytes)
        const sequence = ((bytes[3] ?? 0) + 1) & 0xff
        if (step++ === 0) socket.write(packet(sequence, Buffer.from('00000002000000', 'hex')))
        else socket.write(packet(sequence, Buffer.concat([Buffer.from([0xfb]), Buffer.from('/etc/passwd')])))
      })
    })
    await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve))
    const { port } = hostile.address() as net.AddressInfo
    try {
      await expect(
        MysqlSession.open({ host: '127.0.0.1', port, user: 'u', password: '', database: 'd' }),
      ).rejects.toThrow()
      expect(Buffer.concat(sent).toString('latin1')).not.toContain('root:')
    } finally {
      hostile.close()
    }
  })
})
