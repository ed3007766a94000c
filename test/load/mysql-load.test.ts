import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { MysqlSession, type MysqlTarget } from '../../src/dump/mysql/session.ts'
import { MysqlLoad } from '../../src/load/mysql/mysql-load.ts'
import type { LoadOrder } from '../../src/load/sql-load.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'
import { dumped, loadAll, plainly, stateOf, type DumpedFile } from './mysql-world.ts'

/** Statements between two cuts. */
const STRIDE = process.env['RATCHET_LONG'] === '1' ? 1 : 13

let server: MariadbServer
let root: MysqlTarget
let user: MysqlTarget
let files: DumpedFile[]
let original: Record<string, unknown>

const RICH = `
  CREATE DATABASE rich CHARACTER SET utf8mb4; USE rich;
  SET sql_mode = '';
  CREATE TABLE many (a INT, b VARCHAR(40) COLLATE utf8mb4_unicode_ci, body TEXT, PRIMARY KEY (b, a));
  INSERT INTO many SELECT seq, CONCAT('k', seq % 50), REPEAT('it''s \\\\ \\n;\\n', seq % 60) FROM seq_1_to_2000;
  CREATE TABLE \`semi;colon'--x\`\`y\` (\`na"me\` INT PRIMARY KEY, \`new
line\` TEXT COMMENT 'a; comment -- \\'x');
  INSERT INTO \`semi;colon'--x\`\`y\` VALUES (1, '); DROP TABLE many; --'), (2, NULL);
  CREATE TABLE loose (n INT, t TEXT); INSERT INTO loose SELECT seq % 3, REPEAT('z', 100) FROM seq_1_to_700;
  CREATE TABLE wide (id INT PRIMARY KEY, b LONGBLOB);
  INSERT INTO wide VALUES (1, 'short'), (2, REPEAT(UNHEX('00FF275C'), 40000)), (3, REPEAT('y', 200000)), (4, '');
  CREATE TABLE computed (a INT GENERATED ALWAYS AS (1) STORED); INSERT INTO computed () VALUES (), ();
  CREATE TABLE reals (f FLOAT, d DOUBLE, m DECIMAL(65,30), b BIT(64), e ENUM('a','b',''), z DATETIME, g GEOMETRY);
  INSERT INTO reals VALUES (16777217, -0e0, 1.000000000000000000000000000001, b'1', 0, '0000-00-00', ST_GeomFromText('POINT(1 2)', 4326)),
    (1.1, 1e308, -7, b'11', 'b', '2024-02-30', NULL);
  CREATE TABLE b_child (id INT PRIMARY KEY, up INT);
  CREATE TABLE parent (a INT PRIMARY KEY, c INT, CONSTRAINT back FOREIGN KEY (c) REFERENCES b_child (id));
  ALTER TABLE b_child ADD CONSTRAINT up FOREIGN KEY (up) REFERENCES parent (a);
  INSERT INTO b_child VALUES (1, NULL); INSERT INTO parent VALUES (1, 1); UPDATE b_child SET up = 1;
  CREATE TABLE counted (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 500; INSERT INTO counted VALUES (0);
  SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; INSERT INTO counted VALUES (0); SET sql_mode = '';
  CREATE TABLE isam (id INT, t TEXT) ENGINE = MyISAM; INSERT INTO isam SELECT seq % 7, REPEAT('i', 90) FROM seq_1_to_900;
  CREATE SEQUENCE numbers START WITH 7; DO NEXTVAL(numbers);
  CREATE TABLE numbered (id INT DEFAULT NEXTVAL(numbers) PRIMARY KEY); INSERT INTO numbered () VALUES ();
  CREATE TRIGGER rich.fires BEFORE INSERT ON rich.many FOR EACH ROW SET NEW.a = NEW.a + 1;
  SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES';
  CREATE PROCEDURE \`odd'; \`\`name\` (x INT) SELECT "a" FROM many WHERE b = '\\' ; SET sql_mode = '';
  CREATE FUNCTION twice (x INT) RETURNS INT DETERMINISTIC RETURN x * 2;
  CREATE VIEW looks AS SELECT a, twice(a) AS t FROM many; CREATE VIEW a_first AS SELECT a FROM looks;
  CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01 00:00:00' DO DELETE FROM loose WHERE n = 99;
  CREATE USER plain@localhost;
  GRANT ALL ON copy.* TO plain@localhost; GRANT ALL ON \`copy\\_ratchet\\_%\`.* TO plain@localhost; GRANT ALL ON \`copy\\_before\\_%\`.* TO plain@localhost;
  GRANT SELECT ON mysql.proc TO plain@localhost;
  CREATE USER blind@localhost; GRANT ALL ON \`copy%\`.* TO blind@localhost;
  CREATE USER narrow@localhost; GRANT ALL ON copy.* TO narrow@localhost;
  GRANT SELECT ON mysql.proc TO narrow@localhost`

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb(['--log-bin-trust-function-creators=1'])
  await server.root.query(RICH)
  root = { socket: server.socket, user: 'root', password: '', database: 'rich' }
  user = { ...root, user: 'plain', database: 'copy' }
  files = await dumped(root)
  original = await stateOf(server, 'rich')
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())
beforeEach(async () => {
  if (!hasMariadb) return
  const [rows] = await server.root.query("SHOW DATABASES LIKE 'copy%'")
  for (const row of rows as Record<string, string>[])
    await server.root.query(`DROP DATABASE \`${Object.values(row)[0] ?? ''}\``)
})

