import mysql, { type RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { planColumns, type ColumnFacts } from '../../src/dump/mysql/columns.ts'
import { identifier, qualified } from '../../src/dump/mysql/identifier.ts'
import { SqlText } from '../../src/dump/mysql/sql-text.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'

let server: MariadbServer
let raw: mysql.Connection

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  raw = await mysql.createConnection({ socketPath: server.socket, user: 'root', rowsAsArray: true })
  await raw.query("SET NAMES utf8mb4, character_set_results = NULL, sql_mode = ''")
}, 120_000)
afterAll(async () => {
  raw?.destroy()
  await server?.[Symbol.asyncDispose]()
})

/** In force where a table is made, filled or loaded: nothing is refused, nothing is adjusted. */
const MODE = "SET NAMES utf8mb4, sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', time_zone = '+00:00'"

async function columnsOf(database: string, table: string): Promise<ColumnFacts[]> {
  const [rows] = await server.root.query<RowDataPacket[]>(
    'SELECT COLUMN_NAME n, DATA_TYPE t, CHARACTER_SET_NAME c, EXTRA e FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION',
    [database, table],
  )
  return rows.map(({ n, t, c, e }) => ({
    name: String(n),
    type: String(t),
    charset: c as string | null,
    extra: String(e),
  }))
}

/** All rows of a table as one INSERT. */
async function insertOf(database: string, table: string): Promise<Buffer> {
  const columns = planColumns(await columnsOf(database, table))
  const list = columns.map(({ select }) => select).join(', ')
  const [rows] = await raw.query({
    sql: `SELECT ${list} FROM ${qualified(database, table)}`,
    typeCast: (field) => field.buffer(),
  })
  const to = new SqlText()
  to.raw(
    Buffer.from(
      `INSERT INTO ${identifier(table)} (${columns.map(({ name }) => identifier(name)).join(', ')}) VALUES\n`,
    ),
  )
  for (const [i, row] of (rows as unknown as (Buffer | null)[][]).entries()) {
    to.ascii(i === 0 ? '(' : ',\n(')
    for (const [j, value] of row.entries()) {
      if (j > 0) to.ascii(',')
      if (value === null) to.null()
      else columns[j]?.write(to, value, 0, value.length)
    }
    to.ascii(')')
  }
  to.ascii(';\n')
  return Buffer.from(to.bytes)
}

/** Every value of every column, the computed ones too, as bits. */
async function bitsOf(database: string, table: string): Promise<unknown> {
  const all = await columnsOf(database, table)
  const list = all.map(({ name, type }) => {
    const column = identifier(name)
    if (type === 'float' || type === 'double') return `HEX(ST_AsWKB(POINT(${column}, 0)))`
    if (type === 'enum' || type === 'set' || type === 'bit') return `CONCAT(${column}+0, HEX(${column}))`
    return `CONCAT(HEX(${column}), ${type === 'geometry' ? `ST_SRID(${column})` : "''"})`
  })
  const order = identifier(all[0]?.name ?? '')
  const [rows] = await server.root.query(
    `SELECT ${list.map((one, i) => `${one} c${i}`).join(', ')} FROM ${qualified(database, table)} ORDER BY ${order}`,
  )
  return rows
}

async function roundTrip(definition: string, fill: readonly string[]): Promise<string> {
  for (const name of ['source', 'target', 'vendor']) {
    await server.root.query(`DROP DATABASE IF EXISTS ${name}; CREATE DATABASE ${name} CHARACTER SET utf8mb4`)
    await server.root.query(`${MODE}; USE ${name}; ${definition}`)
  }
  await server.root.query('USE source')
  for (const sql of fill) await server.root.query(sql)
  const insert = await insertOf('source', 't')
  await server.root.query(`${MODE}; USE target`)
  await server.root.query(insert.toString('utf8'))
  const before = await bitsOf('source', 't')
  expect((before as unknown[]).length).toBeGreaterThan(0)
  expect(await bitsOf('target', 't')).toEqual(before)
  const loaded = server.client('vendor', Buffer.concat([Buffer.from(`${MODE};\n`), insert]))
  expect(loaded).toEqual({ status: 0, stderr: '' })
  expect(await bitsOf('vendor', 't')).toEqual(before)
  return insert.toString('utf8')
}

