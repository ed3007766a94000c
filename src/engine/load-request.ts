import { z } from 'zod'
import { defined } from '../lib/defined.ts'
import { BackupError } from '../lib/errors.ts'
import { componentSchema, oneLine } from './schema-words.ts'
import type { BackupSpec, LoadSpec, ServerDatabaseSpec } from './spec.ts'

/** A database of a backup that is to be put back into a server, as it is asked for. */
export interface LoadRequest {
  /** Its folder below `databases/` in the archive. */
  name: string
  /** Needed where the backup does not say it. */
  type?: 'mysql' | 'postgresql'
  /** A server of the settings file; default: the one it was read from. */
  server?: string
  /** What it is called there when it is whole; default: the name it had. */
  database?: string
  mode?: 'new' | 'swap'
  scratch?: string
}

const nameSchema = oneLine(64).min(1)

export const loadRequestSchema = z.strictObject({
  name: componentSchema.describe('Its folder below databases/ in the archive.'),
  type: z.enum(['mysql', 'postgresql']).exactOptional().describe('Needed where the backup does not say it.'),
  server: nameSchema.exactOptional().describe('A server of the settings file; default: the one it was read from.'),
  database: nameSchema.exactOptional().describe('Its name there when it is whole; default: the one it had.'),
  mode: z
    .enum(['new', 'swap'])
    .exactOptional()
    .describe(
      'new (default): it is absent or empty. swap: loaded beside it first; what is there now is kept under another name. Needs the role admin.',
    ),
  scratch: nameSchema
    .exactOptional()
    .describe('An empty database to load into first, where the account may make none (swap).'),
}) satisfies z.ZodType<LoadRequest>

/**
 * Where each database goes. `backup`: what the archive was made by; null: nobody knows. BAD_REQUEST where neither it nor
 * the request says which server.
 */
export function loadsFor(requests: readonly LoadRequest[], backup: BackupSpec | null): LoadSpec[] {
  return requests.map((request) => {
    const { name, mode = 'new', server, scratch } = request
    const source = sourceOf(name, backup)
    const type = request.type ?? source?.type
    if (type === undefined || (server === undefined && source === undefined)) throw unknown(name, type === undefined)
    if (scratch !== undefined && mode === 'new')
      throw new BackupError('BAD_REQUEST', 'only a swap loads into another database first: leave scratch out')
    const access =
      server === undefined && source !== undefined ? accessOf(source) : { ...(server === undefined ? {} : { server }) }
    const database = request.database ?? source?.database ?? name
    return { type, ...access, name, database, mode, ...(scratch === undefined ? {} : { scratch }) }
  })
}

/** What the archive's folder of that name was read from. */
export const sourceOf = (name: string, backup: BackupSpec | null): ServerDatabaseSpec | undefined =>
  serverDatabases(backup).find((one) => nameOf(one) === name)

/** Who is asked, and how, but for what. */
function accessOf(source: ServerDatabaseSpec): Omit<LoadSpec, 'type' | 'name' | 'database' | 'mode' | 'scratch'> {
  const { server, host, port, socket, user, passwordEnv, passwordFile, passwordSealed, tls } = source
  return defined({ server, host, port, socket, user, passwordEnv, passwordFile, passwordSealed, tls })
}

const serverDatabases = (backup: BackupSpec | null): ServerDatabaseSpec[] =>
  (backup?.databases ?? []).filter((one): one is ServerDatabaseSpec => one.type !== 'sqlite')

/** As the archive calls it, where no two have the same name. */
const nameOf = ({ name, database }: ServerDatabaseSpec): string => name ?? database.replaceAll('/', '_')

const unknown = (name: string, ofType: boolean): BackupError =>
  new BackupError(
    'BAD_REQUEST',
    `nobody says ${ofType ? 'of what kind the database' : 'into which server'} ${name} ${ofType ? 'is' : 'goes'}`,
    {
      hint: 'Name a server of the settings file (server), and its kind (type).',
      data: { parameter: 'databases' },
    },
  )
