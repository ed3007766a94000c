import { identifier } from '../../dump/postgres/identifier.ts'
import type { PostgresSession, PostgresTarget } from '../../dump/postgres/session.ts'
import type { Lack } from '../../dump/sql-dump.ts'
import { systemClock } from '../../lib/clock.ts'
import { BackupError } from '../../lib/errors.ts'
import { carryOver } from './carry.ts'
import { databaseNamed, endSessions, needRightToMake, openHub } from './databases.ts'
import { loadError, sqlState } from './errors.ts'
import { cutOffOthers } from './lock.ts'

export interface Names {
  /** The name that the database shall have. */
  readonly target: string
  /** Under which it is loaded. */
  readonly work: string
  /** Under which what was there before is kept. */
  readonly before: string
}

const TRIES = 2
const WAIT_MS = 300

/**
 * Gives a loaded database its name, in one transaction with the name that is taken from the one before it: at no moment
 * is there none of that name, and nothing in between can be seen. Where it is done already, nothing happens.
 */
export async function takeName(target: PostgresTarget, names: Names, id: string): Promise<readonly Lack[]> {
  const all = [names.target, names.work, names.before]
  await using hub = await openHub(target, all)
  await using sweeper = await openHub(target, all)
  await cutOffOthers(hub, id)
  for (let left = TRIES; ; left--) {
    if ((await databaseNamed(hub, names.work)) === null) return []
    try {
      return await rename(hub, sweeper, names)
    } catch (error) {
      if (!hub.alive) throw error
      await hub.run('ROLLBACK')
      const state = sqlState(error)
      if (state === '42501') await needRightToMake(hub, 'giving a database its name')
      if (state !== '55006' || left === 0) throw failed(error, names)
    }
    await systemClock.sleep(WAIT_MS)
  }
}

function failed(error: unknown, { target }: Names): BackupError {
  if (sqlState(error) !== '55006') return loadError(error, `the database could not take the name ${target}`)
  const what = `others stay connected to ${target}, and cannot be ended by this account`
  const hint = 'Stop the programs that use it for a moment, then let the restore go on: all is loaded.'
  return new BackupError('DATABASE_BUSY', what, { hint, cause: error })
}

async function rename(hub: PostgresSession, sweeper: PostgresSession, names: Names): Promise<readonly Lack[]> {
  await hub.run('BEGIN')
  const old = await databaseNamed(hub, names.target)
  const [row] = await hub.facts('SELECT CURRENT_USER AS me')
  const lacks = old === null ? [] : await carryOver(hub, old, names.work, row?.['me'] ?? '')
  if (old !== null) await renameOne(hub, sweeper, names.target, names.before)
  await renameOne(hub, sweeper, names.work, names.target)
  await hub.run('COMMIT')
  return lacks
}

/**
 * From its first moment on the server lets nobody in who comes newly, and waits some seconds for those who are there:
 * they are ended meanwhile.
 */
async function renameOne(hub: PostgresSession, sweeper: PostgresSession, from: string, to: string): Promise<void> {
  const state = { over: false }
  const renamed = hub.run(`ALTER DATABASE ${identifier(from)} RENAME TO ${identifier(to)}`).then(
    () => null,
    (error: unknown) => error ?? new Error('it failed'),
  )
  void renamed.then(() => (state.over = true))
  while (!state.over) {
    await endSessions(sweeper, [from])
    await Promise.race([renamed, systemClock.sleep(WAIT_MS)])
  }
  const error = await renamed
  if (error !== null) throw error
}
