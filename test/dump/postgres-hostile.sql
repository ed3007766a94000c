CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE SCHEMA "odd; DROP TABLE x; --";
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', E'new\nline', 'glück');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN code AS text COLLATE "C" DEFAULT 'x\y' NOT NULL;
CREATE TYPE pair AS (a int, "b c" text);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE SEQUENCE counting INCREMENT BY -3 MINVALUE -1000 MAXVALUE 7 START 7 CACHE 5 CYCLE;
SELECT nextval('counting'), nextval('counting');
CREATE SEQUENCE untouched AS smallint;

CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS $f$ SELECT $1 * 2 /* \! echo hurt; */ -- ';
$f$;
CREATE FUNCTION atomic(i int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT i + 1; SELECT i + 2; END;
CREATE PROCEDURE nothing() LANGUAGE plpgsql AS $$ BEGIN


NULL; END $$;

CREATE TABLE everything (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5) PRIMARY KEY,
  b bool, i2 int2, i4 int4, i8 int8, n numeric, n2 numeric(20, 5), f4 float4, f8 float8, m money,
  t text, v varchar(20), c char(10), nm name, ch "char", by bytea,
  d date, ti time, tz timetz, ts timestamp, tstz timestamptz, iv interval,
  u uuid, inet inet, cidr cidr, mac macaddr, mac8 macaddr8, bits bit(5), vb varbit,
  j json, jb jsonb, x xml, pt point, bx box, pl polygon, ln line,
  ai int[], at text[], a2 int[][], r int4range, mr int4multirange, sp span, tsv tsvector, tsq tsquery,
  e mood, ae mood[], dom positive, cd code, p pair, ap pair[], o oid, rc regclass, l pg_lsn,
  g int GENERATED ALWAYS AS (i4 * 2) STORED
);
INSERT INTO everything DEFAULT VALUES;
INSERT INTO everything (b, i2, i4, i8, n, n2, f4, f8, m, t, v, c, nm, ch, by) VALUES
 (true, -32768, -1073741824, -9223372036854775808, ('1' || repeat('0', 9999) || '.' || repeat('3', 5000))::numeric, 0.00001, 16777217, 1.7976931348623157e308, 12.34,
  E'\\N', E'a\tb', 'ab ', 'n', 'c', decode(repeat('00010a0d5c1a27ff', 3), 'hex')),
 (false, 32767, 1073741823, 9223372036854775807, 'NaN', -1.5, 'NaN', 'NaN', -0.01,
  E'back\\slash \b\f\n\r\t\v "quoted" ''q'' \\. \\', '', '', '', 'x', ''),
 (null, 0, 0, 0, '-Infinity', 0, '-0', '-0', 0, '\.', E'\\N\n\\.\n', 'x', 'x', 'x', (SELECT string_agg(decode(lpad(to_hex(i), 2, '0'), 'hex'), '' ORDER BY i) FROM generate_series(0, 255) i)),
 (null, 0, 0, 0, 1e-1000, 0, 'Infinity', 5e-324, 0, '', '🐘é', 'ü', 'x', 'x', null),
 (null, 0, 0, 0, 0.1, 0, 1.17549435e-38, 0.1, 0, E'a\u00a0\u2028b', null, null, null, null, null),
 (null, 0, 0, 0, 0.10, 0, 3.4028235e38, 2.2250738585072014e-308, 0, repeat('long', 100000), null, null, null, null, null);
INSERT INTO everything (d, ti, tz, ts, tstz, iv, u, inet, cidr, mac, mac8, bits, vb) VALUES
 ('infinity', '24:00', '24:00+15:59', 'infinity', '-infinity', '178000000 years 1 day -00:00:00.000001', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B''),
 ('0044-03-15 BC', '00:00', '12:00-15:59:59', '4713-01-01 00:00:00 BC', '0001-01-01 00:00:00+00 BC', '-1 mon +2 days -03:04', null, '192.168.0.1', null, null, null, B'00000', B'1'),
 ('5874897-12-31', '23:59:59.999999', null, '294276-12-31 23:59:59.999999', '2024-10-27 02:30:00+02', '0', null, null, null, null, null, null, null);
