import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresDump } from '../../src/dump/postgres/postgres-dump.ts'
import { PostgresSession, type PostgresTarget } from '../../src/dump/postgres/session.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { blocksOf, picture, roundTrip } from './postgres-fixture.ts'

let server: PostgresServer

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  const admin = await server.connect()
  await admin.query('CREATE DATABASE shop')
  const client = await server.connect('shop')
  await client.query(`
    CREATE SCHEMA s; CREATE SCHEMA "S.x";
    CREATE TABLE s.customers (id serial PRIMARY KEY, name text);
    CREATE TABLE s.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int CONSTRAINT "of" REFERENCES s.customers);
    CREATE TABLE public.orders (id int PRIMARY KEY);
    CREATE TABLE "S.x"."lo""g" (line text);
    CREATE TABLE s.parts (id int) PARTITION BY LIST (id);
    CREATE TABLE s.parts_1 PARTITION OF s.parts DEFAULT;
    CREATE VIEW s.names AS SELECT name FROM s.customers;
    CREATE FUNCTION s.kept() RETURNS int LANGUAGE sql AS 'SELECT 1';
    INSERT INTO s.customers (name) VALUES ('a'), ('b');
    INSERT INTO s.orders (customer) VALUES (1), (2), (null);
    INSERT INTO public.orders VALUES (1);
    INSERT INTO "S.x"."lo""g" VALUES ('x');
    INSERT INTO s.parts VALUES (1);
    CREATE MATERIALIZED VIEW s.counts AS SELECT count(*) FROM s.names;
    SELECT lo_create(0);
    CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
    CREATE FOREIGN TABLE s.away (id int) SERVER far;
  `)
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

const ALWAYS = [
  expect.objectContaining({ kind: 'foreign table', name: 's.away' }),
  expect.objectContaining({ kind: 'large objects' }),
]

describe.skipIf(!hasPostgres).each([[true], [false]])('what is chosen is dumped, and loads (pg_dump: %s)', (pgDump) => {
  const dumped = async (to: string, choice: object) => {
    const done = await roundTrip(server, 'shop', `${to}_${String(pgDump)}`, {
      consistency: 'snapshot',
      pgDump,
      ...choice,
    })
    const lacks = done.lacks as { kind: string; name: string }[]
    return { ...done, lacks, rows: await picture(server, `${to}_${String(pgDump)}`) }
  }

  test('all, and what cannot be is named', async () => {
    // Without pg_dump there is no server for the foreign table; both are named.
    const { lacks, rows } = await dumped('whole', {})
    expect(lacks).toEqual(expect.arrayContaining(ALWAYS))
    expect(lacks.length > 2).toBe(!pgDump)
    expect(rows).toEqual(await picture(server, 'shop'))
  })

  test('all but some, with what is made of them', async () => {
    const exclude = ['s.customers', 'lo"g', 'parts', 's.away']
    const { lacks, rows, sections } = await dumped('some', { exclude })
    expect(Object.keys(rows)).toEqual(['public.orders', 's.orders', 's.orders_id_seq'])
    const named = lacks.map(({ kind, name }) => `${kind} ${name}`)
    expect(named).toEqual(expect.arrayContaining(['view s.names', 'materialized view s.counts', 'table s.parts_1']))
    expect(named).toContain('foreign key of')
    expect(sections.filter(({ kind }) => kind === 'rows').map(({ id }) => id)).toEqual([
      'rows:public.orders',
      'rows:s.orders',
    ])
  })

  test('only some, or without their rows', async () => {
    const { rows, lacks } = await dumped('few', {
      include: ['orders', 's.customers', 's.parts'],
      structureOnly: ['s.orders', 'ordrs'],
    })
    expect(rows).toMatchObject({ 'public.orders': ['(1)'], 's.customers': ['(1,a)', '(2,b)'], 's.orders': [] })
    expect(lacks[0]).toMatchObject({ kind: 'table', name: 'ordrs' })
    expect(rows).toHaveProperty(['s.parts_1'], ['(1)'])
    expect(rows).not.toHaveProperty(['"S.x"."lo""g"'])
    const rowless = await dumped('bare', { structureOnly: ['parts'] })
    expect(rowless.rows['s.parts_1']).toEqual([])
    const { stdout } = server.psql(`few_${String(pgDump)}`, ['-Atc', 'SELECT s.kept(), count(*) FROM s.names'])
    expect(stdout).toBe('1|2\n')
  })
})

