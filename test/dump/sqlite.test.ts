import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DumpEnd } from '../../src/dump/dumper.ts'
import type { CopyLimits } from '../../src/dump/messages.ts'
import { copyDatabase } from '../../src/dump/sqlite-copy.ts'
import { SQLITE_LIMITS, SqliteDumper, type SqliteOptions } from '../../src/dump/sqlite.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { temporaryFolder } from '../helpers/tree.ts'
import { crashWriter, faultsOfBank, transactions, makeBank, picture, startWriter, type Mode } from './database.ts'

let folder: ReturnType<typeof temporaryFolder>
let source: string
let out: string
beforeEach(() => {
  folder = temporaryFolder()
  source = path.join(folder.path, 'source')
  out = path.join(folder.path, 'out')
  fs.mkdirSync(source)
  fs.mkdirSync(out)
})
afterEach(() => folder[Symbol.dispose]())

const copied = (): string => path.join(out, 'copy.sqlite')

/** Copies to the end. */
async function copy(file: string | Buffer, options: Partial<SqliteOptions> = {}): Promise<DumpEnd> {
  using dumper = new SqliteDumper(systemClock, options)
  return await copyBy(dumper, file)
}

async function copyBy(dumper: SqliteDumper, file: string | Buffer, to = copied()): Promise<DumpEnd> {
  const bytes = Buffer.from(file)
  const { dev, ino } = fs.lstatSync(bytes, { bigint: true })
  const dump = dumper.begin({ path: bytes, dev, ino, to })
  for (;;) {
    const end = await dump.wait(1000)
    if (end !== null) return end
  }
}

function facts(end: DumpEnd): object {
  if (!end.ok || end.facts === null) throw new Error(JSON.stringify(end))
  return end.facts
}

test.each<[Mode]>([['delete'], ['wal'], ['truncate'], ['persist']])('a quiet database in mode %s', async (mode) => {
  const file = path.join(source, 'bank.db')
  makeBank(file, { mode })
  const before = picture(source)
  expect(facts(await copy(file))).toEqual({
    type: 'sqlite',
    consistency: 'snapshot',
    integrity: 'ok',
    rows: { accounts: 100, ballast: 200, counter: 1, log: 0 },
    tables: 4,
    pageSize: 4096,
    pages: fs.statSync(copied()).size / 4096,
    encoding: 'UTF-8',
    userVersion: 77,
    applicationId: 4711,
    journal: mode === 'wal' ? 'wal' : 'rollback',
  })
  expect(faultsOfBank(copied())).toEqual([])
  expect(picture(source)).toEqual(before)
  expect(fs.readdirSync(out)).toEqual(['copy.sqlite'])
  expect(fs.statSync(copied()).mode & 0o777).toBe(0o600)
})

test.each<[Mode]>([['delete'], ['wal']])('a busy database in mode %s: one moment of it', async (mode) => {
  const file = path.join(source, 'bank.db')
  makeBank(file, { mode, ballast: 5000 })
  await using _ = await startWriter(file, mode)
  using dumper = new SqliteDumper(systemClock)
  let last = -1
  for (let n = 0; n < 5; n++) {
    const to = path.join(out, `copy-${n}.sqlite`)
    expect(await copyBy(dumper, file, to)).toMatchObject({ ok: true })
    expect(faultsOfBank(to)).toEqual([])
    expect(transactions(to)).toBeGreaterThan(last)
    last = transactions(to)
  }
})

test.each<[Mode]>([['delete'], ['wal']])(
  'what a writer killed in mid-transaction left (%s) is mended in the copy, not in the source',
  async (mode) => {
    const file = path.join(source, 'bank.db')
    makeBank(file, { mode })
    crashWriter(file, mode)
    expect(fs.readdirSync(source).length).toBeGreaterThan(1)
    const before = picture(source)
    expect(await copy(file)).toMatchObject({ ok: true })
    expect(picture(source)).toEqual(before)
    expect(faultsOfBank(copied())).toEqual([])
    expect(transactions(copied())).toBe(20)
  },
)

test('a log without its index, as left by a crash and a move, is taken with the database', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file, { mode: 'wal' })
  crashWriter(file, 'wal')
  fs.rmSync(`${file}-shm`)
  const before = picture(source)
  expect(await copy(file)).toMatchObject({ ok: true })
  expect(picture(source)).toEqual(before)
  expect(transactions(copied())).toBe(20)
})

test.each([512, 1024, 8192, 32_768, 65_536])('pages of %i bytes', async (pageSize) => {
  const file = path.join(source, 'bank.db')
  makeBank(file, { pageSize, mode: 'wal' })
  expect(facts(await copy(file))).toMatchObject({ pageSize })
  expect(faultsOfBank(copied())).toEqual([])
})

