import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import type { DatabaseFacts } from '../lib/database-facts.ts'
import type { Disk } from '../lib/disk.ts'
import { removeIfThere } from '../lib/durable-file.ts'
import { SQLITE_SIDE_FILES } from '../lib/sqlite-header.ts'
import { DatabaseFault, isCorrupt } from './faults.ts'
import type { CopyOrder, CopyWorld } from './sqlite-order.ts'
import { countRows, quoted, tablesOf } from './sqlite-rows.ts'

/** KiB of pages in memory while the copy is checked. */
const CACHE = 32_768
/** What only the program behind a database can provide: no fault of the file. */
const FOREIGN = /no such (collation sequence|function|module|tokenizer)|unknown (function|module|tokenizer)/i

/** Mends and proves a copy as SQLite left it, describes it, and makes it durable. DATABASE_DAMAGED. */
export function finishCopy(
  order: CopyOrder,
  world: CopyWorld,
  journal: 'wal' | 'rollback',
): { size: number; facts: DatabaseFacts } {
  const facts = inspect(order, world, journal)
  for (const suffix of SQLITE_SIDE_FILES) removeIfThere(world.disk, order.to + suffix)
  return { size: makeDurable(world.disk, order.to), facts }
}

function inspect(order: CopyOrder, { tell, clock }: CopyWorld, journal: 'wal' | 'rollback'): DatabaseFacts {
  using db = new DatabaseSync(order.to, { enableForeignKeyConstraints: false, enableDoubleQuotedStringLiterals: true })
  // Nobody else has it, so no file of shared memory is needed; it is synced once, at the end.
  db.exec(
    `PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF; PRAGMA trusted_schema=OFF; PRAGMA cache_size=-${CACHE}`,
  )
  const mode = value(db, 'journal_mode=DELETE')
  if (mode !== 'delete') throw new Error(`the copy stays in journal mode ${String(mode)}`)
  const pages = Number(value(db, 'page_count'))
  tell({ phase: 'check', done: 0, total: pages })
  const integrity = check(db)
  tell({ phase: 'count', done: 0, total: 0 })
  return {
    type: 'sqlite',
    consistency: 'snapshot',
    integrity,
    ...countRows(db, clock, order.limits.countMs),
    pageSize: Number(value(db, 'page_size')),
    pages,
    encoding: String(value(db, 'encoding')),
    userVersion: Number(value(db, 'user_version')),
    applicationId: Number(value(db, 'application_id')),
    journal,
  }
}

function value(db: DatabaseSync, pragma: string): SQLOutputValue | undefined {
  return Object.values(db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]
}

/** `ok`, or what could not be checked for want of a function that only its own program has. */
function check(db: DatabaseSync): string {
  if (checked(db, 'integrity_check(5)')) return 'ok'
  const unchecked = tablesOf(db).filter((name) => !checked(db, `integrity_check(${quoted(name)})`))
  return `not checked: ${unchecked.join(', ').slice(0, 500) || 'relations between tables'}`
}

/** False if the check needs what only the program behind the database has. */
function checked(db: DatabaseSync, pragma: string): boolean {
  let rows: string[]
  try {
    rows = db
      .prepare(`PRAGMA ${pragma}`)
      .all()
      .map((row) => String(Object.values(row)[0]))
  } catch (error) {
    if (isCorrupt(error) || !(error instanceof Error) || !FOREIGN.test(error.message)) throw error
    return false
  }
  const faults = rows.filter((row) => row !== 'ok')
  if (faults.length === 0) return true
  throw new DatabaseFault('DATABASE_DAMAGED', `its integrity check fails: ${faults.join('; ').slice(0, 400)}`)
}

function makeDurable(disk: Disk, file: string): number {
  const fd = disk.open(file, 'update')
  try {
    disk.fsync(fd)
    return disk.fstat(fd).size
  } finally {
    disk.close(fd)
  }
}
