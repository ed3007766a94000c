import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { LoadOrder } from '../../src/load/sql-load.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'
import { loadAll, stateOf } from './mysql-world.ts'

/** SQL of somebody else's, into a MariaDB: it fills its own database, and nothing else. */

let server: MariadbServer

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  await server.root.query('CREATE DATABASE rich; CREATE TABLE rich.many (a INT); INSERT INTO rich.many VALUES (1)')
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())
beforeEach(async () => {
  for (const name of await databases()) await server.root.query(`DROP DATABASE \`${name}\``)
})

async function databases(): Promise<string[]> {
  if (!hasMariadb) return []
  const [rows] = await server.root.query("SHOW DATABASES LIKE 'copy%'")
  return (rows as Record<string, string>[]).map((row) => Object.values(row)[0] ?? '')
}

describe.skipIf(!hasMariadb)('a hostile dump', () => {
  const bytes = (sql: string): Buffer =>
    Buffer.from(`SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';\n${sql}\n`)
  const asRoot = (): LoadOrder => ({
    target: { socket: server.socket, user: 'root', password: '', database: 'copy' },
    mode: 'swap',
    id: 'h',
    trusted: false,
  })
  const TABLE = 'CREATE TABLE `t` (\n  `a` int PRIMARY KEY\n);'

  test.each(['ratchet_restore_moved', 'RATCHET_RESTORE_PLAN', 'ratchet_restore_plan_', 'ratchet_restore'])(
    'does not say by a table %s what is run, nor how far it has come',
    async (name) => {
      const planned = { kind: 'event', name: 'x', sql: 'CREATE DATABASE copy_pwned', under: null, side: 'new' }
      const rows = `INSERT INTO \`${name}\` (\`n\`, \`definition\`) VALUES\n(0,'${JSON.stringify(planned)}');`
      const trigger = `CREATE TRIGGER \`x\` BEFORE UPDATE ON \`${name}\` FOR EACH ROW SET @x = 1;`
      const made = `CREATE TABLE \`${name}\` (\n  \`n\` int PRIMARY KEY, \`definition\` longtext\n);`
      const sql = `${TABLE}\n${made}\n${rows}\n${trigger}`
      await loadAll(asRoot(), [{ name: 'f.sql', rows: false, bytes: bytes(sql) }])
      expect([await databases(), Object.keys(await stateOf(server, 'copy'))]).toEqual([
        ['copy'],
        ['BASE TABLE t', 'rows of t', 'count of t'],
      ])
    },
  )

  test('has no trigger run for the rows that are loaded', async () => {
    const trigger = 'CREATE TRIGGER `x` BEFORE INSERT ON `t` FOR EACH ROW DELETE FROM rich.many;'
    const file = {
      name: 'f.sql',
      rows: false,
      bytes: bytes(`${TABLE}\n${trigger}\nINSERT INTO \`t\` (\`a\`) VALUES\n(1);`),
    }
    await expect(loadAll(asRoot(), [file])).rejects.toMatchObject({ code: 'ENTRY_REFUSED' })
    expect((await stateOf(server, 'rich'))['count of many']).toBe(1)
  })

  test('has nothing run by itself', async () => {
    const event = 'CREATE EVENT `e` ON SCHEDULE EVERY 1 SECOND DO DELETE FROM rich.many;'
    const { lacks } = await loadAll(asRoot(), [{ name: 'f.sql', rows: false, bytes: bytes(`${TABLE}\n${event}`) }])
    expect(lacks.map(({ kind, name }) => [kind, name])).toEqual([['event', 'e']])
    expect(Object.keys(await stateOf(server, 'copy'))).not.toContain('EVENT e')
  })
})
