import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findPgDump, runPgDump } from '../../src/dump/postgres/pg-dump.ts'
import { PostgresDump } from '../../src/dump/postgres/postgres-dump.ts'
import { PostgresSession, type PostgresTarget } from '../../src/dump/postgres/session.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { blocksOf } from './postgres-fixture.ts'
import type pg from 'pg'

let server: PostgresServer
let admin: pg.Client
let target: PostgresTarget

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  admin = await server.connect()
  await admin.query('CREATE DATABASE shop')
  await admin.query("SET password_encryption = 'scram-sha-256'; CREATE ROLE reader LOGIN PASSWORD 'sécret:\\'")
  await admin.query(
    "SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'older'; CREATE ROLE plain LOGIN PASSWORD 'plain'",
  )
  await admin.query('CREATE ROLE locked; CREATE ROLE one LOGIN CONNECTION LIMIT 0')
  const rules = [
    ...['local all postgres trust', 'host all postgres 127.0.0.1/32 trust', 'local all plain password'],
    ...['host all reader 127.0.0.1/32 scram-sha-256', 'host all old 127.0.0.1/32 md5'],
    ...['host all plain 127.0.0.1/32 password', 'host all one 127.0.0.1/32 trust'],
  ]
  fs.writeFileSync(path.join(server.data, 'pg_hba.conf'), `${rules.join('\n')}\n`)
  server.reload()
  const client = await server.connect('shop')
  await client.query('CREATE TABLE orders (id int PRIMARY KEY, t text); CREATE TABLE secret (id int PRIMARY KEY)')
  await client.query("INSERT INTO orders SELECT i, repeat('x', 2000) FROM generate_series(1, 20000) i")
  await client.query('GRANT SELECT ON orders TO reader')
  target = { host: '127.0.0.1', port: server.port, user: 'reader', password: 'sécret:\\', database: 'shop' }
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

const superuser = (): PostgresTarget => ({ ...target, user: 'postgres', password: '' })

