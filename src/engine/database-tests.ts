import { BackupError, type ErrorRecord } from '../lib/errors.ts'
import type { DatabaseSpec, ServerDatabaseSpec } from './spec.ts'

/** Tries out whether databases of servers could be backed up. */
export interface DatabaseTests {
  /** Connects, looks at rights, definitions and sizes, reads no rows, and leaves. */
  test(database: ServerDatabaseSpec): Promise<DatabaseProbe>
}

export interface NamedThing {
  readonly kind: string
  readonly name: string
  readonly why: string
}

/** What a backup of a database could promise now, or why there would be none. */
export type DatabaseProbe =
  | {
      readonly ok: true
      readonly server: string
      readonly consistency: 'snapshot' | 'table'
      readonly tables: number
      readonly rows: number
      readonly bytes: number
      readonly keyless: readonly string[]
      readonly exceptions: readonly NamedThing[]
      readonly lacks: readonly NamedThing[]
    }
  | { readonly ok: false; readonly error: ErrorRecord }

/** How a test is told, over every face. */
export interface DatabaseTest {
  /** Its folder below `databases/`, or its own name. */
  name: string
  type: 'mysql' | 'postgresql'
  ok: boolean
  server: string | null
  consistency: 'snapshot' | 'table' | null
  tables: number
  rows: number
  bytes: number
  keyless: string[]
  exceptions: { kind: string; name: string; why: string }[]
  lacks: { kind: string; name: string; why: string }[]
  error: { code: string; message: string; hint: string } | null
}

/** The databases of servers that a profile names, or the one that is asked for. DATABASE_NOT_FOUND if there is none. */
export function serverDatabasesOf(
  profile: { readonly id: number; readonly databases: readonly DatabaseSpec[] },
  wanted?: string,
): ServerDatabaseSpec[] {
  const all = profile.databases.filter((one): one is ServerDatabaseSpec => one.type !== 'sqlite')
  const chosen = all.filter((one) => wanted === undefined || wanted === nameOf(one) || wanted === one.database)
  if (chosen.length > 0) return chosen
  const what = wanted === undefined ? 'no database of a server' : `no database ${JSON.stringify(wanted)}`
  throw new BackupError('DATABASE_NOT_FOUND', `profile ${profile.id} names ${what}`, {
    hint: 'Add it to the profile under "databases".',
  })
}

export function testAll(databases: readonly ServerDatabaseSpec[], tests: DatabaseTests): Promise<DatabaseTest[]> {
  return Promise.all(databases.map(async (one) => told(one, await tests.test(one))))
}

const nameOf = ({ name, database }: ServerDatabaseSpec): string => name ?? database

function told(database: ServerDatabaseSpec, probe: DatabaseProbe): DatabaseTest {
  const common = { name: nameOf(database), type: database.type, ok: probe.ok }
  if (probe.ok) {
    const { keyless, exceptions, lacks, server, consistency, tables, rows, bytes } = probe
    const lists = { keyless: [...keyless], exceptions: [...exceptions], lacks: [...lacks] }
    return { ...common, server, consistency, tables, rows, bytes, ...lists, error: null }
  }
  const { code, message, hint } = probe.error
  const nothing = { server: null, consistency: null, tables: 0, rows: 0, bytes: 0 }
  return { ...common, ...nothing, keyless: [], exceptions: [], lacks: [], error: { code, message, hint } }
}
