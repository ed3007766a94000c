import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { isEnded, outcome, type JobView } from '../../src/engine/job.ts'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { faultsOfBank, transactions, makeBank, picture, startWriter, crashWriter } from '../dump/database.ts'
import { SpineWorld } from '../engine/spine-world.ts'

let world: SpineWorld
let app: App
beforeEach(async () => {
  world = new SpineWorld()
  app = await world.app()
})
afterEach(() => world[Symbol.asyncDispose]())

const inSource = (name: string): string => path.join(world.source, name)
const elsewhere = (name: string): string => path.join(world.folder, 'elsewhere', name)

/** Restores the archive of a backup into a new folder and gives its path. */
async function restored(backup: JobView, name = 'restored'): Promise<string> {
  expect([backup.status, backup.error]).toEqual(['completed', null])
  const target = path.join(world.folder, name)
  let job = await app.engine.start({ kind: 'restore', archive: backup.number, target, skipInstallation: false })
  for (let n = 0; !isEnded(job) && n < 200; n++) job = await app.engine.step(job.number)
  expect([outcome(job), job.error]).toEqual(['completed', null])
  return target
}

interface Line {
  p: string
  o?: string
  b?: { rows: Record<string, number>; journal: string; integrity: string }
}
function manifest(target: string): Line[] {
  const text = fs.readFileSync(path.join(target, 'installation/manifest.jsonl'), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}
const line = (target: string, name: string): Line | undefined => manifest(target).find(({ p }) => p === name)
const summary = (target: string): { databases: { total: number; stored: object[] } } =>
  JSON.parse(fs.readFileSync(path.join(target, 'installation/manifest.json'), 'utf8')) as {
    databases: { total: number; stored: object[] }
  }
const names = (target: string, below: string): string[] => fs.readdirSync(path.join(target, below)).toSorted()

test.each(['delete', 'wal'] as const)(
  'a database in use (%s) is met in a source and stored at its place',
  async (mode) => {
    makeBank(inSource('app/bank.db'), { mode })
    fs.chmodSync(inSource('app/bank.db'), 0o640)
    await using _ = await startWriter(inSource('app/bank.db'), mode)
    const backup = await world.backup(app)
    const target = await restored(backup)
    expect(outcome(backup)).toBe('completed')
    expect(names(target, 'source/app')).toEqual(['bank.db'])
    expect(faultsOfBank(path.join(target, 'source/app/bank.db'))).toEqual([])
    expect(fs.statSync(path.join(target, 'source/app/bank.db')).mode & 0o777).toBe(0o640)
    const { b } = line(target, 'source/app/bank.db') ?? {}
    expect(b).toMatchObject({ integrity: 'ok', journal: mode === 'wal' ? 'wal' : 'rollback', rows: { accounts: 100 } })
    expect(b?.rows['log']).toBeGreaterThan(0)
    expect(summary(target).databases).toMatchObject({
      total: 1,
      stored: [{ path: 'source/app/bank.db', names: [], type: 'sqlite', consistency: 'snapshot', integrity: 'ok' }],
    })
  },
)

test('side files are left out with their reason, the source stays as it is, times and mode are kept', async () => {
  makeBank(inSource('bank.db'), { mode: 'wal' })
  crashWriter(inSource('bank.db'), 'wal')
  fs.utimesSync(inSource('bank.db'), 1_000_000_000, 1_234_567_890)
  const before = picture(world.source)
  const target = await restored(await world.backup(app))
  expect(picture(world.source)).toEqual(before)
  expect(names(target, 'source')).toEqual(['a.txt', 'bank.db'])
  expect(fs.statSync(path.join(target, 'source/bank.db')).mtimeMs).toBeCloseTo(1_234_567_890_000)
  expect(['-wal', '-shm'].map((suffix) => line(target, `source/bank.db${suffix}`)?.o)).toEqual([
    'database_side_file',
    'database_side_file',
  ])
  expect(transactions(path.join(target, 'source/bank.db'))).toBe(20)
})

test('as files if asked for: raw, with side files, and a warning', async () => {
  makeBank(inSource('bank.db'), { mode: 'wal' })
  crashWriter(inSource('bank.db'), 'wal')
  const sources = [{ type: 'directory', path: world.source, xattrs: false, databases: 'raw' } as const]
  const backup = await world.backup(app, { sources })
  expect(outcome(backup)).toBe('completed_with_warnings')
  const target = await restored(backup)
  expect(names(target, 'source')).toEqual(['a.txt', 'bank.db', 'bank.db-shm', 'bank.db-wal'])
  for (const name of names(target, 'source')) {
    expect(fs.readFileSync(path.join(target, 'source', name))).toEqual(fs.readFileSync(inSource(name)))
  }
})

test('what only looks like a database is a file: empty, encrypted, a name alone', async () => {
  const files = {
    'empty.db': Buffer.alloc(0),
    'encrypted.db': Buffer.alloc(4096, 0x5a),
    'sample.db': Buffer.from('SQLite format 3\0'.padEnd(1024, 'x')),
    'notes-wal': Buffer.from('a diary'),
  }
  for (const [name, bytes] of Object.entries(files)) world.file(name, bytes)
  const backup = await world.backup(app)
  expect(outcome(backup)).toBe('completed')
  const target = await restored(backup)
  for (const [name, bytes] of Object.entries(files)) {
    expect(fs.readFileSync(path.join(target, 'source', name))).toEqual(bytes)
  }
})

test('two names of one database: one copy, twice the same', async () => {
  makeBank(inSource('a.db'))
  fs.linkSync(inSource('a.db'), inSource('z.db'))
  await using _ = await startWriter(inSource('a.db'), 'delete')
  const target = await restored(await world.backup(app))
  const [one, other] = ['a.db', 'z.db'].map((name) => fs.readFileSync(path.join(target, 'source', name)))
  expect(one?.equals(other ?? Buffer.alloc(0))).toBe(true)
  expect(faultsOfBank(path.join(target, 'source/z.db'))).toEqual([])
})

test('a named database goes to databases/<name>/; one that lies in a source is stored there, once', async () => {
  makeBank(elsewhere('shop.db'), { mode: 'wal' })
  makeBank(inSource('deep/bank.db'))
  fs.symlinkSync(inSource('deep/bank.db'), path.join(world.folder, 'link.db'))
  const databases: BackupSpec['databases'] = [
    { type: 'sqlite', path: elsewhere('shop.db'), name: 'shop' },
    { type: 'sqlite', path: path.join(world.folder, 'link.db') },
    { type: 'sqlite', path: elsewhere('shop.db') },
  ]
  const backup = await world.backup(app, { databases })
  expect(outcome(backup)).toBe('completed')
  const target = await restored(backup)
  expect(names(target, 'databases')).toEqual(['shop', 'shop.db'])
  for (const copy of ['databases/shop/shop.db', 'databases/shop.db/shop.db', 'source/deep/bank.db']) {
    expect(faultsOfBank(path.join(target, copy))).toEqual([])
  }
  expect(summary(target).databases.stored).toMatchObject([
    { path: 'databases/shop/shop.db', names: ['shop'] },
    { path: 'databases/shop.db/shop.db', names: ['shop.db'] },
    { path: 'source/deep/bank.db', names: ['link.db'] },
  ])
  expect(backup.parts.map(({ name, status }) => `${name} ${status}`)).toEqual([
    'source completed',
    'databases/shop completed',
    'databases/link.db completed',
    'databases/shop.db completed',
  ])
})

test('a named database that the rules of its source leave out is stored all the same', async () => {
  makeBank(inSource('bank.db'))
  const sources: BackupSpec['sources'] = [{ type: 'directory', path: world.source, xattrs: false, exclude: ['*.db'] }]
  const databases = [{ type: 'sqlite', path: inSource('bank.db') } as const]
  const target = await restored(await world.backup(app, { sources, databases }))
  expect(names(target, 'source')).toEqual(['a.txt'])
  expect(faultsOfBank(path.join(target, 'databases/bank.db/bank.db'))).toEqual([])
})

test('only databases, only files', async () => {
  makeBank(elsewhere('shop.db'))
  makeBank(inSource('bank.db'))
  const databases = [{ type: 'sqlite', path: elsewhere('shop.db') } as const]
  const only = await world.backup(app, { sources: [], databases, type: 'databases' })
  expect([outcome(only), only.plan]).toEqual(['completed', ['init', 'installer', 'db', 'seal', 'verify', 'publish']])
  const target = await restored(only, 'only')
  expect(names(target, '.')).toEqual(['databases', 'installation'])
  const files = await world.backup(app, { databases, type: 'files', archive: 'files' })
  const other = await restored(files, 'files')
  expect(names(other, '.')).toEqual(['installation', 'source'])
  expect(faultsOfBank(path.join(other, 'source/bank.db'))).toEqual([])
})

test('a source that is called databases keeps out of the way of those', async () => {
  makeBank(elsewhere('shop.db'))
  const sources = [{ type: 'directory', path: world.source, label: 'databases', xattrs: false } as const]
  const databases = [{ type: 'sqlite', path: elsewhere('shop.db') } as const]
  const target = await restored(await world.backup(app, { sources, databases }))
  expect(names(target, '.')).toEqual(['databases', 'databases-2', 'installation'])
})

function damage(file: string): void {
  const fd = fs.openSync(file, 'r+')
  fs.writeSync(fd, Buffer.alloc(4096, 0x5a), 0, 4096, 4096)
  fs.closeSync(fd)
}

test('a damaged database that was only met is stored as it is, with a warning', async () => {
  makeBank(inSource('bank.db'))
  damage(inSource('bank.db'))
  const backup = await world.backup(app)
  expect(outcome(backup)).toBe('completed_with_warnings')
  expect(backup.warnings.recent.map(({ message }) => message)).toEqual([
    expect.stringMatching(/source\/bank\.db: .*damaged.*stored/),
  ])
  const target = await restored(backup)
  expect(names(target, 'source')).toEqual(['a.txt', 'bank.db'])
  const lines = manifest(target).filter(({ p }) => p === 'source/bank.db')
  expect(lines.map(({ o, b }) => o ?? b?.integrity)).toEqual([expect.stringMatching(/^damaged: /), 'database_damaged'])
})

test('one that was cut off within a page is no ordinary file: its warning says what it is', async () => {
  makeBank(inSource('bank.db'))
  fs.truncateSync(inSource('bank.db'), 5_000)
  const backup = await world.backup(app)
  expect(outcome(backup)).toBe('completed_with_warnings')
  expect(backup.warnings.recent.map(({ message }) => message)).toEqual([
    expect.stringMatching(/source\/bank\.db: .*stored/),
  ])
  const target = await restored(backup)
  expect(fs.readFileSync(path.join(target, 'source/bank.db'))).toEqual(fs.readFileSync(inSource('bank.db')))
})

test.each([
  ['met in a source', () => inSource('bank.db'), 'source/bank.db'],
  ['named alone', () => elsewhere('bank.db'), 'databases/bank.db/bank.db'],
])(
  'a damaged database that was named (%s) fails the run, or its part if the run can do without',
  async (_, at, stored) => {
    makeBank(at())
    damage(at())
    const database = { type: 'sqlite', path: at() } as const
    const failed = await world.backup(app, { databases: [database] })
    expect([failed.status, failed.error?.code]).toEqual(['failed', 'DATABASE_DAMAGED'])
    expect(failed.error?.message).toContain(at())
    const partial = await world.backup(app, { databases: [{ ...database, critical: false }], archive: 'partial' })
    expect(outcome(partial)).toBe('partial')
    expect(partial.parts.find(({ name }) => name === 'databases/bank.db')).toMatchObject({ status: 'failed' })
    expect(fs.existsSync(path.join(await restored(partial), stored))).toBe(true)
  },
)

test('what begins like a database but is none for SQLite is a file, and what lies beside it too', async () => {
  makeBank(inSource('secret.db'), { mode: 'wal' })
  crashWriter(inSource('secret.db'), 'wal')
  // As some encrypted databases look: the beginning in clear text.
  const bytes = fs.readFileSync(inSource('secret.db'))
  fs.writeFileSync(inSource('secret.db'), bytes.fill(0x5a, 32))
  for (const xattrs of [false, true]) {
    const sources = [{ type: 'directory', path: world.source, xattrs } as const]
    const backup = await world.backup(app, { sources, archive: `secret-${String(xattrs)}` })
    expect(outcome(backup)).toBe('completed_with_warnings')
    expect(backup.warnings.recent.map(({ message }) => message)).toEqual([
      expect.stringMatching(/source\/secret\.db: the database could not be copied: .*; it was stored as a file/),
    ])
    const target = await restored(backup, `restored-${String(xattrs)}`)
    for (const name of ['secret.db', 'secret.db-wal']) {
      expect(fs.readFileSync(path.join(target, 'source', name))).toEqual(fs.readFileSync(inSource(name)))
    }
  }
})

test('a copy made by another name, which has no log, is not taken for one that has', async () => {
  makeBank(inSource('bank.db'), { mode: 'wal' })
  crashWriter(inSource('bank.db'), 'wal')
  fs.linkSync(inSource('bank.db'), inSource('0-before.db'))
  fs.linkSync(inSource('bank.db'), inSource('z-after.db'))
  const target = await restored(await world.backup(app))
  expect(transactions(path.join(target, 'source/bank.db'))).toBe(20)
  expect(transactions(path.join(target, 'source/z-after.db'))).toBe(20)
  expect(faultsOfBank(path.join(target, 'source/0-before.db'))).toEqual([])
})

test('a database that is replaced just before it is copied: the new one is taken', async () => {
  makeBank(inSource('bank.db'))
  makeBank(elsewhere('new.db'), { ballast: 300 })
  let replaced = false
  const disk: Disk = {
    ...realDisk,
    open(at, mode) {
      const fd = realDisk.open(at, mode)
      if (!replaced && at.toString().endsWith('bank.db')) {
        replaced = true
        fs.renameSync(elsewhere('new.db'), inSource('bank.db'))
      }
      return fd
    },
  }
  const other = await world.app({ disk, data: 'other' })
  const backup = await world.backup(other)
  expect([replaced, outcome(backup)]).toEqual([true, 'completed'])
  const target = path.join(world.folder, 'restored')
  let job = await other.engine.start({ kind: 'restore', archive: backup.number, target })
  for (let n = 0; !isEnded(job) && n < 200; n++) job = await other.engine.step(job.number)
  using db = new DatabaseSync(path.join(target, 'source/bank.db'), { readOnly: true })
  expect(db.prepare('SELECT count(*) AS n FROM ballast').get()).toEqual({ n: 300 })
})

test.each([
  ['missing', () => undefined, 'SOURCE_NOT_FOUND'],
  ['no database', () => world.file('x.db', 'plain text'), 'SOURCE_UNREADABLE'],
])('a named database that is %s is refused at once', async (_, make, code) => {
  make()
  const failed = await world.backup(app, { databases: [{ type: 'sqlite', path: inSource('x.db') }] })
  expect([failed.status, failed.error?.code, failed.steps]).toEqual(['failed', code, 1])
})

test('a copy that takes many steps goes on in its process, and the archive keeps nothing of it', async () => {
  makeBank(elsewhere('shop.db'), { ballast: 30_000 })
  const spec = world.spec({
    sources: [],
    type: 'databases',
    databases: [{ type: 'sqlite', path: elsewhere('shop.db') }],
    pacing: { minMs: 0, maxMs: 20, bias: 100 },
  })
  let job = await app.engine.start({ kind: 'backup', spec })
  const seen = new Set<string>()
  for (let n = 0; !isEnded(job) && n < 500; n++) {
    seen.add(job.domain)
    job = await app.engine.step(job.number)
  }
  expect(job.warnings.recent).toEqual([])
  expect(seen).toContain('db')
  const target = await restored(job)
  expect(faultsOfBank(path.join(target, 'databases/shop.db/shop.db'))).toEqual([])
  expect(fs.readdirSync(world.output)).toEqual(['site.zip'])
  using db = new DatabaseSync(path.join(target, 'databases/shop.db/shop.db'), { readOnly: true })
  expect(db.prepare('SELECT count(*) AS n FROM ballast').get()).toEqual({ n: 30_000 })
})