describe.skipIf(!hasPostgres)('what goes wrong has a code, a cause and a hint', () => {
  const failing = (changes: Partial<PostgresTarget>) => PostgresSession.open({ ...target, ...changes })

  test('at the door', async () => {
    for (const good of [{}, { user: 'old', password: 'older' }]) {
      await using session = await failing(good)
      expect(session.version).toBeGreaterThan(100_000)
    }
    await expect(failing({ password: 'wrong' })).rejects.toMatchObject({ code: 'DATABASE_DENIED', retry: 'never' })
    await expect(failing({ password: '' })).rejects.toMatchObject({ code: 'DATABASE_DENIED' })
    await expect(failing({ user: 'old', password: 'wrong' })).rejects.toMatchObject({ code: 'DATABASE_DENIED' })
    await expect(failing({ user: 'nobody' })).rejects.toMatchObject({ code: 'DATABASE_DENIED' })
    await expect(failing({ user: 'one' })).rejects.toMatchObject({ code: 'DATABASE_BUSY', retry: 'later' })
    await expect(failing({ ...superuser(), database: 'none' })).rejects.toMatchObject({ code: 'DATABASE_NOT_FOUND' })
    await expect(failing({ socket: '/nowhere' })).rejects.toMatchObject({ code: 'UNREACHABLE', retry: 'later' })
    await expect(failing({ port: 1 })).rejects.toMatchObject({ code: 'UNREACHABLE' })
    await expect(failing({ tls: {} })).rejects.toMatchObject({ code: 'UNREACHABLE', retry: 'never' })
  })

  test.each([
    ['no user', { user: '' }],
    ['a user that says more', { user: 'reader\0options\0-c search_path=evil' }],
    ['a database that says more', { database: 'shop\0x' }],
    ['an option for a host', { host: '-F/x' }],
    ['two hosts', { host: 'a,b' }],
    ['a path for a host', { host: '/tmp' }],
    ['a port beyond', { port: 70_000 }],
    ['a socket that is no path', { socket: 'tmp' }],
  ])('before it: %s', async (_, changes) => {
    await expect(failing(changes)).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  })

  test('no right on one table: it is named, in a snapshot and without', async () => {
    const [message, hint] = [expect.stringContaining('public.secret'), expect.stringContaining('SELECT')]
    const denied = { code: 'DATABASE_DENIED', message: message as string, hint: hint as string }
    await expect(PostgresDump.open(target, { consistency: 'snapshot' })).rejects.toMatchObject(denied)
    await using left = await PostgresDump.open(target, { consistency: 'snapshot', exclude: ['public.secret'] })
    const definitions = (await blocksOf(left, (await left.sections())[0]!)).map(({ text }) => text).join('')
    expect(definitions).toContain('CREATE TABLE public.orders')
    expect(definitions).not.toContain('public.secret')
    expect((await left.sections()).filter(({ kind }) => kind === 'rows').map(({ table }) => table)).toEqual([
      'public.orders',
    ])
    await using dump = await PostgresDump.open(target, { consistency: 'table' })
    const sections = await dump.sections()
    for (const section of sections.filter(({ kind }) => kind === 'rows')) {
      if (section.table === 'public.orders') expect((await blocksOf(dump, section)).length).toBeGreaterThan(30)
      else await expect(blocksOf(dump, section)).rejects.toMatchObject(denied)
    }
  })

  test('a table that somebody holds locked: it is named', async () => {
    const holder = await server.connect('shop')
    await holder.query('BEGIN; LOCK TABLE secret')
    const busy = { code: 'DATABASE_BUSY', message: expect.stringContaining('public.secret') as string }
    const options = { consistency: 'snapshot', lockMs: 100 } as const
    await expect(PostgresDump.open(superuser(), options)).rejects.toMatchObject(busy)
    await using dump = await PostgresDump.open(superuser(), { ...options, consistency: 'table' })
    const section = (await dump.sections()).find(({ table }) => table === 'public.secret')
    if (section === undefined) throw new Error('no secret')
    await expect(blocksOf(dump, section)).rejects.toMatchObject(busy)
    await holder.query('ROLLBACK')
    expect(await blocksOf(dump, section)).toEqual([])
  })

  test.each(['table', 'snapshot'] as const)('in the middle of a table: %s', async (consistency) => {
    await using dump = await PostgresDump.open(superuser(), { consistency })
    const sections = await dump.sections()
    const section = sections.find(({ table }) => table === 'public.orders')
    if (section === undefined) throw new Error('no orders')
    const memory = Buffer.alloc(1 << 20)
    let rows = 0
    const read = async (): Promise<void> => {
      for await (const block of dump.read(section, null, () => memory)) {
        if (rows === 0) {
          await admin.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ratchet' AND state = 'active'",
          )
        }
        rows += block.rows
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'UNREACHABLE', retry: 'later' })
    expect(rows).toBeLessThan(20_000)
    // Another connection takes its place; a snapshot is still there while its holder is.
    const blocks = await blocksOf(dump, section)
    expect(blocks.reduce((n, block) => n + block.rows, 0)).toBe(20_000)
  })

  test('a snapshot whose holder is gone is claimed no more', async () => {
    await using dump = await PostgresDump.open(superuser(), { consistency: 'snapshot' })
    const sections = await dump.sections()
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ratchet'")
    for (const section of sections) await expect(blocksOf(dump, section)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    await expect(dump.shape('database:shop')).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })
})

