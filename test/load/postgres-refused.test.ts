import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PgStatements } from '../../src/load/postgres/statements.ts'
import { PostgresLoad } from '../../src/load/postgres/postgres-load.ts'
import { filesIn } from '../../src/load/postgres/order-file.ts'
import { orderFileOf } from '../../src/dump/postgres/script.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { drive, finished, loaded, orderFor, type DumpFile } from './postgres-fixture.ts'

/** What a dump of ours begins with, in two lines. */
const START = "SET statement_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n"

const file = (text: string, rows = false, name = 'evil.sql'): DumpFile => ({ name, rows, bytes: Buffer.from(text) })

function read(text: string, trusted = true, size = text.length): string[] {
  const reader = new PgStatements({ name: 'a.sql', from: 0, begin: 0, trusted })
  const bytes = Buffer.from(text)
  const found: string[] = []
  for (let at = 0; at < bytes.length; at += size) {
    const piece = Buffer.from(bytes.subarray(at, at + size))
    for (const { kind, text: sql, rows, end } of reader.add(piece))
      found.push(
        `${kind} ${end} ${sql.toString()}${kind === 'rows' ? ` | ${Buffer.concat([...rows]).toString()}` : ''}`,
      )
    piece.fill('x')
  }
  if (reader.open) found.push('open')
  return found
}

/** Each of them would do something beyond the tables of a dump. */
const HOSTILE: readonly string[] = [
  'DO $$ BEGIN CREATE TABLE public.pwned (); END $$;',
  'CALL public.x();',
  'GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;',
  'REVOKE ALL ON SCHEMA public FROM PUBLIC;',
  "COPY public.t FROM PROGRAM 'id';",
  "COPY public.t TO PROGRAM 'id';",
  "COPY public.t FROM '/etc/passwd';",
  'COPY public.t TO stdout;',
  'COPY (SELECT 1) TO stdout;',
  'COPY public.t FROM stdin WITH (FORMAT csv);',
  'COPY public.t (a, b) FROM/**/stdin;',
  'CREATE ROLE evil SUPERUSER;',
  'CREATE USER evil;',
  'CREATE USER mapping;',
  'CREATE GROUP evil;',
  'CREATE DATABASE evil;',
  "CREATE TABLESPACE evil LOCATION '/tmp';",
  "CREATE SUBSCRIPTION evil CONNECTION 'host=x' PUBLICATION p;",
  'CREATE TEMP TABLE a ();',
  "CREATE TABLE public.a AS SELECT pg_catalog.pg_read_file('/etc/passwd');",
  'CREATE TABLE public.a AS EXECUTE x;',
  'CREATE SCHEMA evil GRANT ALL ON TABLE x TO PUBLIC;',
  'CREATE SCHEMA AUTHORIZATION postgres;',
  "ALTER SYSTEM SET archive_command = 'id';",
  'ALTER ROLE loader SUPERUSER;',
  'ALTER USER loader SUPERUSER;',
  'ALTER DATABASE shop SET search_path = evil;',
  'ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b;',
  'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;',
  'ALTER EXTENSION plpgsql DROP FUNCTION x();',
  'ALTER SUBSCRIPTION a DISABLE;',
  'ALTER LANGUAGE RENAME TO x; DROP TABLE y;',
  'DROP TABLE public.t;',
  'INSERT INTO public.t VALUES (1);',
  'UPDATE public.t SET a = 1;',
  'DELETE FROM public.t;',
  'TRUNCATE public.t;',
  "LOAD 'evil';",
  "SECURITY LABEL ON TABLE public.t IS 'x';",
  "COMMENT ON DATABASE shop IS 'x';",
  "COMMENT ON ROLE loader IS 'x';",
  'SELECT public.evil();',
  "SELECT pg_catalog.set_config('role', 'postgres', false);",
  "SELECT pg_catalog.setval('public.s', (SELECT public.evil()), true);",
  "SELECT pg_catalog.setval('public.s', 1, true), public.evil();",
  "SELECT pg_catalog.lo_import('/etc/passwd');",
  'SET ROLE postgres;',
  'SET SESSION AUTHORIZATION postgres;',
  'SET session_replication_role = replica;',
  "SET search_path = 'evil';",
  "SET client_encoding = 'UTF8', 'x';",
  'RESET ALL;',
  'RESET role;',
  'BEGIN;',
  'COMMIT;',
  'ROLLBACK;',
  "PREPARE TRANSACTION 'x';",
  'LISTEN a;',
  'NOTIFY a;',
  'VACUUM;',
  'EXPLAIN ANALYZE DELETE FROM public.t;',
  'WITH x AS (DELETE FROM public.t RETURNING 1) SELECT 1;',
  'VALUES (public.evil());',
  'IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c;',
  'REASSIGN OWNED BY a TO b;',
  'REFRESH PUBLICATION x;',
  '\\! id',
  '\\o /tmp/x',
  '\\i evil.sql',
  '\\copy t from x',
  '\\restrict a b',
  'CREATE TABLE public.x () \\! id',
  'CREATE TABLE public.x () \\gexec',
  "SELECT E'a'\n'b\\'; DROP TABLE x; --';",
  '"CREATE" TABLE x ();',
  'CREATE "TABLE" x ();',
]

