import { HIDDEN, type StoredDatabase } from '../engine/database-schema.ts'
import type { DatabaseSpec, ServerDatabaseSpec, WrittenDatabase } from '../engine/spec.ts'
import { BackupError } from '../lib/errors.ts'
import type { Keys } from './keys.ts'
import { GIVE_AGAIN, MOVED, seal } from './sealed.ts'
import { boundTo } from './server-identity.ts'

/** Passwords in profiles: sealed on their way in, hidden on their way out (S-CRY-1, S-API-4). */

type StoredServer = Exclude<StoredDatabase, { type: 'sqlite' }>
type Secret = { readonly plain: string } | { readonly sealed: string }

/** As it is told: there is a password, and no more. */
export function hidden(database: StoredDatabase): WrittenDatabase {
  if (database.type === 'sqlite') return database
  const { password, passwordSealed, ...rest } = database
  return (password ?? passwordSealed) === undefined ? rest : { ...rest, password: HIDDEN }
}

/** Without any password: what the database is, apart from who may read it. */
export function bare(database: DatabaseSpec): DatabaseSpec {
  if (database.type === 'sqlite') return database
  const { passwordSealed: _, ...rest } = database
  return rest
}

/** Whether a password stands in it in the open. */
export const hasOpen = (databases: readonly StoredDatabase[]): boolean =>
  databases.some((database) => database.type !== 'sqlite' && database.password !== undefined)

/** What sealing needs. */
export interface Sealing {
  readonly keys: Keys
  /** Whether other secrets hang on the key: then none is made in its place. */
  readonly others: boolean
}

/** As people have written them, to be stored; `stored`: what their `***` stands for. PROFILE_INVALID. */
export function sealWritten(
  written: readonly WrittenDatabase[],
  stored: readonly StoredDatabase[],
  sealing: Sealing,
): DatabaseSpec[] {
  const secrets = written.map((database) => {
    if (database.type === 'sqlite' || database.password === undefined) return null
    return database.password === HIDDEN ? keptFor(database, stored) : { plain: database.password }
  })
  return sealAll(written.map(withoutPassword), secrets, sealing)
}

/** As `profiles.json` holds them, with what somebody has written into it. PROFILE_INVALID. */
export function sealStored(stored: readonly StoredDatabase[], sealing: Sealing): DatabaseSpec[] {
  const secrets = stored.map((database) => (database.type === 'sqlite' ? null : secretOf(database)))
  return sealAll(stored.map(withoutPassword), secrets, sealing)
}

/** Everything is known before the first is sealed: what cannot be saved makes no key. */
function sealAll(
  databases: readonly DatabaseSpec[],
  secrets: readonly (Secret | null)[],
  { keys, others }: Sealing,
): DatabaseSpec[] {
  const isOpen = (secret: Secret | null): boolean => secret !== null && 'plain' in secret
  const kept = secrets.some((secret) => secret !== null && !isOpen(secret))
  const key = secrets.some(isOpen) ? keys.presentOrMade(others || kept) : null
  return databases.map((database, i) => {
    const secret = secrets[i] ?? null
    if (database.type === 'sqlite' || secret === null) return database
    if ('sealed' in secret) return { ...database, passwordSealed: secret.sealed }
    if (key === null) throw new BackupError('INTERNAL', 'a password without a key')
    return { ...database, passwordSealed: seal(secret.plain, key, boundTo(database)) }
  })
}

function withoutPassword(database: StoredDatabase | WrittenDatabase): DatabaseSpec {
  if (database.type === 'sqlite') return database
  const { password: _, passwordSealed: _sealed, ...rest }: StoredServer = database
  return rest
}

function secretOf(database: StoredServer): Secret | null {
  const { password, passwordSealed } = database
  if (password !== undefined && password !== HIDDEN) return { plain: password }
  if (passwordSealed !== undefined) return { sealed: passwordSealed }
  if (password === undefined) return null
  throw none(database)
}

/** The password that is stored for the same server and account: of this database, or of another one there. */
function keptFor(database: Exclude<WrittenDatabase, { type: 'sqlite' }>, stored: readonly StoredDatabase[]): Secret {
  const servers = stored.filter((one): one is StoredServer => one.type !== 'sqlite')
  const wanted = boundTo(database).to
  const same = servers.filter((one) => boundTo(one).to === wanted && isKept(one))
  const found = same.find((one) => nameOf(one) === nameOf(database)) ?? same[0]
  const secret = found === undefined ? null : secretOf(found)
  if (secret !== null) return secret
  if (!servers.some((one) => nameOf(one) === nameOf(database) && isKept(one))) throw none(database)
  throw new BackupError('PROFILE_INVALID', `${titleOf(database)}: ${MOVED}`, { hint: GIVE_AGAIN })
}

const isKept = ({ password, passwordSealed }: StoredServer): boolean =>
  passwordSealed !== undefined || (password !== undefined && password !== HIDDEN)

const nameOf = ({ name, database }: Pick<ServerDatabaseSpec, 'name' | 'database'>): string => name ?? database
const titleOf = ({ database }: Pick<ServerDatabaseSpec, 'database'>): string => `the database ${database}`

const none = (database: Pick<ServerDatabaseSpec, 'database'>): BackupError =>
  new BackupError('PROFILE_INVALID', `${titleOf(database)}: no password is stored that "${HIDDEN}" could stand for`, {
    hint: `${GIVE_AGAIN} An exported profile leaves it out.`,
  })