INSERT INTO everything (j, jb, x, pt, bx, pl, ln, ai, at, a2, r, mr, sp, tsv, tsq, e, ae, dom, cd, p, ap, o, rc, l) VALUES
 ('{"a": 1, "a": 2,   "n": 1.0000000000000000000000000001}', '{"a": [1, null, "\u00e9\\n"]}', '<a b="c">x</a>', '(1e300,-0)', '(1,2),(3,4)', '((0,0),(1,1),(2,0))', '{1,2,3}',
  ARRAY[1, null, 3], ARRAY['', null, 'NULL', E'a"b\\c,{}\n'], '[0:1][2:3]={{1,2},{3,null}}', 'empty', '{[1,3),[5,)}', '[1.5,infinity)', '''a''''b'':1A ''c'':2', 'a & (b | !c)',
  E'new\nline', ARRAY['sad', null]::mood[], 3, E'c\\d', ROW(1, E'x"y\n,()')::pair, ARRAY[ROW(null, null)::pair, null], 4294967295, 'pg_class', 'FF/FFFFFFFF');

CREATE TABLE "odd; DROP TABLE x; --"."ta""ble
\! echo hurt" ("co""l
\. ' ; --" int PRIMARY KEY, "$$" text DEFAULT E'it''s \\! $$');
INSERT INTO "odd; DROP TABLE x; --"."ta""ble
\! echo hurt" VALUES (1, 'one'), (2, E'\\! echo hurt\n\\.\n');
CREATE INDEX "i;dx" ON "odd; DROP TABLE x; --"."ta""ble
\! echo hurt" (("$$" || '\! x'));
COMMENT ON TABLE "odd; DROP TABLE x; --"."ta""ble
\! echo hurt" IS E'line one\n\\! echo hurt\n--';

CREATE TABLE chicken (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE egg (id int PRIMARY KEY, chicken int NOT NULL REFERENCES chicken DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE chicken ADD CONSTRAINT "from" FOREIGN KEY (egg) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
BEGIN; INSERT INTO chicken VALUES (1, 1), (2, 2); INSERT INTO egg VALUES (1, 2), (2, 1); COMMIT;
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree, CHECK (id <> up), EXCLUDE USING gist (int4range(id, id, '[]') WITH &&));
INSERT INTO tree VALUES (3, null), (2, 3), (1, 2);

CREATE TABLE nokey (a int, b text);
INSERT INTO nokey VALUES (1, 'x'), (1, 'x'), (null, null);
CREATE TABLE empty (id serial PRIMARY KEY, t text UNIQUE NULLS NOT DISTINCT);
CREATE TABLE bare ();
INSERT INTO bare DEFAULT VALUES; INSERT INTO bare DEFAULT VALUES;
CREATE UNLOGGED TABLE fleeting (id int GENERATED BY DEFAULT AS IDENTITY, t text);
INSERT INTO fleeting (t) VALUES ('a'), ('b');
CREATE TABLE computed (a int GENERATED ALWAYS AS (1) STORED);
INSERT INTO computed DEFAULT VALUES;

CREATE TABLE parted (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE parted_2 (more text, at date NOT NULL, id int NOT NULL);
ALTER TABLE parted_2 DROP COLUMN more;
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parted_rest PARTITION OF parted DEFAULT PARTITION BY HASH (id);
CREATE TABLE parted_rest_0 PARTITION OF parted_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_rest_1 PARTITION OF parted_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT i, '2023-01-01'::date + i FROM generate_series(1, 1000, 7) i;
CREATE INDEX parted_at ON parted (at);
CREATE TABLE parent (id int PRIMARY KEY, t text);
CREATE TABLE child (more int) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 'c', 2);

CREATE VIEW v1 AS SELECT id, t FROM everything WHERE t ~ '\\';
CREATE VIEW a_v2 AS SELECT id, count(*) AS n FROM v1 GROUP BY id;
CREATE VIEW grouped AS SELECT e.id, e.t FROM everything e GROUP BY e.id;
CREATE MATERIALIZED VIEW mv AS SELECT sum(n) AS s FROM a_v2;
CREATE MATERIALIZED VIEW mv2 AS SELECT s FROM mv WITH NO DATA;
CREATE UNIQUE INDEX mv_s ON mv (s);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.t := NEW.t || '!'; RETURN NEW; END $$;
CREATE TRIGGER fires BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION fire();
CREATE RULE shy AS ON DELETE TO parent DO INSTEAD NOTHING;
ALTER TABLE nokey ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON nokey USING (a > 0);
CREATE STATISTICS st ON a, b FROM nokey;
CREATE INDEX part ON everything (lower(t) text_pattern_ops DESC NULLS LAST) INCLUDE (i4) WHERE i4 > 0;
CREATE INDEX hashed ON everything USING hash (u);

CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
CREATE FUNCTION public.bad(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
CREATE OPERATOR public.> (LEFTARG = int, RIGHTARG = int, FUNCTION = public.bad);
CREATE FUNCTION public.bad(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.bad);
CREATE FUNCTION public.bad(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.bad);
CREATE VIEW public.pg_class AS SELECT 1 AS oid;
CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
CREATE FUNCTION public.pg_export_snapshot() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