describe('what no dump of ours holds is refused, with its line', () => {
  test.each(HOSTILE)('%s', (sql) => {
    const text = `${START}-- a comment; it ends here\n\n/* and /* another */ one; */  ${sql}\nCREATE TABLE public.later ();\n`
    for (const size of [text.length, 1, 7]) {
      const refused = { code: 'ENTRY_REFUSED', message: expect.stringMatching(/^a\.sql, line [56]: /) as string }
      expect(() => read(text, true, size)).toThrow(expect.objectContaining(refused) as Error)
    }
  })

  test('behind rows, with the line of the file', () => {
    const text = `${START}COPY public.t FROM stdin;\n1\n2\n\\.\n\\! id\n`
    expect(() => read(text)).toThrow(/^a\.sql, line 7: a command for psql/)
  })

  test('of a dump of somebody else, what reaches beyond the database as well', () => {
    const far = [
      'CREATE EVENT TRIGGER a ON ddl_command_end EXECUTE FUNCTION public.x();',
      'CREATE FOREIGN DATA WRAPPER a;',
      'CREATE SERVER a FOREIGN DATA WRAPPER b;',
      "CREATE USER MAPPING FOR a SERVER b OPTIONS (user 'x');",
      'CREATE FOREIGN TABLE public.a (b int) SERVER c;',
      'CREATE PUBLICATION a FOR ALL TABLES;',
      'CREATE OR REPLACE PROCEDURAL LANGUAGE plpython3u;',
      "CREATE FUNCTION public.a() RETURNS int LANGUAGE c AS 'x', 'y';",
      "CREATE FUNCTION public.a() RETURNS int AS 'x', 'y' LANGUAGE 'C';",
      'CREATE FUNCTION public.a() RETURNS int LANGUAGE $$c$$ AS $$x$$;',
      "CREATE FUNCTION public.a() RETURNS int LANGUAGE E'\\x63' AS 'x';",
      "CREATE FUNCTION public.a() RETURNS int LANGUAGE U&'\\0063' AS 'x';",
      'CREATE OR REPLACE FUNCTION public.a() RETURNS int LANGUAGE "internal" AS $$x$$;',
      `CREATE FUNCTION public.a() RETURNS int SET x TO ${'a, '.repeat(500)}b LANGUAGE c AS 'x', 'y';`,
    ]
    for (const sql of far) {
      expect(() => read(sql, false), sql).toThrow(/is not run/)
      expect(read(sql, true).length, sql).toBe(1)
    }
    expect(read('CREATE FUNCTION public.a() RETURNS int LANGUAGE plpgsql AS $$ LANGUAGE c $$;', false)).toHaveLength(1)
  })

  test('what is about the marker of a load is passed over: a dump may hold one', () => {
    const about = [
      'CREATE SCHEMA ratchet_restore;',
      'CREATE TABLE ratchet_restore.progress (id text NOT NULL);',
      'CREATE RULE r AS ON UPDATE TO ratchet_restore.progress DO INSTEAD NOTHING;',
      'ALTER TABLE "ratchet_restore".progress DROP COLUMN at;',
      'ALTER TABLE ONLY public.ratchet_restore_progress RENAME TO x;',
      'COPY "ratchet_restore".progress (id) FROM stdin;\nx\n\\.',
      'COPY public.ratchet_restore_progress FROM stdin;\n\\.',
    ]
    const text = `${about.join('\n')}\nCREATE TABLE public.a ();\n`
    for (const size of [text.length, 1, 5])
      expect(read(text, true, size)).toEqual([`definition ${text.length - 1} CREATE TABLE public.a ()`])
    expect(() => read('DROP SCHEMA ratchet_restore;')).toThrow(/not run/)
  })

  test('a statement without an end has a limit', () => {
    const reader = new PgStatements({ name: 'a.sql', from: 0, begin: 0, trusted: true })
    const feed = (first: string): void => {
      for (const one of reader.add(Buffer.from(first))) expect(one.kind).toBe('setting')
      const piece = Buffer.alloc(4 << 20, 'row\n')
      for (let i = 0; i < 20; i++) for (const one of reader.add(piece)) throw new Error(one.place)
    }
    expect(() => feed('COPY public.t FROM stdin;\n')).toThrow(
      expect.objectContaining({
        code: 'LIMIT_EXCEEDED',
        message: expect.stringContaining('a.sql, line 1') as string,
      }) as Error,
    )
  })
})

