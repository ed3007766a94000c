import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { isEnded, outcome, type JobView } from '../../src/engine/job.ts'
import type { LoadRequest } from '../../src/engine/services.ts'
import type { ServerDatabaseSpec } from '../../src/engine/spec.ts'
import { SpineWorld } from '../engine/spine-world.ts'
import { seeded } from '../helpers/random.ts'
import { plainly, stateOf } from '../load/mysql-world.ts'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'
import { killLoop } from './kill9-loop.ts'
import { createJobOf, inFolder, placeIn, SEED, strays } from './kill9-world.ts'

/** Whole restores into a MariaDB: old or new, no row twice, and nothing left of what was given up. */

let server: MariadbServer
let original: Record<string, unknown>
let world: SpineWorld
let app: App
let backup: JobView

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  await server.root.query(`
    CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop;
    CREATE TABLE orders (id INT PRIMARY KEY, body TEXT NOT NULL);
    INSERT INTO orders SELECT seq, REPEAT(SHA1(seq), 20) FROM seq_1_to_30000;
    CREATE TABLE items (n INT PRIMARY KEY AUTO_INCREMENT, o INT, FOREIGN KEY (o) REFERENCES orders (id));
    INSERT INTO items (o) SELECT seq FROM seq_1_to_4000;
    CREATE TABLE loose (n INT, body TEXT); INSERT INTO loose SELECT seq % 7, REPEAT(MD5(seq), 30) FROM seq_1_to_6000;
    CREATE TABLE isam (n INT, body TEXT) ENGINE = MyISAM; INSERT INTO isam SELECT seq % 7, REPEAT(MD5(seq), 30) FROM seq_1_to_6000;
    CREATE VIEW some AS SELECT id FROM orders WHERE id < 10;
    CREATE TRIGGER fires BEFORE INSERT ON orders FOR EACH ROW SET NEW.id = NEW.id + 1000000;
    CREATE DATABASE few; CREATE TABLE few.f (a INT PRIMARY KEY); CREATE VIEW few.fv AS SELECT a FROM few.f;
    CREATE DATABASE lengthy; CREATE TABLE lengthy.l (id INT PRIMARY KEY, b LONGTEXT);
    INSERT INTO lengthy.l VALUES (1, REPEAT('x', 1048576)), (2, REPEAT('yz', 2621440)), (3, 'w')`)
  original = await stateOf(server, 'shop')
  world = new SpineWorld()
  world.file('page.html', 'hello')
  app = await world.app()
  backup = await world.backup(app, {
    databases: [access(), { ...access(), database: 'few' }, { ...access(), database: 'lengthy' }],
    level: 1,
    deflate: 2 << 20,
  })
  expect(outcome(backup)).toBe('completed_with_warnings') // a table without transactions
}, 120_000)
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
})
afterEach(async () => {
  for (const name of await databases()) await server.root.query(`DROP DATABASE \`${name}\``)
})

const access = (): ServerDatabaseSpec => ({ type: 'mysql', socket: server.socket, user: 'root', database: 'shop' })

/** But for the one that was backed up. */
async function databases(): Promise<string[]> {
  if (!hasMariadb) return []
  const [rows] = await server.root.query("SHOW DATABASES LIKE 'copy%'")
  return (rows as Record<string, string>[]).map((row) => Object.values(row)[0] ?? '')
}

interface Asked {
  readonly target?: string
  readonly maxMs?: number
  readonly load?: Partial<LoadRequest>
}

