import { BackupError } from '../../lib/errors.ts'
import { readRelations, textOf, type Relation } from './catalogue.ts'
import { qualified } from './identifier.ts'
import { select, type Choice } from './selection.ts'
import { PostgresSession, type PostgresTarget } from './session.ts'

/** Tables that come and go while they are locked. */
const ROUNDS = 3
const LOCKED: ReadonlySet<string> = new Set(['table', 'partitioned'])

/**
 * One moment of the database, held by a connection that does nothing else; others join it. Its tables are locked against
 * changes of their definition, as pg_dump does, so that what is read later is what there was.
 */
export class Snapshot implements AsyncDisposable {
  readonly #target: PostgresTarget
  readonly #holder: PostgresSession
  /** As the server names it. */
  readonly id: string

  private constructor(target: PostgresTarget, holder: PostgresSession, id: string) {
    this.#target = target
    this.#holder = holder
    this.id = id
  }

  static async take(target: PostgresTarget, choice: Choice, lockMs: number): Promise<Snapshot> {
    const holder = await PostgresSession.open(target)
    try {
      for (let round = 1; ; round++) {
        const id = await lockAll(holder, choice, lockMs)
        if (id !== null) return new Snapshot(target, holder, id)
        if (round === ROUNDS)
          throw new BackupError('SOURCE_CHANGED', 'tables come and go faster than they can be locked', {
            retry: 'later',
          })
        await holder.run('ROLLBACK')
      }
    } catch (error) {
      holder.destroy()
      throw error
    }
  }

  /** Another connection that sees the same moment. */
  async join(): Promise<PostgresSession> {
    await this.check()
    const session = await PostgresSession.open(this.#target)
    try {
      await session.run('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await session.run(`SET TRANSACTION SNAPSHOT '${this.id}'`)
      return session
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  /** UNREACHABLE: the moment is lost with the connection that held it. */
  async check(): Promise<void> {
    try {
      await this.#holder.run('SELECT 1')
    } catch (error) {
      const what = 'the connection that held the snapshot is lost, and the snapshot with it'
      const hint = 'The dump has to begin again, or go on without a snapshot.'
      throw new BackupError('UNREACHABLE', what, { hint, cause: error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder[Symbol.asyncDispose]()
  }
}

/** The name of a snapshot in which all tables are locked; null: others changed them meanwhile. */
async function lockAll(holder: PostgresSession, choice: Choice, lockMs: number): Promise<string | null> {
  const before = await lockable(holder, choice)
  await holder.run('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  await holder.run(`SET LOCAL lock_timeout = ${lockMs}`)
  for (const table of before) if (!(await lock(holder, table))) return null
  // Only now: a lock is no query, so the moment is one in which all of them are held.
  const [row] = await holder.facts('SELECT pg_catalog.pg_export_snapshot() AS id')
  const id = textOf(row ?? {}, 'id')
  if (!/^[0-9A-F-]+$/.test(id)) throw new BackupError('DATABASE_FAILED', 'the server exports no snapshot')
  const held = new Set(before.map(({ oid }) => oid))
  const inside = await lockable(holder, choice)
  for (const table of inside) if (!held.has(table.oid) && !(await lock(holder, table))) return null
  return id
}

async function lockable(session: PostgresSession, choice: Choice): Promise<Relation[]> {
  const all = await readRelations(session)
  const { without } = await select(session, all, choice)
  const out = new Set(without.map(({ oid }) => oid))
  return all.filter(({ oid, kind, condition }) => condition !== null && LOCKED.has(kind) && !out.has(oid))
}

/** False: there is no such table any more. */
async function lock(session: PostgresSession, table: Relation): Promise<boolean> {
  try {
    await session.run(`LOCK TABLE ONLY ${qualified(table.schema, table.name)} IN ACCESS SHARE MODE`)
    return true
  } catch (error) {
    if (error instanceof BackupError && error.code === 'SOURCE_CHANGED') return false
    throw about(table, error)
  }
}

/** Begins a transaction in which the table stays what it is. */
export async function withLockOn(session: PostgresSession, table: Relation, lockMs: number): Promise<void> {
  await session.run('BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY')
  await session.run(`SET LOCAL lock_timeout = ${lockMs}`)
  const there = await lock(session, table).catch(async (error: unknown) => {
    await session.run('ROLLBACK')
    throw error
  })
  if (there) return
  await session.run('ROLLBACK')
  throw new BackupError('SOURCE_CHANGED', `the table ${table.shown} is there no more`, { retry: 'later' })
}

/** The same error, with the table it is about. */
export function about({ shown }: Relation, error: unknown): unknown {
  if (!(error instanceof BackupError)) return error
  const { code, message, hint, retry } = error
  return new BackupError(code, `${shown}: ${message}`, { hint, retry, cause: error })
}