describe('statements are cut where psql cuts them', () => {
  const TEXT = `\\restrict abc
SET row_security = off;
CREATE TABLE public."a;b" (c text DEFAULT 'x;''y', d text DEFAULT E'\\';', e int); -- f;
/* ; /* ; */ ; */ CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $a$ SELECT 1; $b$ ; $a$;
CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);
COPY public."odd
name" ("a""b", c) FROM stdin;
1\t\\N
\\\\.
x\\.
\\.
COPY public.none FROM stdin;
\\.
    ;
\\unrestrict abc
`
  test('at whatever places the file is cut', () => {
    const found = read(TEXT)
    expect(found.map((one) => one.replace(/^(\w+) \d+ /, '$1 ').replaceAll('\n', '⏎'))).toEqual([
      'setting SET row_security = off',
      `definition CREATE TABLE public."a;b" (c text DEFAULT 'x;''y', d text DEFAULT E'\\';', e int)`,
      'definition CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $a$ SELECT 1; $b$ ; $a$',
      'definition CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END',
      'definition CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)',
      'rows COPY public."odd⏎name" ("a""b", c) FROM stdin | 1\t\\N⏎\\\\.⏎x\\.⏎',
      'rows COPY public.none FROM stdin | ',
    ])
    for (let size = 1; size < 60; size++) expect(read(TEXT, true, size)).toEqual(found)
  })

  test('what is open at the end is known', () => {
    for (const open of [
      'CREATE TABLE a (',
      "CREATE TABLE a ('",
      '/* x',
      'COPY public.t FROM stdin;',
      'COPY public.t FROM stdin;\n1\n\\.',
    ])
      expect(read(open).at(-1), open).toBe('open')
    for (const closed of ['-- x', 'CREATE TABLE a ();', '  \n', '/* x */', 'COPY public.t FROM stdin;\n1\n\\.\n'])
      expect(read(closed).at(-1), closed).not.toBe('open')
  })
})

describe('the order of loading', () => {
  test('is what was written', () => {
    const names = ["000001 it's.sql", 'back\\slash', 'new\nline', 'ü\u0085.sql']
    expect(filesIn(orderFileOf(names))).toEqual(names)
  })

  test.each([
    '\\! id',
    "\\ir '../a.sql'",
    "\\ir '/a'",
    "\\i 'a'",
    "\\ir ''",
    "\\ir 'a' 'b'",
    '\\ir `id`',
    'SELECT 1;',
    "\\ir '..'",
  ])('holds nothing else: %s', (line) => {
    const order = orderFileOf(['a.sql']) + `${line}\n`
    expect(() => filesIn(order)).toThrow(
      expect.objectContaining({
        code: 'ARCHIVE_DAMAGED',
        message: expect.stringContaining('line 5') as string,
      }) as Error,
    )
  })
})

