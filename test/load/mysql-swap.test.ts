import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { MysqlSession, type MysqlTarget } from '../../src/dump/mysql/session.ts'
import { MysqlLoad } from '../../src/load/mysql/mysql-load.ts'
import { BackupError } from '../../src/lib/errors.ts'
import type { LoadOrder } from '../../src/load/sql-load.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'
import { dumped, loadAll, type DumpedFile } from './mysql-world.ts'

/** A database that takes the place of another one which is in use meanwhile. */

let server: MariadbServer
let target: MysqlTarget
let files: DumpedFile[]

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  await server.root.query(
    'CREATE DATABASE src; CREATE TABLE src.t (a INT PRIMARY KEY); CREATE VIEW src.v AS SELECT a FROM src.t',
  )
  target = { socket: server.socket, user: 'root', password: '', database: 'copy' }
  files = await dumped({ ...target, database: 'src' })
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())
beforeEach(async () => {
  if (!hasMariadb) return
  for (const name of ['third', ...(await databases())]) await server.root.query(`DROP DATABASE IF EXISTS \`${name}\``)
  await server.root.query('CREATE DATABASE copy; CREATE TABLE copy.old (a INT PRIMARY KEY)')
})

const swap = (id = 'j1'): LoadOrder => ({ target, mode: 'swap', id, trusted: true })

async function column(sql: string): Promise<unknown[]> {
  const [rows] = await server.root.query(sql)
  return (rows as Record<string, unknown>[]).map((row) => Object.values(row)[0])
}
const databases = async (): Promise<unknown[]> => column("SHOW DATABASES LIKE 'copy%'")

describe.skipIf(!hasMariadb)('the database of before', () => {
  test('keeps what came to it while others had its tables locked', async () => {
    await loadAll(swap(), files, { finish: false })
    await using load = await MysqlLoad.open(swap())
    expect((await load.finish().next()).value).toBe('planning')
    await server.root.query(
      'CREATE VIEW copy.late AS SELECT a FROM copy.old; CREATE TRIGGER copy.fires BEFORE INSERT ON copy.old FOR EACH ROW SET @x = 1',
    )
    for await (const _ of load.finish());
    expect(await column('SHOW TABLES FROM copy_before_j1')).toEqual(['late', 'old'])
    expect(await column('SHOW TRIGGERS FROM copy_before_j1')).toEqual(['fires'])
    expect(await column('SHOW TABLES FROM copy')).toEqual(['t', 'v'])
  })

  test('takes foreign keys of other databases with it: that is told', async () => {
    await server.root.query(
      'CREATE DATABASE third; CREATE TABLE third.c (a INT, FOREIGN KEY (a) REFERENCES copy.old (a))',
    )
    const { lacks } = await loadAll(swap(), files)
    expect(lacks.map(({ kind, name }) => `${kind} ${name}`)).toEqual(['table third.c'])
  })

  test('has its place taken by one load at a time', async () => {
    await using first = await MysqlLoad.open(swap('one'))
    await first.prepare()
    await using second = await MysqlLoad.open(swap('two'))
    await expect(second.prepare()).rejects.toMatchObject({ code: 'DATABASE_BUSY' })
  })
})

describe.skipIf(!hasMariadb)('a load that dies while it makes its databases', () => {
  test('leaves none of them when it is given up', async () => {
    const run = MysqlSession.prototype.run
    for (let cut = 1, isCut = true; isCut; cut++) {
      let calls = 0
      MysqlSession.prototype.run = async function (this: MysqlSession, sql: string) {
        if (++calls <= cut) return run.call(this, sql)
        throw new BackupError('UNREACHABLE', 'cut')
      }
      try {
        await using load = await MysqlLoad.open(swap())
        isCut = await load.prepare().then(
          () => false,
          () => true,
        )
      } catch {
        isCut = true // before it had a connection
      } finally {
        MysqlSession.prototype.run = run
      }
      await using other = await MysqlLoad.open(swap())
      await other.undo()
      expect([cut, await databases()]).toEqual([cut, ['copy']])
    }
  })
})