describe.skipIf(!hasPostgres)('nothing is told to whoever should not know it', () => {
  test('not the password itself without TLS', async () => {
    const asked = { ...target, user: 'plain', password: 'plain' }
    const refused = { code: 'DATABASE_DENIED', message: expect.stringContaining('without TLS') as string }
    await expect(PostgresSession.open(asked)).rejects.toMatchObject(refused)
    const { host: _, port = 0, ...rest } = asked
    for (const socket of [{ socket: server.socket, port }, { socket: `${server.socket}/.s.PGSQL.${port}` }])
      await expect(PostgresSession.open({ ...rest, ...socket })).rejects.toMatchObject(refused)
  })

  test('nor anything that lies in the environment or in files', async () => {
    const home = fs.mkdtempSync(path.join(server.socket, 'home-'))
    fs.writeFileSync(path.join(home, '.pgpass'), '*:*:*:*:from-a-file\n', { mode: 0o600 })
    const environment: Record<string, string> = {
      ...{ HOME: home, PGPASSFILE: path.join(home, '.pgpass'), PGPASSWORD: 'from-the-environment', PGUSER: 'evil' },
      ...{ PGOPTIONS: '-c search_path=evil', PGAPPNAME: 'evil', PGREPLICATION: 'true', PGSSLMODE: 'require' },
      ...{ PGSSLNEGOTIATION: 'direct', PGCLIENT_ENCODING: 'evil', PGHOST: 'evil', PGDATABASE: 'evil', PGPORT: '1' },
    }
    const before = { ...process.env }
    Object.assign(process.env, environment)
    try {
      const said = await talk([...AUTHENTICATE.cleartext, ...AUTHENTICATE.md5], { password: '' })
      expect(said).toContain('reader')
      expect(said).not.toMatch(/evil|from-|replication|options/)
    } finally {
      for (const name of Object.keys(environment)) {
        if (before[name] === undefined) delete process.env[name]
        else process.env[name] = before[name]
      }
    }
  })

  test('a server that asks for the password itself gets nothing', async () => {
    const said = await talk(AUTHENTICATE.cleartext, { password: 'my-password' })
    expect(said).toContain('reader')
    expect(said).not.toContain('my-password')
  })

  test('not by pg_dump either', async () => {
    const program = findPgDump(100_000)
    if (program === null) throw new Error('there is no pg_dump')
    for (const answers of [
      AUTHENTICATE.cleartext,
      [message('N', Buffer.from('x')), ...AUTHENTICATE.cleartext],
      AUTHENTICATE.split,
    ]) {
      const said = await listen(answers, async (port) => {
        const order = { section: 'pre-data', snapshot: null, encoding: 'UTF8', without: [] } as const
        // As those before version 16, which would give it.
        const dump = runPgDump({ ...program, major: 15 }, { ...target, port, password: 'my-password' }, order)
        await expect(dump.next()).rejects.toMatchObject({ code: 'DATABASE_DENIED' })
      })
      expect(said).toContain('reader')
      expect(said).not.toContain('my-password')
    }
  })

  test('and one that greets without end is left', async () => {
    const flood = Buffer.alloc(1 << 20)
    flood.writeUInt8(0x52, 0)
    flood.writeUInt32BE(0x7fffffff, 1)
    expect(await talk([flood, flood, flood, flood], {})).toContain('reader')
  })
})

test('a server that answers without end is left', async () => {
  const chunk = Buffer.alloc(1 << 20)
  let sent = 0
  const hostile = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', Buffer.alloc(4)), message('Z', Buffer.from('I'))]))
      socket.once('data', () => {
        const head = Buffer.from([0x44, 0x7f, 0xff, 0xff, 0xff])
        socket.write(head)
        const flood = (): void => {
          while (!socket.destroyed && socket.write(chunk)) sent += chunk.length
          sent += chunk.length
        }
        socket.on('drain', flood)
        flood()
      })
    })
  })
  await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve))
  const { port } = hostile.address() as net.AddressInfo
  try {
    const opened = PostgresSession.open({ host: '127.0.0.1', port, user: 'u', password: '', database: 'd' })
    await expect(opened).rejects.toMatchObject({ code: 'DATABASE_FAILED' })
    expect(sent).toBeLessThan(200 << 20)
  } finally {
    hostile.close()
  }
})

const message = (kind: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5)
  head.write(kind, 'latin1')
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

const AUTHENTICATE = {
  cleartext: [message('R', Buffer.from([0, 0, 0, 3]))],
  md5: [message('R', Buffer.from([0, 0, 0, 5, 1, 2, 3, 4]))],
  split: Array.from(message('R', Buffer.from([0, 0, 0, 3])), (byte) => Buffer.from([byte])),
}

/** What is sent to a server that answers only this, by opening a session. */
const talk = (answers: readonly Buffer[], changes: Partial<PostgresTarget>): Promise<string> =>
  listen(answers, (port) => expect(PostgresSession.open({ ...target, port, ...changes })).rejects.toThrow())

async function listen(answers: readonly Buffer[], act: (port: number) => Promise<void>): Promise<string> {
  const sent: Buffer[] = []
  const hostile = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.setNoDelay(true)
    socket.on('data', (bytes) => {
      if (sent.length === 0) for (const answer of answers) socket.write(answer)
      sent.push(bytes)
      if (sent.length > 1) socket.end()
    })
  })
  await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve))
  try {
    await act((hostile.address() as net.AddressInfo).port)
    return Buffer.concat(sent).toString('latin1')
  } finally {
    hostile.close()
  }
}
