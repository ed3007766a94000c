import { afterAll, beforeAll, expect, test } from 'vitest'
import { MysqlDump } from '../../src/dump/mysql/dump.ts'
import { probe } from '../../src/dump/probe.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'

let server: MariadbServer

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  await server.root.query(`
    CREATE DATABASE site; USE site;
    CREATE TABLE a (id INT PRIMARY KEY, t TEXT); INSERT INTO a SELECT seq, REPEAT('x', 500) FROM seq_1_to_500;
    CREATE TABLE keyless (id INT); CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM;
    CREATE VIEW seen AS SELECT id FROM a;
    CREATE USER whole@localhost; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON site.* TO whole@localhost;
    CREATE USER some@localhost; GRANT SELECT ON site.a TO some@localhost;
    CREATE USER blind@localhost; GRANT INSERT ON site.* TO blind@localhost`)
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

const trial = (user: string, include?: string[]) => {
  const target = { socket: server.socket, user, password: '', database: 'site' }
  return probe(() => MysqlDump.open(target, { consistency: 'snapshot', ...(include === undefined ? {} : { include }) }))
}

test.skipIf(!hasMariadb)('a database is tried out: what there is, and what could be promised', async () => {
  const found = await trial('whole')
  expect(found).toMatchObject({ ok: true, consistency: 'snapshot', tables: 3, keyless: ['keyless'], lacks: [] })
  expect(found).toMatchObject({ exceptions: [{ name: 'old' }] })
  if (found.ok) expect([found.bytes > 10_000, found.rows > 0]).toEqual([true, true])
})

test.skipIf(!hasMariadb)(
  'an account that is shown some tables only is told so, unless only those are wanted',
  async () => {
    const some = await trial('some')
    expect(some).toMatchObject({ ok: true, tables: 1 })
    if (some.ok) expect(some.lacks.map(({ kind }) => kind)).toContain('table')
    const wanted = await trial('some', ['a'])
    if (wanted.ok) expect(wanted.lacks.map(({ kind }) => kind)).not.toContain('table')
  },
)

test.skipIf(!hasMariadb)('what would fail is told as an error', async () => {
  expect(await trial('nobody')).toMatchObject({ ok: false, error: { code: 'DATABASE_DENIED' } })
})