const order = (more: Partial<LoadOrder> = {}): LoadOrder => ({
  target: user,
  mode: 'new',
  id: 'j1',
  trusted: true,
  ...more,
})

async function databases(): Promise<string[]> {
  const [rows] = await server.root.query("SHOW DATABASES LIKE 'copy%'")
  return (rows as Record<string, string>[]).map((row) => Object.values(row)[0] ?? '')
}

/** The world stops at the n-th statement: before the server gets it, or before its answer comes. */
async function withCut(n: number, when: 'before' | 'after', work: () => Promise<unknown>): Promise<boolean> {
  const run = MysqlSession.prototype.run
  let calls = 0
  const spy = vi.spyOn(MysqlSession.prototype, 'run').mockImplementation(async function (this: MysqlSession, sql) {
    calls++
    if (calls === n && when === 'after') await run.call(this, sql)
    if (calls >= n) {
      await this[Symbol.asyncDispose]()
      throw new BackupError('UNREACHABLE', 'cut')
    }
    return run.call(this, sql)
  })
  try {
    await work()
    return false
  } catch (error) {
    if (calls < n) throw error
    return true
  } finally {
    spy.mockRestore()
  }
}

describe.skipIf(!hasMariadb)('a database put back into MariaDB', () => {
  test('is what it was, by an account without rights beyond its own databases', async () => {
    const { lacks } = await loadAll(order(), files)
    expect(await databases()).toEqual(['copy'])
    // Whoever loads it may not make things that run as somebody else.
    expect(plainly(await stateOf(server, 'copy'))).toEqual(plainly(original))
    expect(lacks.map(({ kind, name }) => `${kind} ${name}`).toSorted()).toEqual(
      [
        'event nightly',
        "routine odd'; `name",
        'routine twice',
        'trigger fires',
        'view a_first',
        'view looks',
      ].toSorted(),
    )
  })

  test('keeps the accounts that things ran under, where it may', async () => {
    const { lacks } = await loadAll(order({ target: { ...root, database: 'copy' } }), files, { piece: 700, commits: 1 })
    expect([await stateOf(server, 'copy'), lacks]).toEqual([original, []])
  })

  test.each(['before', 'after'] as const)(
    'goes on after a cut %s each statement: no row lost, none twice',
    async (when) => {
      let cuts = 0
      for (let n = 1; ; n += STRIDE) {
        await server.root.query('DROP DATABASE IF EXISTS copy')
        const target = { ...root, database: 'copy' }
        const whole = { piece: 64 << 10, commits: 2, state: { finishing: false } }
        const cut = await withCut(n, when, () => loadAll(order({ target, id: 'c' }), files, whole))
        await loadAll(order({ target, id: 'c' }), files, whole)
        expect([n, await stateOf(server, 'copy')]).toEqual([n, original])
        if (!cut) break
        cuts++
      }
      expect(cuts).toBeGreaterThan(9)
    },
    300_000,
  )

  test('is refused a database that holds something, and leaves it alone', async () => {
    await server.root.query('CREATE DATABASE copy; CREATE TABLE copy.mine (a INT); INSERT INTO copy.mine VALUES (1)')
    const before = await stateOf(server, 'copy')
    await expect(loadAll(order(), files)).rejects.toMatchObject({ code: 'TARGET_EXISTS' })
    expect(await stateOf(server, 'copy')).toEqual(before)
  })

  test('does not clear away what another load has left: it may be in use', async () => {
    await withCut(60, 'after', () => loadAll(order({ id: 'first' }), files))
    const left = await stateOf(server, 'copy')
    const said = { code: 'TARGET_EXISTS', message: expect.stringContaining('restore first') as string }
    await expect(loadAll(order({ id: 'second' }), files)).rejects.toMatchObject(said)
    expect(await stateOf(server, 'copy')).toEqual(left)
  })

  test.each([
    ['a database that was there', true],
    ['one that was made for it', false],
  ])('leaves nothing behind when it is given up: %s', async (_, there) => {
    if (there) await server.root.query('CREATE DATABASE copy')
    await withCut(90, 'after', () => loadAll(order(), files))
    await using load = await MysqlLoad.open(order())
    await load.undo()
    expect(await databases()).toEqual(there ? ['copy'] : [])
    if (there) expect(await stateOf(server, 'copy')).toEqual({})
  })

  test('cuts off a predecessor that is only frozen, and no other load', async () => {
    await using frozen = await MysqlLoad.open(order())
    await frozen.prepare()
    const half = await frozen.open({ index: 0, name: 'x', rows: false, more: false, from: 0, head: null })
    await expect(loadAll(order({ id: 'other' }), files)).rejects.toMatchObject({ code: 'DATABASE_BUSY' })
    await loadAll(order(), files)
    await expect(half.take(files[0]?.bytes ?? Buffer.alloc(0))).rejects.toMatchObject({ code: 'UNREACHABLE' })
    expect(Object.keys(await stateOf(server, 'copy'))).toEqual(Object.keys(original))
  })
})