describe.skipIf(!hasPostgres)('with a server', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    const admin = await server.connect()
    await admin.query('CREATE ROLE loader LOGIN CREATEDB')
  }, 120_000)
  afterAll(() => server?.[Symbol.asyncDispose]())

  const asked = async (database: string, sql: string): Promise<string[]> => {
    const ran = server.psql(database, ['-At', '-c', sql])
    if (ran.status !== 0) throw new Error(ran.stderr)
    return ran.stdout.trim().split('\n')
  }

  test('nothing of what is refused is run, and what came before it stays', async () => {
    await using load = await PostgresLoad.open(orderFor(server, 'refused'))
    const text = `${START}CREATE TABLE public.one (a int);\nDROP TABLE public.one;\nCREATE TABLE public.two ();\n`
    await expect(drive(load, [file(text)])).rejects.toMatchObject({
      code: 'ENTRY_REFUSED',
      message: expect.stringContaining('evil.sql, line 4: "DROP TABLE public.one"') as string,
    })
    expect(await asked('refused', "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")).toEqual([
      'one',
    ])
  })

  test('two statements that look like one are refused by the server', async () => {
    await using load = await PostgresLoad.open(orderFor(server, 'two'))
    const two =
      'CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$ BEGIN ATOMIC; DROP SCHEMA public; END;'
    await expect(drive(load, [file(`${START}${two}\n`)])).rejects.toMatchObject({
      message: expect.stringContaining('line 3') as string,
    })
    expect(await asked('two', "SELECT count(*) FROM pg_namespace WHERE nspname = 'public'")).toEqual(['1'])
    await load.undo()
    const other = 'CREATE PROCEDURE public.f() AS $$ $$ LANGUAGE sql; DROP SCHEMA public;'
    const bytes = Buffer.from(`${START}${other}\n`)
    // As if the scanner had erred.
    const { Exchange } = await import('../../src/load/postgres/exchange.ts')
    const { PostgresSession } = await import('../../src/dump/postgres/session.ts')
    await using session = await PostgresSession.open({ ...orderFor(server, 'postgres').target })
    const { error } = await Exchange.each(bytes).over(session)
    expect(error?.message).toMatch(/multiple commands/)
    expect(await session.facts('SELECT 1 AS one')).toEqual([{ one: '1' }])
  })

  test('what fails has its place in the file, and the code of its reason', async () => {
    const bad = `${START}CREATE TABLE public.t (a int, b text);\nCOPY public.t (a, b) FROM stdin;\n1\tx\nsecret\ty\n\\.\n`
    await using load = await PostgresLoad.open(orderFor(server, 'bad'))
    const error = await drive(load, [file(bad, true, 'rows.sql')]).catch((e: unknown) => e as Error)
    expect(error).toMatchObject({ code: 'DATABASE_FAILED' })
    expect((error as Error).message).toMatch(
      /^rows\.sql, line 4: rows of public\.t \(COPY t, line 2, column a\): invalid input/,
    )
    // It goes on where it stood, once it can.
    const good = bad.replace('secret', '2')
    const { standing } = await loaded(orderFor(server, 'bad'), [file(good, true, 'rows.sql')])
    expect(standing.at).toBeGreaterThan(0)
    expect(await asked('bad', 'SELECT * FROM public.t')).toEqual(['1|x', '2|y'])

    const broken = `${START}CREATE TABLE public.t (a int);\n\n\nCREATE INDEX i ON public.t (nothing);\n`
    await using other = await PostgresLoad.open(orderFor(server, 'broken'))
    await expect(drive(other, [file(broken)])).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringMatching(/^evil\.sql, line 6: index i: .*"nothing" does not exist \(42703\)/) as string,
    })
    await other.undo()
  })

  test('what a file puts back for the session of a client is not put back here', async () => {
    const admin = await server.connect()
    await admin.query('CREATE DATABASE hasty OWNER loader TEMPLATE template0')
    await admin.query("ALTER DATABASE hasty SET idle_in_transaction_session_timeout = '10ms'")
    await using load = await PostgresLoad.open(orderFor(server, 'hasty'))
    await load.prepare()
    const one = await load.open({ index: 0, name: 'a.sql', rows: true, more: false, from: 0, head: null })
    await one.take(Buffer.from('CREATE TABLE public.t (a int);\nCOPY public.t FROM stdin;\n1\n\\.\n'))
    await one.take(Buffer.from('RESET idle_in_transaction_session_timeout;\n'))
    await new Promise((resolve) => setTimeout(resolve, 200))
    await one.end()
    await one.commit()
    await finished(load)
    expect(await asked('hasty', 'SELECT a FROM public.t')).toEqual(['1'])
  })

  test('rows that fail at once do not keep the rest of them', async () => {
    const rows = `CREATE TABLE public.t (a int);\nCOPY public.t FROM stdin;\nx\n${'1\n'.repeat(10 << 20)}\\.\n`
    await using load = await PostgresLoad.open(orderFor(server, 'long'))
    await expect(drive(load, [file(rows, true)])).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringContaining('line 2: rows of public.t (COPY t, line 1, column a)') as string,
    })
    await load.undo()
  })

  test('bytes that are no text, where a database holds such', async () => {
    const admin = await server.connect()
    await admin.query(
      "CREATE DATABASE bytes OWNER loader ENCODING SQL_ASCII TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    const bytes = Buffer.from(
      `SET client_encoding = 'SQL_ASCII';\nCREATE TABLE public.t (a text DEFAULT '\xe9');\nCOPY public.t FROM stdin;\n\xff\xe9\n\\.\n`,
      'latin1',
    )
    for (const mode of ['new', 'swap'] as const)
      await loaded(orderFor(server, 'bytes', { mode }), [{ name: 'a.sql', rows: true, bytes }])
    expect(await asked('bytes', "SELECT encode(a::bytea, 'hex') FROM public.t")).toEqual(['ffe9'])
    const into = loaded(orderFor(server, 'no_bytes'), [{ name: 'a.sql', rows: true, bytes }])
    await expect(into).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      hint: expect.stringContaining('encoding') as string,
    })
  })

  test('a file that ends in the middle', async () => {
    await using load = await PostgresLoad.open(orderFor(server, 'short'))
    await expect(drive(load, [file(`${START}CREATE TABLE public.t (a int`)])).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
    })
    await expect(drive(load, [file('COPY public.t FROM stdin;\n1\n', true)])).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
    })
  })

  test('a full disk is told as one, and waited for', async () => {
    const admin = await server.connect()
    await using load = await PostgresLoad.open(orderFor(server, 'full'))
    await load.prepare()
    const client = await server.connect('full')
    // What the server says when its disk is full, said by something else.
    await client.query(
      `CREATE FUNCTION full_disk() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space left' USING ERRCODE = '53100'; END $$`,
    )
    await client.query(
      "CREATE EVENT TRIGGER full_disk ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION full_disk()",
    )
    const files = [file(`${START}CREATE TABLE public.t (a int);\n`)]
    await expect(drive(load, files)).rejects.toMatchObject({ code: 'DISK_FULL', retry: 'later' })
    await client.query('DROP EVENT TRIGGER full_disk; DROP FUNCTION full_disk()')
    await drive(load, files)
    await finished(load)
    expect(await asked('full', "SELECT count(*) FROM pg_namespace WHERE nspname = 'ratchet_restore'")).toEqual(['0'])
    await admin.query('SELECT 1')
  })

  test('what needs a right that few have is told as lacking, and the rest is there', async () => {
    const text = `${START}CREATE SCHEMA public;
CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;
COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';
CREATE EXTENSION IF NOT EXISTS nobody_has_this WITH SCHEMA public;
COMMENT ON EXTENSION nobody_has_this IS 'x';
CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION public.e();
ALTER EVENT TRIGGER et DISABLE;
CREATE FOREIGN DATA WRAPPER fdw;
CREATE SERVER "À la\ncarte" FOREIGN DATA WRAPPER fdw;
CREATE FOREIGN TABLE public.ft (a int) SERVER "À la\ncarte";
CREATE PUBLICATION pub FOR ALL TABLES;
CREATE TABLE public.t (a int);
ALTER TABLE public.t OWNER TO nobody_there;
ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON public.t TO nobody_there USING (true);
SET transaction_timeout = 0;
SET default_with_oids = false;
`
    const { lacks } = await loaded(orderFor(server, 'lacking'), [file(text)])
    expect(lacks.map(({ kind, name }) => `${kind}: ${name}`)).toEqual([
      'comment: EXTENSION plpgsql',
      'extension: nobody_has_this',
      'comment: EXTENSION nobody_has_this',
      'event trigger: et',
      'event trigger: EVENT TRIGGER et DISABLE',
      'foreign data wrapper: fdw',
      'server: "À la carte"',
      'foreign table: public.ft',
      'publication: pub',
      'owner: TABLE public.t',
      'policy: p',
    ])
    expect(lacks.every(({ why }) => why !== '')).toBe(true)
    expect(await asked('lacking', "SELECT relname FROM pg_class WHERE relname IN ('t', 'progress')")).toEqual(['t'])
    const rule = `${START}CREATE TABLE public.t (a int);\nCREATE POLICY p ON public.t AS RESTRICTIVE TO nobody_there USING (true);\n`
    await expect(loaded(orderFor(server, 'strict'), [file(rule)])).rejects.toMatchObject({ code: 'DATABASE_FAILED' })
  })
})
