import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import { DAMAGED, type DatabaseFacts } from '../lib/database-facts.ts'
import type { Disk } from '../lib/disk.ts'
import { removeIfThere } from '../lib/durable-file.ts'
import { SQLITE_SIDE_FILES } from '../lib/sqlite-header.ts'
import { isCorrupt, isStatement } from './faults.ts'
import type { CopyOrder, CopyWorld } from './sqlite-order.ts'
import { countRows, quoted, tablesOf } from './sqlite-rows.ts'

/** Complaints listed at most: among many about rows, one about pages must not be missed. */
const MOST = 1000
/** Rows that their own table would refuse today, as after a change of its definition: no fault of the file. */
const RULES = /^(NULL value in|CHECK constraint failed in|NUMERIC value in|TEXT value in|non-\w+ value in)/
/** How `integrity` of such a database begins. */
export const BREAKS_RULES = 'ok, but rows break the rules of their tables: '
/** KiB of pages in memory while the copy is checked. */
const CACHE = 32_768

/** Mends and proves a copy as SQLite left it, describes it, and makes it durable. What cannot be opened throws. */
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

/** As `integrity` of the facts. */
function check(db: DatabaseSync): string {
  const found = complaints(db, `integrity_check(${MOST})`)
  if (found !== null) return verdict(found)
  // A table that needs what only the program behind the database has. The others can be checked one by one.
  const unchecked: string[] = []
  const faults: string[] = []
  for (const name of tablesOf(db)) {
    const inTable = complaints(db, `integrity_check(${quoted(name)})`)
    if (inTable === null) unchecked.push(name)
    else faults.push(...inTable)
  }
  if (faults.length > 0) return verdict(faults)
  return `not checked: ${unchecked.join(', ').slice(0, 500) || 'relations between tables'}`
}

function verdict(complaints: readonly string[]): string {
  const faults = complaints.filter((one) => !RULES.test(one))
  if (faults.length > 0) return DAMAGED + faults.join('; ').slice(0, 400)
  return complaints.length === 0 ? 'ok' : BREAKS_RULES + complaints.join('; ').slice(0, 400)
}

/** What the check finds; null if it cannot be made for want of what is no part of the file. */
function complaints(db: DatabaseSync, pragma: string): string[] | null {
  try {
    const rows = db.prepare(`PRAGMA ${pragma}`).all()
    return rows.map((row) => String(Object.values(row)[0])).filter((row) => row !== 'ok')
  } catch (error) {
    if (isStatement(error)) return null
    if (isCorrupt(error) && error instanceof Error) return [error.message]
    throw error
  }
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
