import { describe, expect, test } from 'vitest'
import { MysqlStatements, type MysqlStatement } from '../../src/load/mysql/statements.ts'
import { FOOTER, HEADER } from '../../src/dump/mysql/script.ts'
import { seeded } from '../helpers/random.ts'

/** What is run, of a file that came in pieces of this length. */
function read(text: string, { trusted = true, piece = 1 << 20, from = 0 } = {}): MysqlStatement[] {
  const bytes = Buffer.from(text)
  const reader = new MysqlStatements('f.sql', from, trusted)
  const found: MysqlStatement[] = []
  for (let at = 0; at < bytes.length; at += piece)
    found.push(...reader.add(Buffer.from(bytes.subarray(at, at + piece))))
  expect(reader.open).toBe(false)
  return found
}

const told = (text: string, options = {}): string[] =>
  read(text, options).map(({ what, name }) => `${what} ${name}`.trim())

const ROWS = "INSERT INTO `t` (`a`, `b``;`) VALUES\n(1,'it\\'s; \\\\'),\n(-1.5e0,NULL),\n(0x00FF,'');\n"

describe('a file of SQL', () => {
  test('is cut into the statements that a dump holds, however it comes', () => {
    const trigger = `DELIMITER ;;\nCREATE TRIGGER x BEFORE INSERT ON \`t\` FOR EACH ROW BEGIN SET @a = ';'; SET @b = 1; END\n;;\nDELIMITER ;\n`
    const text = `${HEADER}CREATE TABLE \`t\` (\n  \`a\` int COMMENT 'a; b -- '' \\'',\n  KEY (\`a\`)\n);\n${ROWS}   \n${ROWS}${trigger}${FOOTER}`
    const whole = read(text)
    expect(whole.map(({ kind }) => kind).filter((kind) => kind !== 'setting')).toEqual([
      'definition',
      'rows',
      'rows',
      'definition',
    ])
    expect(whole.at(-1)?.end).toBe(Buffer.byteLength(text) - 1)
    const random = seeded(7)
    for (let n = 0; n < 40; n++) expect(read(text, { piece: 1 + random.int(90) })).toEqual(whole)
    const rows = whole.find(({ kind }) => kind === 'rows')
    expect(rows?.sql).toBe(ROWS.slice(0, -2))
  })

  test('has definitions of every kind, with names as they are', () => {
    const scripts = [
      'CREATE SEQUENCE `s``x` start with 1 minvalue 1 maxvalue 9 increment by 1 cache 1000 nocycle ENGINE=InnoDB;',
      'DO SETVAL(`s`, 7, 0, 0);',
      'CREATE VIEW `v` AS SELECT 1 AS `a;b`;',
      'CREATE OR REPLACE ALGORITHM=UNDEFINED DEFINER=`a`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1;',
      'DELIMITER ;;\nCREATE DEFINER=`a`@`b` FUNCTION `f`(x INT) RETURNS int\nRETURN 1\n;;\nDELIMITER ;',
      'DELIMITER ;;1\nCREATE DEFINER="a"@"b" PROCEDURE "p"()\nSELECT ";;"\n;;1\nDELIMITER ;',
      'DELIMITER ;;\nCREATE DEFINER=`a`@`b` EVENT `e` ON SCHEDULE EVERY 1 DAY DO SET @a = 1\n;;\nDELIMITER ;',
      'DELIMITER ;;\ncreate trigger shop.`g` after update\non shop.t for each row set @a = 1\n;;\nDELIMITER ;',
    ]
    expect(scripts.flatMap((text) => told(`${text}\n`))).toEqual([
      ...['sequence s`x', 'sequence s', 'view v', 'view v', 'routine f', 'routine p', 'event e', 'trigger g'],
    ])
    const [trigger] = read(`${scripts.at(-1) ?? ''}\n`)
    expect(trigger?.sql).toBe('create trigger `g` after update\non t for each row set @a = 1')
  })

  test.each([
    ['\\! id;', 'a command'],
    ['system id;', 'a program'],
    ['source other.sql;', 'another file'],
    ['DELIMITER //', 'another delimiter'],
    ['GRANT ALL ON *.* TO x;', 'rights'],
    ['CREATE USER x;', 'an account'],
    ['DROP TABLE t;', 'a loss'],
    ['DELETE FROM t;', 'a loss'],
    ['USE mysql;', 'another database'],
    ['CREATE DATABASE x;', 'another database'],
    ['SET GLOBAL general_log = 1;', 'a setting of the server'],
    ["SET SESSION sql_mode = (SELECT 'x');", 'a setting from a query'],
    ["SET PASSWORD = 'x';", 'a password'],
    ["LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;", 'a file of ours'],
    ["SELECT 1 INTO OUTFILE '/tmp/x';", 'a file of the server'],
    ['/*!50000 GRANT ALL ON *.* TO x */;', 'what runs on some servers'],
    ["CREATE FUNCTION `f` RETURNS STRING SONAME 'x.so';", 'a library'],
    ['CREATE TABLE `other`.`t` (a int);', 'a table elsewhere'],
    ["CREATE TABLE `t` (a text) AS SELECT LOAD_FILE('/etc/passwd');", 'a table of a query'],
    ["CREATE TABLE `t` (a text) /*!50000 SELECT LOAD_FILE('/etc/passwd') */;", 'a query on some servers'],
    ['CREATE VIEW `other`.`v` AS SELECT 1;', 'a view elsewhere'],
    ['INSERT INTO `other`.`t` (`a`) VALUES\n(1);', 'rows elsewhere'],
    ['INSERT INTO `t` (`a`) VALUES\n(SLEEP(9));', 'a call among rows'],
    ["INSERT INTO `t` (`a`) VALUES\n('x',(SELECT 1));", 'a query among rows'],
    ["INSERT INTO `t` (`a`) VALUES\n('x') ON DUPLICATE KEY UPDATE a = 1;", 'more than rows'],
    ["INSERT INTO `t` (`a`) VALUES\n('x''y');", 'quotes as no dump writes them'],
    [
      "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';\nINSERT INTO `t` (`a`) VALUES\n('\\'), (SLEEP(9)) -- ');",
      'another mode',
    ],
    ['DELIMITER ;;\nINSERT INTO `t` (`a`) VALUES\n(1);;\n', 'rows under another delimiter'],
  ])('is refused, with the line, and nothing of it is run: %s (%s)', (text) => {
    const run: MysqlStatement[] = []
    const reader = new MysqlStatements('f.sql', 0, true)
    const file = `${HEADER}${ROWS}${text}\n`
    expect(() => run.push(...reader.add(Buffer.from(file)))).toThrow(/f\.sql, line \d+: /)
    const line = `${HEADER}${ROWS}`.split('\n').length
    const reason = (): unknown => [...new MysqlStatements('f.sql', 0, true).add(Buffer.from(file))]
    expect(reason).toThrow(expect.objectContaining({ code: 'ENTRY_REFUSED' }))
    const said = /line (\d+)/.exec(String(thrown(reason)))?.[1]
    expect(Number(said)).toBeGreaterThanOrEqual(line)
    expect(Number(said)).toBeLessThanOrEqual(line + 3)
  })

  test.each([
    "CREATE TABLE `t` (a int) DATA DIRECTORY='/tmp';",
    "CREATE TABLE `t` (a int) ENGINE=FEDERATED CONNECTION='mysql://x/y';",
    'CREATE TABLE `t` (a int) ENGINE=CONNECT;',
    'CREATE TABLE `t` (a int) ENGINE=MRG_MyISAM UNION=(mysql.user);',
  ])('of somebody else: a table whose rows would lie elsewhere is refused: %s', (text) => {
    expect(told(`${HEADER}${text}\n`)).toContain('table t')
    expect(() => told(`${HEADER}${text}\n`, { trusted: false })).toThrow(/line 6/)
  })

  test('a trigger is known with the comments in it, as the server keeps them', () => {
    const head =
      'CREATE DEFINER=`a`@`b` TRIGGER /* one; */ `x` -- two\n BEFORE # three\n INSERT ON /* */ shop.t /* . */ FOR EACH ROW/* */'
    const [, , , , , trigger] = read(`${HEADER}DELIMITER ;;\n${head} SET @a = 1\n;;\nDELIMITER ;\n`)
    expect([trigger?.what, trigger?.name, trigger?.sql]).toEqual([
      ...['trigger', 'x', `${head.replace('shop.', '')} SET @a = 1`],
    ])
    const hidden = `${HEADER}DELIMITER ;;\nCREATE TRIGGER /*! x */ y BEFORE INSERT ON t FOR EACH ROW SET @a = 1\n;;\n`
    expect(() => read(hidden)).toThrow(/line 7/)
  })

  test('ends only where its last statement does', () => {
    const reader = new MysqlStatements('f.sql', 0, true)
    expect([...reader.add(Buffer.from(`${HEADER}INSERT INTO \`t\` (\`a\`) VALUES\n(1,'`))]).toHaveLength(5)
    expect(reader.open).toBe(true)
  })
})

function thrown(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}
