import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { definitions, picture } from '../dump/postgres-fixture.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { dumped, loaded, orderFor } from './postgres-fixture.ts'

const HOSTILE = fs.readFileSync(new URL('../dump/postgres-hostile.sql', import.meta.url), 'utf8')

/** More of what a load could stumble over. */
const MORE = `
CREATE TABLE long_row (id int PRIMARY KEY, t text);
INSERT INTO long_row SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 262144) i;
INSERT INTO long_row SELECT i, repeat('y', i * 1000) FROM generate_series(2, 300) i;
CREATE FUNCTION begin(i int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN i > 0 THEN (CASE i WHEN 1 THEN 2 ELSE 3 END) END; SELECT i; END;
CREATE AGGREGATE every_one(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE SEQUENCE "odd\\' name";
SELECT setval('"odd\\'' name"', 77);
CREATE TABLE "semi;colon" ("a;b" int DEFAULT 1, "c--d" text DEFAULT '/* ; */', e text DEFAULT E'\\';\\n');
INSERT INTO "semi;colon" VALUES (1, '--', ';');
COMMENT ON COLUMN "semi;colon"."a;b" IS E'it''s; a \\\\ "comment" /* -- ';
CREATE EXTENSION citext;
CREATE TABLE soft (c citext UNIQUE);
INSERT INTO soft VALUES ('Ab');
CREATE TABLE wide AS SELECT i AS id, md5(i::text) AS a, md5((-i)::text) AS b FROM generate_series(1, 60000) i;
ALTER TABLE wide ADD PRIMARY KEY (id);
SELECT lo_create(12345);
COMMENT ON LARGE OBJECT 12345 IS 'large';
`

let server: PostgresServer

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  const admin = await server.connect()
  await admin.query('CREATE ROLE loader LOGIN')
  await admin.query('CREATE DATABASE shop')
  const client = await server.connect('shop')
  await client.query(HOSTILE)
  await client.query(MORE)
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

/** An empty database that a plain user owns. */
async function empty(name: string): Promise<void> {
  const admin = await server.connect()
  await admin.query(`CREATE DATABASE ${name} TEMPLATE template0 OWNER loader`)
  await admin.query(`ALTER DATABASE ${name} SET array_nulls = off`)
  await admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`)
  await admin.query(`ALTER DATABASE ${name} SET statement_timeout = '30ms'`)
  await admin.query(`ALTER DATABASE ${name} SET search_path = nowhere`)
}

describe.skipIf(!hasPostgres)('a hostile database comes back as it was, for a plain user who owns an empty one', () => {
  test.each([
    ['in blocks', {}, 1 << 30],
    ['in files of two blocks, pieces that are none, without pg_dump', { piece: 77_777, commit: 9 }, 2 << 20],
    ['in small pieces', { piece: 4099, commit: 1000 }, 1 << 30],
  ] as const)('%s', async (what, driving, longest) => {
    const pgDump = !what.includes('without')
    const { files, order } = await dumped(server, 'shop', { consistency: 'snapshot', pgDump }, longest)
    const name = what.replaceAll(/[ ,]+/g, '_').slice(0, 30)
    await empty(name)
    const done = await loaded(orderFor(server, name), files, driving)
    expect(done.standing).toEqual({ file: 0, at: 0 })
    expect(done.kept).toBe(null)
    expect(done.lacks).toEqual([])
    expect(files.length).toBeGreaterThan(20)
    expect(order).toContain('definitions')
    const admin = await server.connect()
    await admin.query(`ALTER DATABASE ${name} RESET ALL`)
    expect(await picture(server, name)).toEqual(await picture(server, 'shop'))
    if (pgDump) expect(definitions(server, name)).toBe(definitions(server, 'shop'))
  })
})
