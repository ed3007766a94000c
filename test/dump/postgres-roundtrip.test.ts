import fs from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { definitions, picture, roundTrip } from './postgres-fixture.ts'

const HOSTILE = fs.readFileSync(new URL('./postgres-hostile.sql', import.meta.url), 'utf8')

let server: PostgresServer

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  const admin = await server.connect()
  await admin.query('CREATE DATABASE shop')
  const client = await server.connect('shop')
  await client.query(HOSTILE)
  await admin.query(
    "ALTER DATABASE shop SET search_path = public, pg_catalog; ALTER DATABASE shop SET DateStyle = 'German'",
  )
  await admin.query(
    "ALTER DATABASE shop SET bytea_output = 'escape'; ALTER DATABASE shop SET statement_timeout = '20ms'",
  )
  await admin.query(
    "ALTER DATABASE shop SET standard_conforming_strings = off; ALTER DATABASE shop SET TimeZone = 'Asia/Kolkata'",
  )
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

describe.skipIf(!hasPostgres)('a hostile database survives its dump and psql', () => {
  test.each([
    ['in a snapshot', 'snapshot', undefined],
    ['table by table', 'table', undefined],
    ['in small blocks', 'table', 20_000],
  ] as const)('%s', async (what, consistency, blockSize) => {
    const to = what.replaceAll(' ', '_')
    const done = await roundTrip(server, 'shop', to, { consistency, ...(blockSize === undefined ? {} : { blockSize }) })
    expect(done.said).toBe('')
    expect(done.lacks).toEqual([])
    expect(await picture(server, to)).toEqual(await picture(server, 'shop'))
    expect(definitions(server, to)).toBe(definitions(server, 'shop'))
  })
})

describe.skipIf(!hasPostgres)('without pg_dump', () => {
  test('the catalogue tells the same definitions', async () => {
    const admin = await server.connect()
    await admin.query('CREATE DATABASE plain')
    const client = await server.connect('plain')
    await client.query(HOSTILE.replaceAll(/^CREATE OPERATOR .*$/gm, ''))
    await client.query(MORE)
    const done = await roundTrip(server, 'plain', 'without', { consistency: 'snapshot', pgDump: false })
    expect(done.said).toBe('')
    expect(done.lacks).toEqual([])
    expect(await picture(server, 'without')).toEqual(await picture(server, 'plain'))
    expect(definitions(server, 'without')).toBe(definitions(server, 'plain'))
  })

  test('what it cannot tell is named', async () => {
    const done = await roundTrip(server, 'shop', 'lacking', { consistency: 'table', pgDump: false })
    const names = (done.lacks as { kind: string; name: string }[]).map(({ kind, name }) => `${kind} ${name}`)
    expect(names).toEqual([
      'operator public.=(pg_catalog.name,pg_catalog.name)',
      'operator public.=(pg_catalog.text,pg_catalog.text)',
      'operator public.>(integer,integer)',
    ])
    expect(await picture(server, 'lacking')).toEqual(await picture(server, 'shop'))
  })
})

/** More of what only the own reader has to be shown: it is not pg_dump that wrote it. */
const MORE = `
CREATE EXTENSION citext SCHEMA "odd; DROP TABLE x; --";
CREATE COLLATION "odd; DROP TABLE x; --".german (provider = icu, locale = 'de-u-ks-level1', deterministic = false);
CREATE COLLATION plain_c (provider = libc, locale = 'C');
CREATE TABLE worded (a text COLLATE "odd; DROP TABLE x; --".german, b text COLLATE plain_c, c "odd; DROP TABLE x; --".citext UNIQUE);
CREATE TABLE tuned (a int, b text) WITH (fillfactor = 70, autovacuum_enabled = false);
ALTER TABLE tuned ALTER b SET STORAGE EXTERNAL;
CREATE SEQUENCE late;
CREATE FUNCTION from_table(t tuned) RETURNS int LANGUAGE sql STABLE AS 'SELECT t.a';
CREATE FUNCTION for_default() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE later_one (a int DEFAULT for_default(), b int DEFAULT nextval('late'), c tuned, d v1, CONSTRAINT checked CHECK (twice(a) > 0));
CREATE FUNCTION over_view() RETURNS SETOF v1 LANGUAGE sql BEGIN ATOMIC SELECT v1.id, v1.t FROM v1; END;
CREATE TABLE heir (own int NOT NULL) INHERITS (later_one);
ALTER TABLE heir ALTER a SET DEFAULT 7;
ALTER TABLE heir ADD UNIQUE (own);
ALTER TABLE heir REPLICA IDENTITY USING INDEX heir_own_key;
ALTER TABLE tuned ADD FOREIGN KEY (a) REFERENCES tree NOT VALID;
CREATE TABLE pointed (id int PRIMARY KEY REFERENCES tree) PARTITION BY LIST (id);
CREATE TABLE pointed_1 PARTITION OF pointed FOR VALUES IN (1, NULL);
CREATE TRIGGER off AFTER DELETE ON parent FOR EACH STATEMENT WHEN (true) EXECUTE FUNCTION fire();
ALTER TABLE parent DISABLE TRIGGER off;
CREATE TRIGGER whole AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION fire();
CREATE POLICY strict ON nokey AS RESTRICTIVE FOR UPDATE TO PUBLIC USING (true) WITH CHECK (b <> '');
ALTER TABLE nokey FORCE ROW LEVEL SECURITY;
CREATE VIEW guarded WITH (security_barrier) AS SELECT a FROM nokey WHERE a > 0 WITH LOCAL CHECK OPTION;
COMMENT ON COLUMN tuned.b IS 'it''s';
COMMENT ON FUNCTION twice(int) IS 'twice';
COMMENT ON CONSTRAINT checked ON later_one IS 'checked';
COMMENT ON TRIGGER off ON parent IS 'off';
COMMENT ON TYPE mood IS 'how';
COMMENT ON DOMAIN positive IS 'more';
COMMENT ON SCHEMA "odd; DROP TABLE x; --" IS 'odd';
COMMENT ON INDEX mv_s IS 'one';
COMMENT ON MATERIALIZED VIEW mv IS 'made';
`
