import { createHash } from 'node:crypto'
import { identifier, literal } from '../../dump/postgres/identifier.ts'
import { PostgresSession, type PostgresTarget } from '../../dump/postgres/session.ts'
import { systemClock } from '../../lib/clock.ts'
import { BackupError } from '../../lib/errors.ts'
import { loadError, sqlState } from './errors.ts'
import { numberOf } from './lock.ts'

/** A database as the server lists it, for everybody to see. */
export interface Database {
  readonly oid: string
  readonly name: string
  readonly owner: string
  /** Whether the account may do what its owner may. */
  readonly owned: boolean
  /** Connections that others may have. */
  readonly limit: number
  /** `ENCODING … LC_COLLATE …`, in the words of CREATE DATABASE. */
  readonly locale: string
}

const LONGEST_NAME = 63
/** Databases that are there to be connected to. */
const HUBS = ['postgres', 'template1'] as const
const TRIES = 10
const WAIT_MS = 300

/** `shop` → `shop_before_7x1`, as long as a name may be: what is too long is cut, and told apart by a digest. */
export function nameBeside(name: string, what: string, id: string): string {
  const end = `_${what}_${id}`
  if (Buffer.byteLength(name + end) <= LONGEST_NAME) return name + end
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 6)
  let kept = ''
  for (const c of name) {
    if (Buffer.byteLength(`${kept}${c}_${digest}${end}`) > LONGEST_NAME) break
    kept += c
  }
  return `${kept}_${digest}${end}`
}

/** A connection to a database that is none of these: from within one, it can neither be renamed nor dropped. */
export async function openHub(target: PostgresTarget, others: readonly string[]): Promise<PostgresSession> {
  let failure: unknown = null
  for (const database of HUBS.filter((name) => !others.includes(name))) {
    try {
      return await PostgresSession.open({ ...target, database })
    } catch (error) {
      failure = error
    }
  }
  throw failure instanceof BackupError && failure.code === 'DATABASE_NOT_FOUND'
    ? new BackupError('DATABASE_DENIED', 'there is no database postgres or template1 to ask for another one', {
        hint: 'Make an empty database for the account to own, and load into that (mode new).',
      })
    : failure
}

/** Null: there is none. */
export async function databaseNamed(session: PostgresSession, name: string): Promise<Database | null> {
  const [provider, locale] =
    session.version >= 170_000
      ? ['d.datlocprovider', 'd.datlocale']
      : session.version >= 150_000
        ? ['d.datlocprovider', 'd.daticulocale']
        : ["'c'", "''"]
  const [row] = await session.facts(
    `SELECT d.oid, r.rolname AS owner, pg_catalog.pg_has_role(d.datdba, 'USAGE') AS owned, d.datconnlimit AS limit,
            pg_catalog.pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
            ${provider} AS provider, ${locale} AS locale
       FROM pg_database d LEFT JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = $1`,
    [name],
  )
  if (row === undefined) return null
  const text = (key: string): string => row[key] ?? ''
  const words = [`ENCODING ${literal(text('encoding'))}`, `LC_COLLATE ${literal(text('collate'))}`]
  words.push(`LC_CTYPE ${literal(text('ctype'))}`)
  if (text('provider') === 'i') words.push(`LOCALE_PROVIDER icu ICU_LOCALE ${literal(text('locale'))}`)
  if (text('provider') === 'b') words.push(`LOCALE_PROVIDER builtin BUILTIN_LOCALE ${literal(text('locale'))}`)
  return {
    oid: text('oid'),
    name,
    owner: text('owner'),
    owned: text('owned') === 't',
    limit: Number(text('limit')),
    locale: words.join(' '),
  }
}

/** DATABASE_DENIED: the account may not make or rename databases. */
export async function needRightToMake(session: PostgresSession, why: string): Promise<void> {
  const [row] = await session.facts(
    'SELECT r.rolsuper OR r.rolcreatedb AS may FROM pg_roles r WHERE r.rolname = CURRENT_USER',
  )
  if (row?.['may'] === 't') return
  throw new BackupError('DATABASE_DENIED', `${why} takes the right CREATEDB, which the account does not have`, {
    hint: 'Let ALTER ROLE … CREATEDB give it, or have an empty database made that the account owns, and load into that (mode new).',
  })
}

/**
 * A number of connections that nobody would think of: it says that the database was made by this load, from the moment
 * it is there until its marker says so.
 */
export const limitOf = (id: string): number => 1_000_000_000 + (numberOf(id) % 1_000_000_000)

/** `like`: the locale of another one; null: that of the server, in UTF-8. Nothing happens where it is there. */
export async function makeDatabase(
  session: PostgresSession,
  name: string,
  id: string,
  like: Database | null,
): Promise<void> {
  const make = `CREATE DATABASE ${identifier(name)} TEMPLATE template0 CONNECTION LIMIT ${limitOf(id)}`
  const locales = like === null ? ["ENCODING 'UTF8'", "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"] : [like.locale]
  for (const [i, locale] of locales.entries()) {
    try {
      return await session.run(`${make} ${locale}`)
    } catch (error) {
      const state = sqlState(error)
      // By another process of this load, which does the same.
      if (state === '42P04' || state === '23505') return
      if (state === '42501') await needRightToMake(session, `making the database ${name}`)
      // The server's own locale may be one for another encoding.
      if (i === locales.length - 1 || (state !== '22023' && state !== '42P17'))
        throw loadError(error, `the database ${name} could not be made`)
    }
  }
}

/** Ends all other connections to it. Those of other accounts may stay: whoever goes on will be told. */
export async function endSessions(session: PostgresSession, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const pids = await session.facts(
      'SELECT a.pid FROM pg_stat_activity a WHERE a.datname = $1 AND a.pid <> pg_catalog.pg_backend_pid()',
      [name],
    )
    for (const { pid } of pids) {
      try {
        await session.run(`SELECT pg_catalog.pg_terminate_backend(${Number(pid)})`)
      } catch (error) {
        if (sqlState(error) !== '42501') throw error
      }
    }
  }
}

/** Nothing happens where there is none. DATABASE_BUSY: somebody stays connected. */
export async function dropDatabase(session: PostgresSession, name: string): Promise<void> {
  for (let left = TRIES; ; left--) {
    await endSessions(session, [name])
    try {
      return await session.run(`DROP DATABASE IF EXISTS ${identifier(name)}`)
    } catch (error) {
      if (sqlState(error) !== '55006' || left === 0) throw loadError(error, `the database ${name} could not be dropped`)
    }
    await systemClock.sleep(WAIT_MS)
  }
}
