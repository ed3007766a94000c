import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'
import { dumped, loadAll } from './mysql-world.ts'

/** Into a server that is set up in another way than the one the dump was read from. */

let from: MariadbServer
let into: MariadbServer

beforeAll(async () => {
  if (!hasMariadb) return
  from = await startMariadb()
  into = await startMariadb(['--lower-case-table-names=1', '--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES'])
}, 120_000)
afterAll(async () => {
  await from?.[Symbol.asyncDispose]()
  await into?.[Symbol.asyncDispose]()
})

describe.skipIf(!hasMariadb)('a server that does not tell small letters from large ones', () => {
  test('does not get the rows of two tables into one', async () => {
    await from.root
      .query(`CREATE DATABASE src; USE src; CREATE TABLE Orders (a INT, b INT); INSERT INTO Orders VALUES (1, 1);
      CREATE TABLE orders (a INT, b INT); INSERT INTO orders VALUES (2, 2)`)
    const target = { user: 'root', password: '' }
    const files = await dumped({ ...target, socket: from.socket, database: 'src' })
    const copy = { ...target, socket: into.socket, database: 'copy' }
    await expect(loadAll({ target: copy, mode: 'new', id: 'c', trusted: true }, files)).rejects.toMatchObject({
      message: expect.stringContaining('already exists') as string,
    })
  })
})
