import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCatalogue } from '../../src/dump/mysql/catalogue.ts'
import { definitionsAfter, definitionsOf, type Definition, type Uncovered } from '../../src/dump/mysql/definitions.ts'
import { hiddenFrom, rightsOn } from '../../src/dump/mysql/rights.ts'
import { FOOTER, HEADER, scriptOf } from '../../src/dump/mysql/script.ts'
import { unqualified } from '../../src/dump/mysql/unqualify.ts'
import { MysqlSession } from '../../src/dump/mysql/session.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'

let server: MariadbServer

beforeAll(async () => {
  if (hasMariadb) server = await startMariadb(['--event-scheduler=ON'])
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

const SCHEMA: readonly string[] = [
  "SET NAMES utf8mb4, sql_mode = 'STRICT_TRANS_TABLES'",
  'CREATE SEQUENCE numbers START WITH 5 INCREMENT BY 2 MAXVALUE 11 CYCLE NOCACHE',
  'DO NEXTVAL(numbers), NEXTVAL(numbers)',
  'CREATE TABLE `b``elow` (id INT PRIMARY KEY, up INT, CONSTRAINT `loop``s` FOREIGN KEY (up) REFERENCES above (id))'.replace(
    'CREATE',
    'SET foreign_key_checks = 0; CREATE',
  ),
  "CREATE TABLE above (id INT AUTO_INCREMENT PRIMARY KEY, down INT, t TEXT COMMENT 'it''s; --', n INT DEFAULT (NEXTVAL(numbers)), h INT INVISIBLE, g INT GENERATED ALWAYS AS (h * 2) STORED, CHECK (h > 0), FULLTEXT (t), FOREIGN KEY (down) REFERENCES `b``elow` (id)) AUTO_INCREMENT = 4711 COMMENT 'x'",
  'CREATE TABLE parts (id INT, y INT) PARTITION BY RANGE (y) (PARTITION old VALUES LESS THAN (2000), PARTITION new VALUES LESS THAN MAXVALUE)',
  'CREATE TABLE `new\nline` (`a;b` INT)',
  'CREATE VIEW a_first AS SELECT id, one FROM z_last',
  'CREATE VIEW z_last AS SELECT id, g AS one FROM above'.replace('CREATE', 'CREATE OR REPLACE'),
  'CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2',
  "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'",
  `CREATE PROCEDURE "say" () BEGIN SELECT 'a;' || ';;' AS "b"; -- ;;1
     SELECT 2; END`,
  "SET sql_mode = ''",
  'CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what TEXT)',
  "CREATE TRIGGER second AFTER INSERT ON above FOR EACH ROW INSERT INTO log (what) VALUES ('second')",
  "CREATE TRIGGER first AFTER INSERT ON above FOR EACH ROW PRECEDES second INSERT INTO log (what) VALUES ('first')",
  "SET time_zone = '+05:30'",
  "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 03:00:00' DISABLE DO SELECT ';'",
  'CREATE TABLE gone (id INT)',
  'CREATE VIEW broken AS SELECT id FROM gone',
  'DROP TABLE gone',
]

async function make(database: string, statements: readonly string[]): Promise<void> {
  await server.root.query(
    `DROP DATABASE IF EXISTS ${database}; CREATE DATABASE ${database} CHARACTER SET utf8mb4; USE ${database}`,
  )
  for (const sql of statements) await server.root.query(sql)
}

interface Definitions {
  readonly before: readonly Definition[]
  readonly after: readonly Definition[]
  readonly uncovered: readonly Uncovered[]
}

async function readDefinitions(session: MysqlSession, database: string): Promise<Definitions> {
  const tables = await readCatalogue(session, database)
  const uncovered: Uncovered[] = []
  const reading = { session, database, uncovered }
  const before: Definition[] = []
  for (const kind of ['sequence', 'table']) {
    for (const table of tables.filter((one) => one.kind === kind)) before.push(...(await definitionsOf(reading, table)))
  }
  const after = await definitionsAfter(
    reading,
    tables.filter(({ kind }) => kind === 'view'),
  )
  return { before, after, uncovered }
}

async function allOf(database: string): Promise<Definitions> {
  await using session = await MysqlSession.open({ socket: server.socket, user: 'root', password: '', database })
  return await readDefinitions(session, database)
}

function scriptOfAll({ before, after }: Definitions): string {
  return [HEADER, ...before.map(scriptOf), ...after.map(scriptOf), FOOTER].join('\n')
}

const sorted = (definitions: Definitions): string[] =>
  [...definitions.before, ...definitions.after].map((one) => JSON.stringify(one)).toSorted()

describe.skipIf(!hasMariadb)('definitions', () => {
  test("come back by the vendor's own client, each under the session it was made in", async () => {
    await make('site', [SCHEMA[0] ?? '', 'CREATE VIEW z_last AS SELECT 1 AS id, 2 AS one', ...SCHEMA.slice(1)])
    const found = await allOf('site')
    expect(found.uncovered).toEqual([])
    const kinds = [...found.before, ...found.after].map(({ kind, name }) => `${kind} ${name}`)
    expect(kinds.slice(0, 2)).toEqual(['sequence numbers', 'sequence numbers'])
    expect(kinds.filter((kind) => kind.startsWith('trigger'))).toEqual(['trigger first', 'trigger second'])
    await make('copy', [])
    // The broken view can be made only where what it is made of is there: the others must not suffer from it.
    const script = scriptOfAll({ ...found, after: found.after.filter(({ name }) => name !== 'broken') })
    expect(server.client('copy', Buffer.from(script))).toEqual({ status: 0, stderr: '' })
    const copy = await allOf('copy')
    const whole = ({ after, ...rest }: Definitions): Definitions => ({
      ...rest,
      after: after.filter(({ name }) => name !== 'broken'),
    })
    expect(sorted(whole(copy))).toEqual(sorted(whole(found)))
    const [[next]] = (await server.root.query('SELECT NEXTVAL(copy.numbers) AS n')) as unknown as [[{ n: string }]]
    expect(Number(next.n)).toBe(9)
  })

  test('of objects that the account is not shown are named', async () => {
    await make('secret', [
      'CREATE TABLE t (id INT)',
      'CREATE PROCEDURE hidden() SELECT 1',
      'CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 1',
      'CREATE VIEW v AS SELECT id FROM t',
    ])
    await server.root.query(
      "CREATE OR REPLACE USER poor@localhost IDENTIFIED BY 'p'; GRANT SELECT, EXECUTE ON secret.* TO poor@localhost",
    )
    await using session = await MysqlSession.open({
      socket: server.socket,
      user: 'poor',
      password: 'p',
      database: 'secret',
    })
    const found = await readDefinitions(session, 'secret')
    expect(found.uncovered.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'trigger *',
      'event *',
      'routine hidden',
      'view v',
    ])
    expect(found.uncovered.every(({ why }) => why.length > 10)).toBe(true)
  })
})

describe.skipIf(!hasMariadb)('what the server hides from an account', () => {
  test.each([
    ['GRANT SELECT ON `a\\_b`.* TO some@localhost', ['trigger', 'event', 'routine']],
    ['GRANT SELECT, TRIGGER, EVENT, EXECUTE ON `a\\_b`.* TO some@localhost', []],
    ['GRANT ALL ON `a_b`.* TO some@localhost', []],
    ['GRANT ALL ON `a\\_c`.* TO some@localhost', ['table', 'trigger', 'event', 'routine']],
    ['GRANT TRIGGER ON `a%`.* TO some@localhost', ['table', 'event', 'routine']],
    ['GRANT SELECT, EVENT ON *.* TO some@localhost', ['trigger']],
    [
      'CREATE OR REPLACE ROLE keeper; GRANT TRIGGER, EVENT, EXECUTE ON a_b.* TO keeper; GRANT keeper TO some@localhost; SET DEFAULT ROLE keeper FOR some@localhost',
      ['table'],
    ],
  ] as const)('%s', async (grant, hidden) => {
    await make('a_b', ['CREATE TABLE t (id INT)'])
    await server.root.query(
      `CREATE OR REPLACE USER some@localhost IDENTIFIED BY 'p'; GRANT SELECT ON a_b.t TO some@localhost; ${grant}`,
    )
    await using session = await MysqlSession.open({
      socket: server.socket,
      user: 'some',
      password: 'p',
      database: 'a_b',
    })
    expect(hiddenFrom(await rightsOn(session, 'a_b')).map(({ kind }) => kind)).toEqual(hidden)
  })
})

test('the own database is taken out of names, and out of nothing else', () => {
  const kept = '\'nextval(`a`.\' "`a`.`b`.`c`" /* `a`.`b`.`c` */ -- `a`.`b`.`c`\n `a`.`b` `aa`.`b`.`c` `a``b`.d'
  expect(unqualified(`nextval(\`a\`.\`t\`) ${kept} \`a\`.\`a\`.\`b\``, 'a')).toBe(`nextval(\`t\`) ${kept} \`a\`.\`b\``)
  expect(unqualified('`a``b`.`c`.`d` `a`.`d`.`e`', 'a`b')).toBe('`c`.`d` `a`.`d`.`e`')
})
