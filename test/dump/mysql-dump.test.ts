import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MysqlDump } from '../../src/dump/mysql/dump.ts'
import { SQL_BLOCK } from '../../src/dump/sql-dump.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'

let server: MariadbServer

beforeAll(async () => {
  if (hasMariadb) server = await startMariadb()
}, 90_000)
afterAll(async () => {
  if (hasMariadb) await server[Symbol.asyncDispose]()
})

const open = (): Promise<MysqlDump> =>
  MysqlDump.open({ socket: server.socket, user: 'root', password: '', database: 'shop' }, { consistency: 'snapshot' })

/** All sections, one behind another. */
async function textOf(dump: MysqlDump): Promise<string> {
  let text = dump.preamble
  for (const section of await dump.sections()) {
    const blocks = dump.read(section, null, () => Buffer.alloc(SQL_BLOCK))
    for await (const { memory, length } of blocks) text += memory.toString('utf8', 0, length)
  }
  return text + dump.postamble
}

describe.skipIf(!hasMariadb)('a MariaDB database as SQL', () => {
  test('holds the rows of a table whose columns are all computed', async () => {
    await server.root.query('CREATE DATABASE shop; CREATE DATABASE back')
    await server.root.query('CREATE TABLE shop.computed (a INT AS (1) VIRTUAL, b INT AS (a + 1) STORED)')
    await server.root.query('INSERT INTO shop.computed () VALUES (), (), ()')
    await using dump = await open()
    expect(server.client('back', Buffer.from(await textOf(dump)))).toEqual({ status: 0, stderr: '' })
    const [rows] = await server.root.query('SELECT a, b FROM back.computed')
    expect(rows).toEqual([1, 2, 3].map(() => ({ a: 1, b: 2 })))
  })
})