describe.skipIf(!hasMariadb)('a database that takes another’s place', () => {
  const OLD = `CREATE DATABASE copy CHARACTER SET latin1; USE copy; SET sql_mode = '';
    CREATE TABLE many (old INT PRIMARY KEY); INSERT INTO many VALUES (1), (2);
    CREATE TABLE kept (a INT PRIMARY KEY, m INT, FOREIGN KEY (m) REFERENCES many (old)); INSERT INTO kept VALUES (1, 2);
    CREATE SEQUENCE old_numbers; CREATE TABLE old_numbered (id INT DEFAULT NEXTVAL(old_numbers));
    CREATE VIEW looks AS SELECT old FROM many; CREATE VIEW \`wide\` AS SELECT 1 AS one;
    CREATE FUNCTION twice (x INT) RETURNS INT DETERMINISTIC RETURN x * 3;
    CREATE TRIGGER copy.old_one AFTER INSERT ON kept FOR EACH ROW SET @x = 1;
    CREATE EVENT old_event ON SCHEDULE EVERY 1 HOUR STARTS '2036-01-01 00:00:00' DO SET @x = 2;`

  test('is whole before it does, and the other is kept under a name that is told', async () => {
    await server.root.query(OLD)
    const old = await stateOf(server, 'copy')
    const { aside } = await loadAll(order({ mode: 'swap', id: '20261122-000012' }), files)
    expect(aside).toBe('copy_before_20261122-000012')
    expect(await databases()).toEqual(['copy', aside])
    expect(plainly(await stateOf(server, 'copy'))).toEqual(plainly(original))
    expect(plainly(await stateOf(server, aside ?? ''))).toEqual(plainly(old))
    const [rows] = await server.root.query(
      `SELECT STATUS AS s FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '${aside}'`,
    )
    expect(rows).toEqual([{ s: 'DISABLED' }])
    await server.root.query('INSERT INTO copy.numbered () VALUES ()')
  })

  test('has it at once where there was none', async () => {
    const { aside } = await loadAll(order({ mode: 'swap' }), files)
    expect([aside, await databases()]).toEqual([null, ['copy']])
    expect(plainly(await stateOf(server, 'copy'))).toEqual(plainly(original))
  })

  test.each(['before', 'after'] as const)(
    'is either the old or the new one, whatever statement it is cut %s',
    async (when) => {
      const target = { ...root, database: 'copy' }
      const swap = order({ target, mode: 'swap', id: 's' })
      const rowsOf = (state: Record<string, unknown>): unknown[] =>
        Object.entries(state).filter(([key]) => /^(rows|count) of/.test(key))
      for (let n = 1; ; n += Math.min(STRIDE, 5)) {
        for (const name of await databases()) await server.root.query(`DROP DATABASE \`${name}\``)
        await server.root.query(OLD)
        const old = await stateOf(server, 'copy')
        await loadAll(swap, files, { finish: false, piece: 1 << 20 })
        const finish = async (): Promise<void> => {
          await using load = await MysqlLoad.open(swap)
          for await (const _ of load.finish());
        }
        const cut = await withCut(n, when, finish)
        expect([rowsOf(old), rowsOf(original)]).toContainEqual(rowsOf(await stateOf(server, 'copy')))
        await finish()
        expect([n, await stateOf(server, 'copy')]).toEqual([n, original])
        expect(plainly(await stateOf(server, 'copy_before_s'))).toEqual(plainly(old))
        expect(await databases()).toEqual(['copy', 'copy_before_s'])
        if (!cut) break
        expect(n).toBeLessThan(300)
      }
    },
    300_000,
  )

  test('is told which right is lacking, before anything is loaded', async () => {
    await server.root.query(OLD)
    const told = {
      code: 'DATABASE_DENIED',
      message: expect.stringContaining('copy_before_j1') as string,
      hint: expect.stringContaining('ON `copy\\_before\\_%`.*') as string,
    }
    const narrow = { ...user, user: 'narrow' }
    await expect(loadAll(order({ target: narrow, mode: 'swap' }), files)).rejects.toMatchObject(told)
    expect(await databases()).toEqual(['copy'])
  })

  test('stays where something of it could not be kept, before anything is loaded', async () => {
    await server.root.query(OLD)
    const old = await stateOf(server, 'copy')
    const blind = order({ target: { ...user, user: 'blind' }, mode: 'swap' })
    await expect(loadAll(blind, files)).rejects.toMatchObject({
      code: 'DATABASE_DENIED',
      message: expect.stringContaining('routine twice') as string,
    })
    expect([await databases(), await stateOf(server, 'copy')]).toEqual([['copy'], old])
  })

  test('is as it was where the other cannot take its place, and the load can be given up', async () => {
    await server.root.query(OLD)
    const old = await stateOf(server, 'copy')
    const swap = order({ target: { ...root, database: 'copy' }, mode: 'swap' })
    await loadAll(swap, files, { finish: false, piece: 1 << 20 })
    // In the way of the table that is to be kept under this name.
    await server.root.query('CREATE TABLE copy_before_j1.many (a INT)')
    await using load = await MysqlLoad.open(swap)
    await expect(
      load
        .finish()
        .next()
        .then(() => load.finish().next()),
    ).rejects.toThrow(/already exists/)
    expect(await stateOf(server, 'copy')).toEqual(old)
    await server.root.query('DROP TABLE copy_before_j1.many')
    await load.undo()
    expect([await databases(), await stateOf(server, 'copy')]).toEqual([['copy'], old])
  })

  test('is loaded into the database that is named for it, which stays', async () => {
    await server.root.query(`${OLD} CREATE DATABASE copy_scratch`)
    const swap = order({ target: { ...root, database: 'copy' }, mode: 'swap', scratch: 'copy_scratch' })
    await loadAll(swap, files)
    expect(await stateOf(server, 'copy')).toEqual(original)
    expect(await stateOf(server, 'copy_scratch')).toEqual({})
  })
})
