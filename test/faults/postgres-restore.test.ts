import path from 'node:path'
import fs from 'node:fs'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { isEnded, outcome, type JobView } from '../../src/engine/job.ts'
import type { LoadRequest } from '../../src/engine/services.ts'
import type { ServerDatabaseSpec } from '../../src/engine/spec.ts'
import { SpineWorld } from '../engine/spine-world.ts'
import { sampleSpec } from '../helpers/sample-job.ts'
import { seeded } from '../helpers/random.ts'
import { hasPostgres, startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { killLoop } from './kill9-loop.ts'
import { createJobOf, inFolder, placeIn, SEED, strays } from './kill9-world.ts'

/** Whole restores into a PostgreSQL: old or new, no row twice, and nothing left of what was given up. */

let server: PostgresServer
let admin: pg.Client
let original: string
let world: SpineWorld
let app: App
let backup: JobView

beforeAll(async () => {
  if (!hasPostgres) return
  server = await startPostgres()
  admin = await server.connect()
  await admin.query("CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'x'")
  await admin.query('CREATE DATABASE shop OWNER keeper')
  const shop = await server.connect('shop')
  await shop.query(`
    SET ROLE keeper; CREATE SCHEMA s;
    CREATE TABLE s.orders (id int PRIMARY KEY, body text NOT NULL);
    INSERT INTO s.orders SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 30000) n;
    CREATE TABLE s.items (n serial PRIMARY KEY, o int REFERENCES s.orders);
    INSERT INTO s.items (o) SELECT n FROM generate_series(1, 4000) n;
    CREATE TABLE s.loose (n int, body text);
    INSERT INTO s.loose SELECT n % 7, repeat(md5(n::text), 30) FROM generate_series(1, 6000) n;
    CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := NEW.id + 1000000; RETURN NEW; END $$;
    CREATE TRIGGER fires BEFORE INSERT ON s.orders FOR EACH ROW EXECUTE FUNCTION s.f();
    CREATE VIEW s.some AS SELECT id FROM s.orders WHERE id < 10`)
  await shop.end()
  original = stateOf('shop')
  world = new SpineWorld()
  app = await world.app()
  const spec = { sources: [], type: 'databases', databases: [access()], level: 1, deflate: 8 << 20 } as const
  backup = await world.backup(app, { ...spec, sources: [], databases: [access()] })
  expect([outcome(backup), backup.error]).toEqual(['completed', null])
}, 120_000)
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
})
afterEach(async () => {
  for (const name of await databases()) await admin.query(`DROP DATABASE "${name}" WITH (FORCE)`)
})

process.env['RATCHET_TEST_KEEPER'] = 'x'
const access = (): ServerDatabaseSpec => ({
  ...{ type: 'postgresql', socket: server.socket, port: server.port, user: 'keeper' },
  ...{ passwordEnv: 'RATCHET_TEST_KEEPER', database: 'shop' },
})

async function databases(): Promise<string[]> {
  if (!hasPostgres) return []
  const { rows } = await admin.query<{ datname: string }>(
    "SELECT datname FROM pg_database WHERE datname LIKE 'copy%' ORDER BY 1",
  )
  return rows.map(({ datname }) => datname)
}

/** All of it, as the vendor's program tells it: definitions, and rows in their order. */
const stateOf = (name: string): string => server.pgDump(name, ['--no-owner']).replaceAll(/^\\(un)?restrict .*$/gm, '')

interface Asked {
  readonly maxMs?: number
  readonly load?: Partial<LoadRequest>
}

const start = (to: App, { maxMs = 60, load = {} }: Asked = {}): Promise<JobView> =>
  to.engine.start({
    ...{ kind: 'restore', archive: backup.number, pacing: { minMs: 0, maxMs, bias: 100 } },
    databases: [{ name: 'shop', database: 'copy', ...load }],
  })

async function stepped(
  begun: Promise<JobView>,
  between: (n: number) => Promise<void> = async () => {},
): Promise<JobView> {
  let job = await begun
  for (let n = 1; !isEnded(job) && n < 3000; n++) {
    await between(n)
    job = await app.engine.step(job.number)
  }
  return job
}

async function cutConnections(): Promise<void> {
  await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'")
}