const start = (to: App, { target, maxMs = 60, load = {} }: Asked = {}): Promise<JobView> =>
  to.engine.start({
    ...{ kind: 'restore', archive: backup.number, pacing: { minMs: 0, maxMs, bias: 100 } },
    ...(target === undefined ? {} : { target }),
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

/** Ends every connection but the one that asks. */
async function cutConnections(): Promise<void> {
  const [rows] = await server.root.query(
    'SELECT ID AS id FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()',
  )
  for (const { id } of rows as { id: number }[]) await server.root.query(`KILL ${id}`).catch((error: unknown) => error)
}

describe.skipIf(!hasMariadb)('a restore into MariaDB', () => {
  test('puts the database back under a name, in steps, and its files beside it', async () => {
    const target = path.join(world.folder, 'files')
    const job = await stepped(start(app, { target }))
    expect([job.error, outcome(job), job.steps > 5]).toEqual([null, 'completed', true])
    expect(await stateOf(server, 'copy')).toEqual(original)
    expect(fs.readFileSync(path.join(target, 'source/page.html'), 'utf8')).toBe('hello')
    expect(fs.readdirSync(path.join(target, 'databases')).toSorted()).toEqual(['few', 'lengthy'])
  })

  test('goes on in one process after another: also where rows know no transactions', async () => {
    let job = await start(app, { maxMs: 25 })
    for (let n = 1; !isEnded(job) && n < 3000; n++) {
      await world.close(app)
      app = await world.app()
      job = await app.engine.step(job.number)
    }
    expect([job.error, outcome(job)]).toEqual([null, 'completed'])
    expect(await stateOf(server, 'copy')).toEqual(original)
  }, 240_000)

  test('goes on when its connection is ended, again and again', async () => {
    const job = await stepped(start(app, { load: { mode: 'swap' } }), async (n) => {
      if (n % 3 === 0) await cutConnections()
    })
    expect([job.error, job.status]).toEqual([null, 'completed']) // with warnings: it was tried again
    expect(await stateOf(server, 'copy')).toEqual(original)
    expect(await databases()).toEqual(['copy'])
  }, 240_000)

  test('takes a place and keeps what was there, whose name the log tells', async () => {
    await server.root.query(
      'CREATE DATABASE copy; CREATE TABLE copy.mine (a INT PRIMARY KEY); INSERT INTO copy.mine VALUES (5)',
    )
    const old = await stateOf(server, 'copy')
    const job = await stepped(start(app, { load: { mode: 'swap' } }))
    expect([job.error, outcome(job)]).toEqual([null, 'completed'])
    const { lines } = await app.engine.log(job.number)
    const [, aside = ''] = /is kept as (\S+)/.exec(lines.map(({ message }) => message).join('\n')) ?? []
    expect(plainly(await stateOf(server, 'copy'))).toEqual(plainly(original))
    expect(await stateOf(server, aside)).toEqual(old)
  })

  test.each(['new', 'swap'] as const)('cancelled on the way (%s), it leaves nothing', async (mode) => {
    if (mode === 'swap') await server.root.query('CREATE DATABASE copy; CREATE TABLE copy.mine (a INT PRIMARY KEY)')
    const before = await databases()
    let number = 0
    const job = await stepped(
      start(app, { load: { mode } }).then((one) => {
        number = one.number
        return one
      }),
      async (n) => {
        if (n === 12) await app.engine.cancel(number)
      },
    )
    expect(job.status).toBe('cancelled')
    expect(await databases()).toEqual(before)
  })

  test.each(['new', 'swap'] as const)(
    'of two databases leaves nothing of the first (%s) if the second fails',
    async (mode) => {
      await server.root.query('CREATE DATABASE copy2; CREATE TABLE copy2.mine (a INT)')
      const job = await stepped(
        app.engine.start({
          ...{ kind: 'restore', archive: backup.number, pacing: { minMs: 0, maxMs: 500, bias: 100 } },
          databases: [
            { name: 'shop', database: 'copy', mode },
            { name: 'few', database: 'copy2' },
          ],
        }),
      )
      expect([job.status, job.error?.code]).toEqual(['failed', 'TARGET_EXISTS'])
      expect(await databases()).toEqual(['copy2'])
    },
  )

  test.each([false, true])('with rows that are longer than a step, each in a process of its own: %s', async (alone) => {
    const job = await stepped(start(app, { maxMs: 1, load: { name: 'lengthy' } }), async (n) => {
      expect(n).toBeLessThan(200)
      if (!alone) return
      await world.close(app)
      app = await world.app()
    })
    expect([job.error, outcome(job)]).toEqual([null, 'completed'])
    expect(await stateOf(server, 'copy')).toEqual(await stateOf(server, 'lengthy'))
  })

  test('that is cancelled while its server does not let it in says what is left there', async () => {
    let number = 0
    const begun = start(app, { maxMs: 20 }).then((one) => {
      number = one.number
      return one
    })
    const job = await stepped(begun, async (n) => {
      if (n !== 8) return
      await server.root.query("SET PASSWORD FOR root@localhost = PASSWORD('other')")
      await cutConnections()
      await app.engine.cancel(number)
    })
    await server.root.query("SET PASSWORD FOR root@localhost = ''")
    expect(job.status).toBe('cancelled')
    expect(JSON.stringify(job.warnings)).toContain('what was loaded for copy could not be taken back')
  })

  test('comes to its end in steps that are shorter than any of its pieces, and whoever cancels it too late', async () => {
    for (let late = 0; late < 4; late++) {
      await server.root.query(`CREATE DATABASE copy; CREATE TABLE copy.mine (a INT PRIMARY KEY);
        CREATE VIEW copy.seen AS SELECT a FROM copy.mine; USE copy;
        CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW SET @x = 1`)
      const old = await stateOf(server, 'copy')
      let finishing = 0
      let job = await start(app, { maxMs: 1, load: { name: 'few', mode: 'swap' } })
      for (let n = 0; !isEnded(job) && n < 60; n++) {
        if (job.slots['placing'] !== undefined && finishing++ === late) job = await app.engine.cancel(job.number)
        else job = await app.engine.step(job.number)
      }
      expect([job.error, outcome(job)]).toEqual([null, 'completed'])
      const [copy, aside = ''] = await databases()
      expect([copy, Object.keys(await stateOf(server, 'copy'))]).toEqual([
        'copy',
        ['BASE TABLE f', 'rows of f', 'count of f', 'VIEW fv'],
      ])
      expect(plainly(await stateOf(server, aside))).toEqual(plainly(old))
      for (const name of await databases()) await server.root.query(`DROP DATABASE \`${name}\``)
    }
  })

  test.each([
    ['is not empty', 'TARGET_EXISTS', {}, 'CREATE DATABASE copy; CREATE TABLE copy.mine (a INT)'],
    ['is not in the backup', 'DATABASE_NOT_FOUND', { name: 'other', type: 'mysql', server: 'main' }, 'SELECT 1'],
  ] as const)('a database that %s: refused, and nothing changes', async (_, code, load, sql) => {
    await server.root.query(sql)
    const before = await databases()
    const job = await stepped(start(app, { load }))
    expect([job.status, job.error?.code]).toEqual(['failed', code])
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

  test('by the script alone: it says how the vendor’s client loads what it restored', async () => {
    const [artifact] = await app.engine.artifacts(backup.number)
    const target = path.join(world.folder, 'by-script')
    const script = path.join(world.folder, 'restore.mjs')
    fs.copyFileSync(new URL('../../src/installation/restore.mjs', import.meta.url), script)
    const ran = spawnSync(process.execPath, [script, artifact?.path ?? '', '--to', target], { encoding: 'utf8' })
    expect([ran.status, ran.stderr]).toEqual([0, expect.stringContaining('mariadb (or mysql) NEW < load.sql')])
    const [, folder = ''] = /then cd (.+) && /.exec(ran.stderr) ?? []
    await server.root.query('CREATE DATABASE copy')
    expect(server.client('copy', fs.readFileSync(path.join(folder, 'load.sql')), folder)).toEqual({
      status: 0,
      stderr: '',
    })
    expect(await stateOf(server, 'copy')).toEqual(original)
  })

  test('of an archive named by its path wants somebody who answers for its SQL', async () => {
    const [artifact] = await app.engine.artifacts(backup.number)
    const asked = (load: LoadRequest): Promise<JobView> =>
      app.engine.start({ kind: 'restore', archive: artifact?.path ?? '', databases: [load] })
    await expect(asked({ name: 'shop' })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    const full = { name: 'shop', type: 'mysql', server: 'main' } as const
    await expect(asked(full)).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })

  test('processes killed with SIGKILL: every row once, and nothing left behind', async () => {
    const [artifact] = await app.engine.artifacts(backup.number)
    await inFolder('mysql-load', SEED, async (folder) => {
      const place = placeIn(folder, 'db')
      createJobOf(place, {
        ...{ kind: 'restore', profile: 0, description: '', comment: '', archive: artifact?.path ?? '', target: '' },
        databases: [{ ...access(), name: 'shop', database: 'copy', mode: 'new' }],
        ...{ mode: 'new', patterns: [], salvage: false, owners: false, setuid: false, outsideLinks: false },
        ...{ skipInstallation: true, limits: { ratio: 1000, entries: 1e7, bytes: 1e12 } },
        pacing: { minMs: 0, maxMs: 150, bias: 100 },
      })
      const report = await killLoop(place, { sliceMs: 150, when: 'mixed', threads: 1 }, seeded(SEED))
      expect(report.last.status).toBe('completed')
      expect(report.kills).toBeGreaterThan(0)
      expect(await stateOf(server, 'copy')).toEqual(original)
      expect(strays(place, true)).toEqual([])
    })
  }, 240_000)
})
