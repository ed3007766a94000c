import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'

const WRITER = new URL('./processes/writer.ts', import.meta.url).pathname
const SUM = 100_000

export type Mode = 'wal' | 'delete' | 'truncate' | 'persist'

export interface BankOptions {
  readonly mode?: Mode
  readonly pageSize?: number
  /** Rows of ballast, about 1 kB each. */
  readonly ballast?: number
}

/** A database with an invariant that every moment of it keeps. */
export function makeBank(file: string, { mode = 'delete', pageSize = 4096, ballast = 200 }: BankOptions = {}): void {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  using db = new DatabaseSync(file)
  db.exec(`
    PRAGMA page_size=${pageSize};
    PRAGMA synchronous=OFF;
    PRAGMA journal_mode=${mode};
    PRAGMA user_version=77;
    PRAGMA application_id=4711;
    CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, filler TEXT);
    CREATE TABLE log (n INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL);
    CREATE INDEX log_text ON log (text);
    CREATE TABLE counter (n INTEGER NOT NULL, total INTEGER NOT NULL);
    CREATE TABLE ballast (n INTEGER PRIMARY KEY, data BLOB);
    INSERT INTO counter VALUES (0, 0);
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100)
      INSERT INTO accounts SELECT i, ${SUM / 100}, '' FROM c;
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ${ballast})
      INSERT INTO ballast SELECT i, randomblob(1000) FROM c;
  `)
}

/** What is wrong with a copy; empty if nothing is. It must need no side files, and make none. */
export function faultsOfBank(file: string): string[] {
  const before = fs.readdirSync(path.dirname(file))
  const faults: string[] = []
  {
    using db = new DatabaseSync(file, { readOnly: true })
    const one = (sql: string): unknown => Object.values(db.prepare(sql).get() ?? {})[0]
    const integrity = one('PRAGMA integrity_check')
    if (integrity !== 'ok') faults.push(`integrity_check: ${String(integrity)}`)
    if (one('PRAGMA journal_mode') !== 'delete') faults.push(`journal mode ${String(one('PRAGMA journal_mode'))}`)
    if (one('SELECT sum(balance) FROM accounts') !== SUM) faults.push('the sum of the accounts is wrong')
    const log = one('SELECT count(*) FROM log')
    if (log !== one('SELECT n FROM counter'))
      faults.push(`the log has ${String(log)} lines, the counter another number`)
    if (one('PRAGMA user_version') !== 77) faults.push('user_version is lost')
    if (one('PRAGMA application_id') !== 4711) faults.push('application_id is lost')
  }
  const base = path.basename(file)
  const beside = [...before, ...fs.readdirSync(path.dirname(file))].filter((n) => n !== base && n.includes(base))
  if (beside.length > 0) faults.push(`side files: ${beside.join(', ')}`)
  return faults
}

/** Transactions so far: how far writers had come at that moment. */
export function transactions(file: string): number {
  using db = new DatabaseSync(file, { readOnly: true, timeout: 10_000 })
  return Number(db.prepare('SELECT total FROM counter').get()?.['total'])
}

/** A writer in a process of its own; resolves once it writes. Killed when disposed. */
export async function startWriter(file: string, mode: Mode, pauseMs = 0): Promise<AsyncDisposable> {
  const child = spawn(process.execPath, ['--no-warnings', WRITER, file, mode, String(pauseMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.stdout.resume()
  return { [Symbol.asyncDispose]: () => end(child) }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** A writer that dies in the middle of a transaction and leaves its journal or log behind. */
export function crashWriter(file: string, mode: Mode): void {
  spawnSync(process.execPath, ['--no-warnings', WRITER, file, mode, '0', 'crash'], { stdio: 'inherit' })
}

/** All names below a folder with size, times and content. */
export function picture(folder: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name)
    const { mtimeNs, mode } = fs.lstatSync(file, { bigint: true })
    const content = entry.isFile() ? createHash('sha256').update(fs.readFileSync(file)).digest('hex') : 'folder'
    found[path.relative(folder, file)] = `${mode} ${mtimeNs} ${content}`
  }
  return found
}