test('names of tables and of the file are any text; all kinds of tables', async () => {
  const file = Buffer.concat([Buffer.from(`${source}/%2e?x#ä `), Buffer.from([0xff, 0x0a]), Buffer.from('".db')])
  const made = path.join(source, 'made.db')
  {
    using db = new DatabaseSync(made)
    db.exec(`
      PRAGMA encoding='UTF-16le';
      CREATE TABLE "a ""quoted"" 'one'; DROP TABLE x; --" (x);
      CREATE TABLE "__proto__" (x);
      CREATE TABLE ${'"l\nine"'} (x);
      CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
      CREATE TABLE s (a INTEGER, b TEXT) STRICT;
      CREATE VIRTUAL TABLE f USING fts5 (body);
      CREATE VIRTUAL TABLE r USING rtree (id, x0, x1);
      CREATE VIEW v AS SELECT * FROM nowhere;
      INSERT INTO "__proto__" VALUES (9007199254740993), (CAST(x'ff80' AS TEXT));
      INSERT INTO w VALUES ('a', 1), ('b', 2);
      INSERT INTO s VALUES (1, 'x');
      INSERT INTO f VALUES ('one two'), ('three');
      INSERT INTO r VALUES (1, 0, 1);
    `)
  }
  fs.renameSync(made, file)
  const { rows, encoding, integrity } = facts(await copy(file)) as {
    rows: Record<string, number>
    encoding: string
    integrity: string
  }
  expect({ encoding, integrity }).toEqual({ encoding: 'UTF-16le', integrity: 'ok' })
  expect(Object.entries(rows).filter(([name]) => !/^[fr]_/.test(name))).toEqual([
    ['__proto__', 2],
    [`a "quoted" 'one'; DROP TABLE x; --`, 0],
    ['f', 2],
    ['l\nine', 0],
    ['r', 1],
    ['s', 1],
    ['w', 2],
  ])
})

test('a database that needs functions of its own program is copied, and it is said what was not checked', async () => {
  const file = path.join(source, 'own.db')
  {
    using db = new DatabaseSync(file)
    db.function('own', { deterministic: true }, (x) => x)
    db.exec('CREATE TABLE a (x); CREATE INDEX i ON a (own(x)); INSERT INTO a VALUES (1); CREATE TABLE b (y)')
  }
  expect(facts(await copy(file))).toMatchObject({ integrity: 'not checked: a', rows: { a: 1, b: 0 } })
})

function damage(file: string, from: number, length: number): void {
  const fd = fs.openSync(file, 'r+')
  fs.writeSync(fd, Buffer.alloc(length, 0x5a), 0, length, from)
  fs.closeSync(fd)
}

test('a page that is damaged is found, and copied as it is', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file)
  damage(file, 4096, 4096)
  expect(facts(await copy(file))).toMatchObject({
    integrity: expect.stringMatching(/^damaged: /),
    rows: { ballast: 200 },
  })
  expect(fs.readFileSync(copied()).subarray(100)).toEqual(fs.readFileSync(file).subarray(100))
  expect(fs.readdirSync(out)).toEqual(['copy.sqlite'])
})

test('rows that their table would not take any more are no damage', async () => {
  const file = path.join(source, 'old.db')
  {
    using db = new DatabaseSync(file)
    db.enableDefensive(false)
    db.exec(`CREATE TABLE a (x); INSERT INTO a VALUES (NULL); PRAGMA writable_schema=ON;
      UPDATE sqlite_schema SET sql = 'CREATE TABLE a (x NOT NULL)'`)
  }
  expect(await copy(file)).toMatchObject({
    facts: { integrity: 'ok, but rows break the rules of their tables: NULL value in a.x' },
    notes: [expect.stringMatching(/NULL value/)],
  })
})

test('what SQLite cannot open is refused, and no copy is left', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file)
  damage(file, 100, 4000)
  expect(await copy(file)).toMatchObject({ ok: false, code: 'DATABASE_DAMAGED' })
  expect(fs.readdirSync(out)).toEqual([])
})

test('rows whose index has lost them are found', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file)
  {
    using db = new DatabaseSync(file)
    db.enableDefensive(false)
    db.exec("INSERT INTO log (text) VALUES ('a'), ('b'); PRAGMA writable_schema=ON")
    const root = Number(db.prepare("SELECT rootpage AS r FROM sqlite_schema WHERE name = 'log_text'").get()?.['r'])
    db.exec(`UPDATE sqlite_schema SET rootpage = ${root} WHERE name = 'counter'`)
  }
  expect(facts(await copy(file))).toMatchObject({ integrity: expect.stringMatching(/^damaged: /) })
})