describe.skipIf(!hasMariadb)('values come back bit by bit', () => {
  test('numbers', async () => {
    const sql = await roundTrip(
      'CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, f FLOAT, d DOUBLE, c DECIMAL(65,30), y YEAR, b BIT(64), m MEDIUMINT, z INT(8) ZEROFILL)',
      [
        "INSERT INTO t VALUES (18446744073709551615, 16777217, 1.7976931348623157e308, '12345678901234567890123456789012345.123456789012345678901234567890', 2155, ~0, -8388608, 42)",
        "INSERT INTO t VALUES (0, 3.14, 4.9406564584124654e-324, '-0.000000000000000000000000000001', 0, 0, 0, 0)",
        'INSERT INTO t VALUES (1, -0e0, -0e0, 0, 1901, 5, 8388607, 99999999)',
        'INSERT INTO t VALUES (2, 1.17549435e-38, 0.1, 1, NULL, NULL, NULL, NULL)',
        "INSERT INTO t VALUES (3, 3.40282347e38, 123456789.123456789, 1, NULL, b'1', 1, 1)",
      ],
    )
    expect(sql).toContain('16777216')
  })

  test('texts in every character set, and bytes', async () => {
    const fill = [
      `INSERT INTO t VALUES (1, 'plain', 'plain', 'plain', 'plain', 'plain', '', '', '')`,
      `INSERT INTO t VALUES (2, CONVERT(0xE9 USING latin1), '\u{1F600}\\\\ \\' \\" \\n\\r\\0\\Z', CONVERT(0x955C USING gbk), 'é', CONVERT(0x835C USING sjis), 0x00271A5C0A0D, REPEAT(0x00, 40), ' trailing  ')`,
      `INSERT INTO t VALUES (3, CONVERT(UNHEX('C3A9') USING latin1), '%_''', NULL, '\u{1F600}', NULL, 0xFF, 0x30, '')`,
    ]
    await roundTrip(
      'CREATE TABLE t (id INT PRIMARY KEY, l VARCHAR(50) CHARACTER SET latin1, u TEXT CHARACTER SET utf8mb4, g VARCHAR(50) CHARACTER SET gbk, w VARCHAR(50) CHARACTER SET utf16, s VARCHAR(50) CHARACTER SET sjis, b BLOB, f BINARY(40), c CHAR(20))',
      fill,
    )
  })

  test('times that are none, and times beyond', async () => {
    await roundTrip('CREATE TABLE t (id INT PRIMARY KEY, d DATE, dt DATETIME(6), ts TIMESTAMP(6) NULL, tm TIME(6))', [
      "INSERT INTO t VALUES (1, '0000-00-00', '0000-00-00', '1970-01-01 00:00:01', '-838:59:59.999999')",
      "INSERT INTO t VALUES (2, '2024-02-31', '2024-02-31 12:00:00.000001', '2038-01-19 03:14:07.999999', '838:59:59.999999')",
      "INSERT INTO t VALUES (3, '2024-00-15', '9999-12-31 23:59:59.999999', NULL, '00:00:00.000001')",
    ])
  })

  test('members, sets, documents, places, addresses', async () => {
    await roundTrip(
      `CREATE TABLE t (id INT PRIMARY KEY, e ENUM('x','it''s',''), s SET('a','b','c,d' ) , j JSON, g GEOMETRY, u UUID, i INET6)`.replace(
        "'c,d' ",
        "'cd'",
      ),
      [
        "SET sql_mode = ''",
        `INSERT INTO t VALUES (1, 'no member', 'a,cd', '{"a":1,"a":2.50000000000000000001}', ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326), '123e4567-e89b-12d3-a456-426655440000', '2001:db8::ff00:42:8329')`,
        "INSERT INTO t VALUES (2, '', '', '[]', ST_GeomFromText('POINT(1 2)'), NULL, '::')",
        `INSERT INTO t VALUES (3, 'it''s', NULL, '"\\\\u00e9\\\\n"', NULL, NULL, NULL)`,
      ],
    )
  })

  test('computed and invisible columns, and names that are SQL', async () => {
    await roundTrip(
      'CREATE TABLE t (`a``b; DROP TABLE t; --x` INT PRIMARY KEY, v INT GENERATED ALWAYS AS (`a``b; DROP TABLE t; --x` * 2) VIRTUAL, p INT AS (`a``b; DROP TABLE t; --x` + 1) PERSISTENT, h INT INVISIBLE DEFAULT 7, `new\nline` INT, `\u{20AC}"\'` INT)',
      [
        'INSERT INTO t (`a``b; DROP TABLE t; --x`, h, `new\nline`, `\u{20AC}"\'`) VALUES (0, 1, 2, 3), (-5, NULL, NULL, 4)',
      ],
    )
  })
})

test('what cannot be a name is refused', () => {
  for (const name of ['', 'a\0b', 'x'.repeat(300), '\ud800']) expect(() => identifier(name)).toThrow('cannot be a name')
  expect(qualified('a`b', 'c')).toBe('`a``b`.`c`')
})