describe.skipIf(!hasPostgres)('a restore into PostgreSQL', () => {
  test('puts the database back under a name, in steps, by an account that may only make databases', async () => {
    const job = await stepped(start(app))
    expect([job.error, outcome(job), job.steps > 5]).toEqual([null, 'completed', true])
    expect(stateOf('copy')).toBe(original)
  })

  test('goes on in one process after another', async () => {
    let job = await start(app, { maxMs: 25 })
    for (let n = 1; !isEnded(job) && n < 3000; n++) {
      await world.close(app)
      app = await world.app()
      job = await app.engine.step(job.number)
    }
    expect([job.error, outcome(job)]).toEqual([null, 'completed'])
    expect(stateOf('copy')).toBe(original)
  }, 240_000)

  test('goes on when its connection is ended, again and again; takes a place, and keeps what was there', async () => {
    await admin.query('CREATE DATABASE copy OWNER keeper')
    const copy = await server.connect('copy')
    await copy.query('CREATE TABLE mine AS SELECT 5 AS a; ALTER TABLE mine OWNER TO keeper')
    await copy.end()
    const old = stateOf('copy')
    const job = await stepped(start(app, { load: { mode: 'swap' } }), async (n) => {
      if (n % 3 === 0) await cutConnections()
    })
    expect([job.error, job.status]).toEqual([null, 'completed'])
    const { lines } = await app.engine.log(job.number)
    const [, aside = ''] = /is kept as (\S+)/.exec(lines.map(({ message }) => message).join('\n')) ?? []
    expect(await databases()).toEqual(['copy', aside])
    expect([stateOf('copy'), stateOf(aside)]).toEqual([original, old])
  }, 240_000)

  test.each(['new', 'swap'] as const)('cancelled on the way (%s), it leaves nothing', async (mode) => {
    if (mode === 'swap') {
      await admin.query('CREATE DATABASE copy OWNER keeper')
      const copy = await server.connect('copy')
      await copy.query('CREATE TABLE mine AS SELECT 5 AS a; ALTER TABLE mine OWNER TO keeper')
      await copy.end()
    }
    const before = await databases()
    const begun = await start(app, { maxMs: 25, load: { mode } })
    const job = await stepped(Promise.resolve(begun), async (n) => {
      if (n === 4) await app.engine.cancel(begun.number)
    })
    expect(job.status).toBe('cancelled')
    expect(await databases()).toEqual(before)
  })

  test('of a damaged archive leaves nothing behind', async () => {
    const [artifact] = await app.engine.artifacts(backup.number)
    const file = artifact?.path ?? ''
    const bytes = fs.readFileSync(file)
    const at = bytes.indexOf(Buffer.from('databases/shop/000006')) + 60_000
    fs.writeFileSync(file, Buffer.concat([bytes.subarray(0, at), Buffer.alloc(64, 0xa5), bytes.subarray(at + 64)]))
    try {
      const job = await stepped(start(app))
      expect([job.status, job.error?.code]).toEqual(['failed', 'ARCHIVE_DAMAGED'])
      expect(await databases()).toEqual([])
    } finally {
      fs.writeFileSync(file, bytes)
    }
  })

  test('processes killed with SIGKILL, backing up and restoring: every row once, and nothing left behind', async () => {
    await inFolder('postgres-load', SEED, async (folder) => {
      const saved = placeIn(folder, 'saved')
      createJobOf(
        saved,
        sampleSpec({
          ...{ sources: [], type: 'databases', databases: [access()], archive: 'shop', output: saved.output },
          ...{ pacing: { minMs: 0, maxMs: 150, bias: 100 }, deflate: 2 << 20 },
        }),
      )
      const plan = { sliceMs: 150, when: 'mixed', threads: 1 } as const
      const first = await killLoop(saved, plan, seeded(SEED))
      const place = placeIn(folder, 'load')
      const name = fs.readdirSync(saved.output).find((one) => one.endsWith('.zip')) ?? ''
      createJobOf(place, {
        ...{
          kind: 'restore',
          profile: 0,
          description: '',
          comment: '',
          archive: path.join(saved.output, name),
          target: '',
        },
        databases: [{ ...access(), name: 'shop', database: 'copy', mode: 'new' }],
        ...{ mode: 'new', patterns: [], salvage: false, owners: false, setuid: false, outsideLinks: false },
        ...{ skipInstallation: true, limits: { ratio: 1000, entries: 1e7, bytes: 1e12 } },
        pacing: { minMs: 0, maxMs: 150, bias: 100 },
      })
      const second = await killLoop(place, plan, seeded(SEED + 1))
      expect([first.last.status, second.last.status]).toEqual(['completed', 'completed'])
      expect([first.kills > 0, second.kills > 0]).toEqual([true, true])
      expect(stateOf('copy')).toBe(original)
      expect([strays(saved, true), strays(place, true)]).toEqual([[], []])
    })
  }, 240_000)
})