/** In this process, so that the disk and the moments between two batches are in our hands. */
async function copyHere(
  file: string,
  disk: Disk,
  tell: () => void,
  limits: Partial<CopyLimits> = {},
): Promise<unknown> {
  const { dev, ino } = fs.lstatSync(file, { bigint: true })
  const { busyMs, countMs, restarts } = SQLITE_LIMITS
  const order = { path: Buffer.from(file), dev, ino, to: copied(), limits: { busyMs, countMs, restarts, ...limits } }
  return await copyDatabase(order, { disk, clock: systemClock, tell })
}

test('a writer in each gap between two batches: no more than the allowed restarts, then the rest in one go', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file, { ballast: 12_000 })
  using db = new DatabaseSync(file, { timeout: 0 })
  let written = 0
  const write = (): void => {
    try {
      db.exec('UPDATE counter SET total = total + 1')
      written++
    } catch (error) {
      expect(error).toMatchObject({ errcode: 5 })
    }
  }
  expect(await copyHere(file, realDisk, write, { busyMs: 1500 })).toMatchObject({
    ok: true,
    notes: [expect.stringMatching(/in one go/)],
  })
  expect(written).toBeGreaterThan(1)
  expect(faultsOfBank(copied())).toEqual([])
})

test('the last program closes the database just as we look: nothing is left beside it', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file, { mode: 'wal' })
  const db = new DatabaseSync(file)
  db.exec('UPDATE counter SET total = total + 1')
  const before = fs.readdirSync(source)
  expect(before).toEqual(['bank.db', 'bank.db-shm', 'bank.db-wal'])
  let closed = false
  const disk: Disk = {
    ...realDisk,
    lstat(at) {
      const stat = realDisk.lstat(at)
      if (!closed && at.toString().endsWith('-shm')) {
        closed = true
        db.close()
      }
      return stat
    },
  }
  expect(await copyHere(file, disk, () => undefined)).toMatchObject({ ok: true })
  expect(fs.readdirSync(source)).toEqual(['bank.db'])
  expect(transactions(copied())).toBe(1)
})

test('a database that stays locked is given up by name, and waited for as long as allowed', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file)
  using db = new DatabaseSync(file)
  db.exec('BEGIN EXCLUSIVE')
  const began = systemClock.mono()
  expect(await copy(file, { busyMs: 1000 })).toMatchObject({ ok: false, code: 'DATABASE_BUSY' })
  expect(systemClock.mono() - began).toBeGreaterThan(900)
  expect(fs.readdirSync(out)).toEqual([])
  const later = copy(file, { busyMs: 20_000 })
  await systemClock.sleep(600)
  db.exec('COMMIT')
  expect(await later).toMatchObject({ ok: true })
})

test('a log that is held by one program alone is not copied past it', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file, { mode: 'wal' })
  using db = new DatabaseSync(file)
  // Without syncs, which on a busy machine take longer than the copy.
  db.exec('PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; UPDATE counter SET n = n + 1')
  const timer = setInterval(() => db.exec('UPDATE counter SET n = n + 1'), 5)
  const end = await copy(file, { busyMs: 1000 }).finally(() => clearInterval(timer))
  expect(end).toMatchObject({ ok: false, code: 'DATABASE_BUSY' })
})

test('an empty file is an empty database; another file under the path is refused; what is gone is gone', async () => {
  const file = path.join(source, 'x.db')
  fs.writeFileSync(file, '')
  expect(await copy(file)).toMatchObject({ ok: true, size: 0, facts: null })
  fs.rmSync(copied())
  fs.writeFileSync(file, 'no database at all')
  expect(await copy(file)).toMatchObject({ ok: false, code: 'SOURCE_CHANGED' })
  using dumper = new SqliteDumper(systemClock)
  const gone = dumper.begin({ path: Buffer.from(`${file}.gone`), dev: 1n, ino: 1n, to: copied() })
  expect(await gone.wait(10_000)).toMatchObject({ ok: false, code: 'SOURCE_NOT_FOUND' })
  const other = dumper.begin({ path: Buffer.from(file), dev: 1n, ino: 1n, to: copied() })
  expect(await other.wait(10_000)).toMatchObject({ ok: false, code: 'SOURCE_CHANGED' })
})

test('counting rows is bounded in time', async () => {
  const file = path.join(source, 'bank.db')
  makeBank(file, { ballast: 50_000 })
  expect(facts(await copy(file, { countMs: 1 }))).toMatchObject({ rows: { ballast: null } })
  fs.rmSync(copied())
  expect(facts(await copy(file))).toMatchObject({ rows: { ballast: 50_000 } })
})
