import { createHash } from 'node:crypto'
import type { PostgresSession } from '../../dump/postgres/session.ts'
import { systemClock } from '../../lib/clock.ts'
import { BackupError } from '../../lib/errors.ts'
import { sqlState } from './errors.ts'

/** Ours among the locks that programs make up for themselves: "RATC". */
const CLASS = 0x52415443
/** Whichever load it is. */
const ANY = 0
const TRIES = 100
const WAIT_MS = 100

/** A number of 31 bits that tells a load from others; never 0. */
export function numberOf(id: string): number {
  return (createHash('sha256').update(id).digest().readUInt32BE(0) >>> 1) + 1
}

/**
 * Makes this connection the only one that loads under this id into this database: whoever held that place is ended by
 * the server, and with it whatever it had not committed. So one that was asleep finds its connection gone.
 */
export async function cutOffOthers(session: PostgresSession, id: string): Promise<void> {
  for (let left = TRIES; !(await tryLock(session, numberOf(id))); left--) {
    if (left === 0) throw busy('an earlier process of this load does not let go of the database')
    try {
      await session.run(`
        SELECT pg_catalog.pg_terminate_backend(l.pid) FROM pg_locks l
         WHERE l.locktype = 'advisory' AND l.classid = ${CLASS} AND l.objid = ${numberOf(id)} AND l.objsubid = 2 AND l.granted
           AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = pg_catalog.current_database())`)
    } catch (error) {
      if (sqlState(error) !== '42501') throw error
      throw busy('an earlier process of this load, under another account, does not let go of the database', error)
    }
    await systemClock.sleep(WAIT_MS)
  }
}

/** DATABASE_BUSY: another load is at it. */
export async function keepOthersOut(session: PostgresSession): Promise<void> {
  // One that was just ended gives up its locks one by one.
  for (let left = TRIES / 10; !(await tryLock(session, ANY)); left--) {
    if (left === 0) throw busy('another load is at work in this database')
    await systemClock.sleep(WAIT_MS)
  }
}

async function tryLock(session: PostgresSession, number: number): Promise<boolean> {
  const [row] = await session.facts(`SELECT pg_catalog.pg_try_advisory_lock(${CLASS}, ${number}) AS got`)
  return row?.['got'] === 't'
}

const busy = (what: string, cause?: unknown): BackupError =>
  new BackupError('DATABASE_BUSY', what, { hint: 'Wait for its end, or end it, then try again.', cause })
