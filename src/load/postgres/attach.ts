import { PostgresSession } from '../../dump/postgres/session.ts'
import { BackupError } from '../../lib/errors.ts'
import type { LoadOrder } from '../sql-load.ts'
import { databaseNamed, limitOf, makeDatabase, needRightToMake, openHub, type Database } from './databases.ts'
import { dropAllIn, firstThingIn } from './empty.ts'
import { loadError } from './errors.ts'
import { cutOffOthers, keepOthersOut } from './lock.ts'
import { Marker } from './marker.ts'
import type { Names } from './swap.ts'

/** The database that a load is at work in, with nobody else of this load in it. */
export interface Attached {
  readonly session: PostgresSession
  readonly database: Database
  readonly marker: Marker | null
  /** It has its name already: all is loaded. */
  readonly named: boolean
}

/**
 * For loading alone. A crash of the server may lose the last transactions, but then each with its mark, so that they are
 * loaded again; the last one of all is waited for. No default of the database makes a value another one, or forbids
 * to write.
 */
const PINS = [
  'SET synchronous_commit = off',
  'SET default_transaction_read_only = off',
  "SET default_transaction_isolation = 'read committed'",
  'SET array_nulls = on',
  // These hold for reading rows in their order.
  'RESET max_parallel_workers_per_gather',
  // Raised where it is less: indexes are made with it.
  "SELECT pg_catalog.set_config(s.name, '256MB', false) FROM pg_settings s WHERE s.name = 'maintenance_work_mem' AND s.setting::pg_catalog.int8 < 262144",
]

/** Null: there is no such database. DATABASE_BUSY: another load is at work there. */
export async function attach(order: LoadOrder, names: Names): Promise<Attached | null> {
  if (order.mode === 'new') return enter(order, names.target, false)
  await using hub = await openHub(order.target, Object.values(names))
  // Waited for here: it may fail while the other connection is still being closed.
  if ((await databaseNamed(hub, names.work)) !== null) return await enter(order, names.work, false)
  if ((await databaseNamed(hub, names.target)) === null) return null
  const attached = await enter(order, names.target, true)
  const isOurs = attached?.marker?.id === order.id && attached.marker.phase === 'swapping'
  if (isOurs) return attached
  // What was there before is kept, and the marker is gone: nothing is left to be done.
  if (attached !== null && (await databaseNamed(hub, names.before)) !== null) return { ...attached, marker: null }
  await attached?.session[Symbol.asyncDispose]()
  return null
}

async function enter(order: LoadOrder, name: string, named: boolean): Promise<Attached | null> {
  const session = await openIfThere(order, name)
  if (session === null) return null
  try {
    for (const pin of PINS) await session.run(pin)
    await cutOffOthers(session, order.id)
    // One that has its name belongs to those who use it.
    if (!named) await keepOthersOut(session)
    const database = await databaseNamed(session, name)
    if (database === null) throw new BackupError('DATABASE_NOT_FOUND', `there is no database ${name} any more`)
    return { session, database, marker: await Marker.find(session), named }
  } catch (error) {
    await session[Symbol.asyncDispose]()
    throw error
  }
}

export async function openIfThere({ target }: LoadOrder, database: string): Promise<PostgresSession | null> {
  try {
    return await PostgresSession.open({ ...target, database })
  } catch (error) {
    if (error instanceof BackupError && error.code === 'DATABASE_NOT_FOUND') return null
    throw error
  }
}

/** Before anything is loaded: what would fail only at the end of a swap. */
export async function checkRights(order: LoadOrder, names: Names): Promise<void> {
  await using hub = await openHub(order.target, Object.values(names))
  await needRightToMake(hub, 'swapping a database')
  for (const name of [names.target, names.work]) {
    const database = await databaseNamed(hub, name)
    if (database === null || database.owned) continue
    throw new BackupError(
      'DATABASE_DENIED',
      `the database ${name} belongs to ${database.owner}: only its owner may rename it`,
      {
        hint: 'Let ALTER DATABASE … OWNER TO give it to the account, or load into an empty database (mode new).',
      },
    )
  }
}

/** Makes the database that is loaded into. */
export async function makeWork(order: LoadOrder, names: Names): Promise<void> {
  if (order.scratch !== undefined)
    throw new BackupError('DATABASE_NOT_FOUND', `there is no database ${order.scratch} to be loaded into`)
  await using hub = await openHub(order.target, Object.values(names))
  await makeDatabase(hub, names.work, order.id, await databaseNamed(hub, names.target))
}

/** As a load needs it: with its own marker, and with nothing that is not of this load. TARGET_EXISTS: it holds something. */
export async function makeReady(order: LoadOrder, { session, database, marker }: Attached): Promise<Marker> {
  const { id } = order
  if (marker === null) {
    const thing = await firstThingIn(session)
    if (thing !== null) throw occupied(database.name, thing)
    const made = await Marker.make(session, id, database.limit === limitOf(id))
    await unlimit(session, database, id)
    return made
  }
  if (marker.id !== id) await refuseLeft(session, database.name, marker.id)
  await unlimit(session, database, id)
  if (marker.id === id && marker.phase !== 'emptying') return marker
  const taken = await marker.become(session, id, 'emptying', { file: 0, at: 0 })
  await dropAllIn(session, marker.kept)
  return taken.become(session, id, 'loading')
}

/** What another load has left may be in use by now: that is for people to say. */
async function refuseLeft(session: PostgresSession, name: string, id: string): Promise<void> {
  if ((await firstThingIn(session)) === null) return
  throw new BackupError(
    'TARGET_EXISTS',
    `the database ${name} holds what the restore ${id} has left, which is not whole`,
    {
      hint: 'Go on with that restore (ratchet restore --resume), cancel it, or drop the database.',
    },
  )
}

/** The number that said who made it has done its duty. */
async function unlimit(session: PostgresSession, { name, limit }: Database, id: string): Promise<void> {
  if (limit !== limitOf(id)) return
  try {
    await session.facts(`ALTER DATABASE "${name.replaceAll('"', '""')}" CONNECTION LIMIT -1`)
  } catch (error) {
    throw loadError(error, `the database ${name} could not be made ready`)
  }
}

const occupied = (name: string, thing: string): BackupError =>
  new BackupError('TARGET_EXISTS', `the database ${name} is not empty: it holds ${thing}`, {
    hint: 'Name an empty database, or one that does not exist yet, or ask for a swap: what is there is kept then.',
  })
