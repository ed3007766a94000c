import { createHash } from 'node:crypto'
import { BackupError } from '../../lib/errors.ts'
import type { MysqlSession } from '../../dump/mysql/session.ts'
import { loadError, symbolOf } from './errors.ts'
import { literal } from './marker.ts'

/** How long a predecessor takes to die, its open transaction undone. Seconds. */
const PATIENCE = 20
/** How long the server may take to see that a connection is gone. Seconds. */
const GRACE = 3

/** Locks are the server's whole: each has a name of its own, of at most 64 characters. */
const lockOf = (...of: readonly string[]): string =>
  literal(`ratchet:${createHash('sha256').update(of.join('\0')).digest('hex').slice(0, 40)}`)

/**
 * Takes a database for this connection alone. Whoever holds it for the same load is a predecessor that was given up: its
 * connection is ended, so that it writes nothing any more, should it wake up. DATABASE_BUSY: another load has it.
 */
export async function hold(session: MysqlSession, database: string, id: string): Promise<void> {
  const own = lockOf(database, id)
  if (!(await taken(session, own, 0))) {
    const predecessor = await holderOf(session, own)
    if (predecessor !== null) await end(session, predecessor, database)
    if (!(await taken(session, own, PATIENCE))) throw busy(database)
  }
  if (!(await taken(session, lockOf(database), GRACE))) throw busy(database)
}

async function holderOf(session: MysqlSession, lock: string): Promise<string | null> {
  const [row] = await session.facts(`SELECT IS_USED_LOCK(${lock}) AS holder`)
  return row?.['holder'] ?? null
}

async function taken(session: MysqlSession, lock: string, seconds: number): Promise<boolean> {
  const [row] = await session.facts(`SELECT GET_LOCK(${lock}, ${seconds}) AS got`)
  return row?.['got'] === '1'
}

async function end(session: MysqlSession, connection: string, database: string): Promise<void> {
  try {
    await session.run(`KILL ${BigInt(connection)}`)
  } catch (error) {
    if (symbolOf(error) === 'ER_NO_SUCH_THREAD') return
    if (symbolOf(error) === 'ER_KILL_DENIED_ERROR') throw busy(database)
    throw loadError(error, `another connection that loads into ${database} could not be ended`)
  }
}

const busy = (database: string): BackupError =>
  new BackupError('DATABASE_BUSY', `another restore is loading into the database ${database}`, {
    hint: 'Wait for its end, or cancel it.',
  })
