import { damageOf, type DatabaseFacts } from '../lib/database-facts.ts'
import type { Disk, FileStat } from '../lib/disk.ts'
import { removeIfThere } from '../lib/durable-file.ts'
import { isSqlite, readHeader, SQLITE_SIDE_FILES, usesWal } from '../lib/sqlite-header.ts'
import type { DumpEnd } from './dumper.ts'
import { DatabaseFault, faultOf, isBusy, isFull, resultOf, SQLITE } from './faults.ts'
import type { CopyTrouble } from './messages.ts'
import { BREAKS_RULES, finishCopy } from './sqlite-finish.ts'
import { copyLive } from './sqlite-live.ts'
import { sideFile, statOf, type CopyOrder, type CopyWorld } from './sqlite-order.ts'
import { copyQuiet } from './sqlite-quiet.ts'

/** Between two tries at a database that is locked. Milliseconds. */
const AGAIN = 100

/**
 * Copies a database that may be in use, checks the copy and describes it; one that is damaged is copied as it is.
 * Afterwards the copy stands alone: no side files, journal mode DELETE, synced. What fails leaves nothing behind. Must
 * run in a process that holds no other database of anybody's: reading a database file with plain file calls drops this
 * process's SQLite locks on it.
 */
export async function copyDatabase(order: CopyOrder, world: CopyWorld): Promise<DumpEnd | CopyTrouble> {
  const notes: string[] = []
  try {
    world.disk.close(world.disk.open(order.to, 'create')) // mode 0600, which SQLite gives its journal, too
    const first = await copyAndCheck(order, world, notes)
    // Torn by something that no lock keeps out, or damaged as it lies there: the second copy tells.
    const copy = damageOf(first.facts) === null ? first : await copyAndCheck(order, world, notes)
    if (copy.facts?.integrity.startsWith(BREAKS_RULES) === true) notes.push(copy.facts.integrity)
    return { ok: true, ...copy, notes }
  } catch (error) {
    removeCopy(world.disk, order.to)
    return explained(error)
  }
}

async function copyAndCheck(
  order: CopyOrder,
  world: CopyWorld,
  notes: string[],
): Promise<{ size: number; facts: DatabaseFacts | null }> {
  const journal = await untilCopied(order, world, notes)
  return journal === 'empty' ? { size: 0, facts: null } : finishCopy(order, world, journal)
}

function explained(error: unknown): DumpEnd | CopyTrouble {
  const message = error instanceof Error ? error.message : String(error)
  if (isFull(error)) return { trouble: 'DISK_FULL', message: `the copy of a database could not be written: ${message}` }
  try {
    const fault = faultOf(error)
    return { ok: false, code: fault.code, message: fault.message }
  } catch (unknown) {
    return { trouble: 'INTERNAL', message: unknown instanceof Error ? (unknown.stack ?? unknown.message) : message }
  }
}

/** What an attempt before left in the copy. */
function clear(disk: Disk, to: string): void {
  for (const suffix of SQLITE_SIDE_FILES) removeIfThere(disk, to + suffix)
  const fd = disk.open(to, 'update')
  try {
    disk.truncate(fd, 0)
  } finally {
    disk.close(fd)
  }
}

function removeCopy(disk: Disk, to: string): void {
  for (const suffix of ['', ...SQLITE_SIDE_FILES]) removeIfThere(disk, to + suffix)
}

/** Tries again while the database is locked or changes under our eyes. */
async function untilCopied(order: CopyOrder, world: CopyWorld, notes: string[]): Promise<'wal' | 'rollback' | 'empty'> {
  const { clock } = world
  const began = clock.mono()
  let hot = false
  for (;;) {
    try {
      const found = await copyOnce(order, world, { hot, notes })
      proveSame(order, world.disk)
      return found
    } catch (error) {
      if (resultOf(error) === SQLITE.READONLY_ROLLBACK && !hot) {
        hot = true
        continue
      }
      if (!isBusy(error) && !(error instanceof DatabaseFault && error.code === 'DATABASE_BUSY')) throw error
      if (clock.mono() - began >= order.limits.busyMs) throw error
      hot = false
      world.tell({ phase: 'waiting', done: clock.mono() - began, total: order.limits.busyMs })
      await clock.sleep(AGAIN)
    }
  }
}

async function copyOnce(
  order: CopyOrder,
  world: CopyWorld,
  { hot, notes }: { hot: boolean; notes: string[] },
): Promise<'wal' | 'rollback' | 'empty'> {
  const { disk } = world
  const stat = proveSame(order, disk)
  clear(disk, order.to)
  if (stat.size === 0) return 'empty'
  const head = readHeader(disk, order.path)
  if (!isSqlite(head)) throw new DatabaseFault('SOURCE_CHANGED', 'it does not begin like a SQLite database')
  const log = statOf(disk, sideFile(order.path, '-wal'))
  const wal = usesWal(head) || (log?.size ?? 0) > 0
  if (hot && !wal) await copyQuiet(order, world, '-journal')
  else if (!wal) await copyLive(order, world, { log: null, notes })
  // Without both side files nobody is at work, and SQLite would have to make them: in the source's folder.
  else if (log === null || statOf(disk, sideFile(order.path, '-shm')) === null) await copyQuiet(order, world, '-wal')
  else await copyLive(order, world, { log, notes })
  return wal ? 'wal' : 'rollback'
}

/** The path must still lead to the file that was meant. */
function proveSame(order: CopyOrder, disk: Disk): FileStat {
  const stat = disk.lstat(order.path)
  if (stat.kind === 'file' && stat.dev === order.dev && stat.ino === order.ino) return stat
  throw new DatabaseFault('SOURCE_CHANGED', 'another file has taken its place')
}
