import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it, onTestFinished } from 'vitest'
import { Bank, fileIn, proveBank } from '../../bench/demo/bank.ts'

function site(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-bank-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true }))
  return folder
}

it(
  'is written to while it is open, keeps its invariant, and is left in peace afterwards',
  { timeout: 60_000 },
  async () => {
    const folder = site()
    const bank = new Bank(folder)
    expect(proveBank(folder)).toEqual({ transfers: 0, faults: [] })
    await bank.open()
    expect(fs.readdirSync(path.join(folder, 'database')).toSorted()).toEqual(['bank.db', 'bank.db-shm', 'bank.db-wal'])
    const first = bank.transfers()
    while (bank.transfers() < first + 20) await new Promise((resolve) => setTimeout(resolve, 10))
    await bank.close()
    const last = bank.transfers()
    expect(proveBank(folder)).toEqual({ transfers: last, faults: [] })
    expect(bank.transfers()).toBe(last)
  },
)

const spoilt: [string, string, RegExp][] = [
  ['money that was made', 'UPDATE account SET balance = balance + 1 WHERE id = 3', /the accounts hold 1000001 instead/],
  ['a transfer that is missing', 'UPDATE counter SET transfers = 1', /the counter says 1, but there are 0/],
]
it.each(spoilt)('sees %s', (_name, sql, said) => {
  const folder = site()
  void new Bank(folder)
  const database = new DatabaseSync(fileIn(folder))
  database.exec(sql)
  database.close()
  expect(proveBank(folder).faults).toEqual([expect.stringMatching(said)])
})
