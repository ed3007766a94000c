import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The shop's bank: a SQLite database with a write-ahead log, in which a process of its own moves money between accounts
 * as long as it runs. No money is ever made or lost, and the counter says how many transfers there are: whatever copy is
 * taken, at whatever moment, both must hold in it.
 */

export const FOLDER = 'database'
const FILE = 'bank.db'
const ACCOUNTS = 200
export const TOTAL = 1_000_000

const WRITER = path.join(import.meta.dirname, 'bank-writer.ts')

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE transfer (id INTEGER PRIMARY KEY, payer INTEGER, payee INTEGER, amount INTEGER NOT NULL);
  CREATE TABLE counter (transfers INTEGER NOT NULL);
  INSERT INTO counter VALUES (0);
  WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ${ACCOUNTS})
    INSERT INTO account SELECT id, ${TOTAL / ACCOUNTS} FROM n;`

/** What stands in one copy. `faults` is empty if it is whole and the invariant holds. */
export interface Proof {
  transfers: number
  faults: string[]
}

const numberFrom = (database: DatabaseSync, sql: string): number =>
  Number(Object.values(database.prepare(sql).get() ?? {})[0])

export const fileIn = (site: string): string => path.join(site, FOLDER, FILE)

/** Looks into the database of a site, live or restored. */
export function proveBank(site: string): Proof {
  const database = new DatabaseSync(fileIn(site), { readOnly: true, timeout: 5_000 })
  try {
    database.exec('BEGIN') // one moment for all questions, while somebody may be writing
    const whole = String(Object.values(database.prepare('PRAGMA integrity_check').get() ?? {})[0])
    const total = numberFrom(database, 'SELECT sum(balance) FROM account')
    const counted = numberFrom(database, 'SELECT transfers FROM counter')
    const transfers = numberFrom(database, 'SELECT count(*) FROM transfer')
    return {
      transfers,
      faults: [
        ...(whole === 'ok' ? [] : [`integrity_check says ${whole}`]),
        ...(total === TOTAL ? [] : [`the accounts hold ${total} instead of ${TOTAL}`]),
        ...(counted === transfers ? [] : [`the counter says ${counted}, but there are ${transfers} transfers`]),
      ],
    }
  } finally {
    database.close()
  }
}

export class Bank {
  readonly #site: string
  #writer: ChildProcess | null = null

  constructor(site: string) {
    this.#site = site
    fs.mkdirSync(path.join(site, FOLDER))
    const database = new DatabaseSync(fileIn(site))
    database.exec(SCHEMA)
    database.close()
  }

  /** Returns when the first transfers are made. The writer ends with this process, however that ends. */
  async open(): Promise<void> {
    const argv = ['--disable-warning=ExperimentalWarning', WRITER, fileIn(this.#site)]
    this.#writer = spawn(process.execPath, argv, { stdio: ['pipe', 'ignore', 'inherit'] })
    this.#writer.stdin?.on('error', () => undefined) // it may be gone when it is told to go
    for (let left = 200; this.transfers() < 5; left--) {
      if (left === 0 || this.#writer.exitCode !== null) throw new Error('the bank does not open')
      await sleep(50)
    }
  }

  transfers(): number {
    return proveBank(this.#site).transfers
  }

  async close(): Promise<void> {
    const writer = this.#writer
    this.#writer = null
    if (writer === null || writer.exitCode !== null || writer.signalCode !== null) return
    const gone = once(writer, 'exit')
    writer.stdin?.end()
    await gone
  }
}
