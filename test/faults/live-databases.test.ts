import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { isEnded, outcome, type JobView } from '../../src/engine/job.ts'
import type { App } from '../../src/app.ts'
import { faultsOfBank, transactions, makeBank, picture, startWriter, type Mode } from '../dump/database.ts'
import { SpineWorld } from '../engine/spine-world.ts'
import { LONG } from './kill9-world.ts'

/** Backups in all, each of several copies: 200 with `RATCHET_LONG=1`. */
const RUNS = LONG ? 200 : 20
const WRITERS = 2

async function stepped(app: App, start: Promise<JobView>): Promise<JobView> {
  let job = await start
  for (let n = 0; !isEnded(job) && n < 2000; n++) job = await app.engine.step(job.number)
  return job
}

async function restored(world: SpineWorld, app: App, backup: JobView): Promise<string> {
  expect([outcome(backup), backup.error, backup.warnings.recent]).toEqual(['completed', null, []])
  const target = path.join(world.folder, `restored-${backup.number}`)
  const job = await stepped(app, app.engine.start({ kind: 'restore', archive: backup.number, target }))
  expect([outcome(job), job.error]).toEqual(['completed', null])
  return target
}

/** A file source that holds the database, which is named as well, and the database by its name, in two jobs at once. */
async function pair(world: SpineWorld, app: App, bank: string): Promise<JobView[]> {
  const pacing = { minMs: 0, maxMs: 400, bias: 100 }
  const databases = [{ type: 'sqlite', path: bank } as const]
  const found = world.spec({ pacing, archive: 'found-[number]', databases })
  const named = world.spec({ pacing, archive: 'named-[number]', sources: [], type: 'databases', databases })
  return Promise.all([found, named].map((spec) => stepped(app, app.engine.start({ kind: 'backup', spec }))))
}

/** What the writers have nothing to do with. */
const others = (folder: string): object =>
  Object.fromEntries(Object.entries(picture(folder)).filter(([name]) => !name.startsWith('bank.db')))

test.each<[Mode]>([['delete'], ['wal']])(
  'busy databases (%s), met and named, in two jobs at once: every copy is one moment of it',
  async (mode) => {
    await using world = new SpineWorld()
    const app = await world.app()
    const bank = world.file('bank.db', '')
    world.file('beside/notes.txt', 'plain')
    makeBank(bank, { mode, ballast: 6000 })
    const before = others(world.source)
    await using writers = new AsyncDisposableStack()
    for (let n = 0; n < WRITERS; n++) writers.use(await startWriter(bank, mode, 1))
    // Each round is two backups; both modes together make the number.
    for (let n = 0; n < RUNS / 4; n++) {
      const atLeast = transactions(bank)
      const [met, named] = await pair(world, app, bank)
      if (met === undefined || named === undefined) throw new Error('there are two')
      const copies = [
        path.join(await restored(world, app, met), 'source/bank.db'),
        path.join(await restored(world, app, named), 'databases/bank.db/bank.db'),
      ]
      for (const copy of copies) {
        expect([copy, ...faultsOfBank(copy)]).toEqual([copy])
        expect(transactions(copy)).toBeGreaterThanOrEqual(atLeast)
      }
      for (const number of [met.number, named.number]) {
        fs.rmSync(path.join(world.folder, `restored-${number}`), { recursive: true })
        await app.engine.remove(number)
      }
    }
    await writers.disposeAsync()
    expect(others(world.source)).toEqual(before)
    expect(faultsOfBankInUse(bank)).toEqual([])
    expect(fs.readdirSync(world.output)).toEqual([])
  },
  20 * 60_000,
)

/** The original after all that, its log written back: nothing of it was harmed by being copied. */
function faultsOfBankInUse(bank: string): string[] {
  const copy = `${bank}-after/bank.db`
  fs.mkdirSync(path.dirname(copy))
  for (const suffix of ['', '-wal', '-journal']) {
    if (fs.existsSync(bank + suffix)) fs.copyFileSync(bank + suffix, copy + suffix)
  }
  makeQuiet(copy)
  return faultsOfBank(copy)
}

/** A writer killed at its transaction's beginning leaves a journal that holds nothing yet: only the next writer removes it. */
function makeQuiet(file: string): void {
  using db = new DatabaseSync(file)
  db.exec('PRAGMA journal_mode=DELETE; BEGIN IMMEDIATE; CREATE TABLE quiet (x); DROP TABLE quiet; COMMIT')
}