/** A CA of its own, and a certificate for two names. */
function certificate(folder: string, name: string): { ca: string; cert: string; key: string } {
  const [cert, key] = [path.join(folder, `${name}.crt`), path.join(folder, `${name}.key`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`]
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject]
  const made = spawnSync('openssl', args, { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`)
  return { ca: fs.readFileSync(cert, 'utf8'), cert, key }
}

describe.skipIf(!hasPostgres)('over TLS', () => {
  let target: PostgresTarget
  let other: string

  beforeAll(async () => {
    const { ca, cert, key } = certificate(server.data, 'db.example')
    other = certificate(server.data, 'other.example').ca
    const { uid, gid } = fs.statSync(server.data)
    for (const file of [cert, key]) fs.chownSync(file, uid, gid)
    fs.chmodSync(key, 0o600)
    const rules = [
      'local all all trust',
      'hostssl all keeper 127.0.0.1/32 scram-sha-256',
      'hostssl all plain 127.0.0.1/32 password',
    ]
    fs.writeFileSync(path.join(server.data, 'pg_hba.conf'), `${rules.join('\n')}\n`)
    const admin = await server.connect()
    await admin.query("CREATE ROLE keeper LOGIN SUPERUSER PASSWORD 'secret'; CREATE ROLE plain LOGIN PASSWORD 'secret'")
    for (const [name, value] of Object.entries({ ssl_cert_file: cert, ssl_key_file: key, ssl: 'on' }))
      await admin.query(`ALTER SYSTEM SET ${name} = '${value}'`)
    server.reload()
    target = { host: '127.0.0.1', port: server.port, user: 'keeper', password: 'secret', database: 'shop', tls: { ca } }
    // Until it has read all that.
    for (let ready = false; !ready;) {
      ready = await PostgresSession.open(target).then(
        (session) => (session.destroy(), true),
        () => new Promise((resolve) => setTimeout(() => resolve(false), 100)),
      )
    }
  }, 60_000)

  test.each([
    ['as its address', {}],
    ['as another name', { name: 'db.example' }],
  ])('a server that proves who it is, %s, is read by us and by pg_dump', async (_, more) => {
    await using dump = await PostgresDump.open(
      { ...target, tls: { ...target.tls, ...more } },
      { consistency: 'snapshot' },
    )
    const sections = await dump.sections()
    const texts: string[] = []
    for (const section of sections) texts.push((await blocksOf(dump, section)).map(({ text }) => text).join(''))
    expect(texts[0]).toContain('CREATE TABLE s.customers')
    expect(texts.join('')).toContain('COPY "s"."customers"')
  })

  test('one that does not is told nothing', async () => {
    const refused = { code: 'UNREACHABLE', retry: 'never' }
    const failing = (tls: PostgresTarget['tls'] & object) => PostgresSession.open({ ...target, tls })
    await expect(failing({ ca: other })).rejects.toMatchObject(refused)
    await expect(failing({})).rejects.toMatchObject(refused)
    await expect(failing({ ca: target.tls?.ca ?? '', name: 'evil.example' })).rejects.toMatchObject(refused)
  })

  test('the password itself may be asked for', async () => {
    await using session = await PostgresSession.open({ ...target, user: 'plain' })
    expect(session.alive).toBe(true)
  })

  test('without it, a server that wants it says so', async () => {
    const { tls: _, ...plain } = target
    const hint = expect.stringContaining('TLS') as string
    await expect(PostgresSession.open(plain)).rejects.toMatchObject({ code: 'DATABASE_DENIED', hint })
  })
})
