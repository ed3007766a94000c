import { z } from 'zod'
import { componentSchema, oneLine, pathSchema, whole } from './schema-words.ts'
import type { DatabaseSpec, ServerAccess, ServerDatabaseSpec, SqliteSpec } from './spec.ts'

/** Databases as a profile names them. */

const hostSchema = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z0-9.:_-]+$/, 'must be a host name or an address')
  .refine((text) => !text.startsWith('-'), 'must not begin with a dash')

const nameSchema = oneLine(64).min(1)
const tableNames = z.array(z.string().min(1).max(260)).max(10_000).exactOptional()

export const serverAccess = {
  host: hostSchema.exactOptional().describe('Name or address of the server; default localhost.'),
  port: whole(1, 65_535).exactOptional().describe('Default: the usual one.'),
  socket: pathSchema.exactOptional().describe('Path of its socket on this machine, in place of host and port.'),
  user: nameSchema.exactOptional().describe('Name of the account.'),
  passwordEnv: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be the name of an environment variable')
    .exactOptional()
    .describe('Environment variable that holds the password.'),
  passwordFile: pathSchema.exactOptional().describe('File whose first line is the password.'),
  tls: z
    .strictObject({
      ca: pathSchema.exactOptional().describe('File of trusted certificates in PEM; default: those of the system.'),
      name: hostSchema.exactOptional().describe('Whom the certificate is for, where that is not the host.'),
    })
    .exactOptional()
    .describe('TLS. A server on another machine has to speak it; on this machine it is used where this is given.'),
}

export const serverAccessSchema = z.strictObject(serverAccess) satisfies z.ZodType<ServerAccess>

const sqliteSchema = z.strictObject({
  type: z.literal('sqlite'),
  path: pathSchema.describe('The database file. Absolute.'),
  name: componentSchema
    .exactOptional()
    .describe('Its folder below databases/ in the archive; default: base name of the path.'),
  critical: z.boolean().exactOptional().describe('Whether its failure fails the run (default true).'),
}) satisfies z.ZodType<SqliteSpec>

const serverSchema = z.strictObject({
  type: z.enum(['mysql', 'postgresql']),
  server: nameSchema.exactOptional().describe('A server of the settings file, in place of host, user and password.'),
  ...serverAccess,
  database: nameSchema.describe('Name of the database.'),
  name: componentSchema
    .exactOptional()
    .describe('Its folder below databases/ in the archive; default: name of the database.'),
  critical: z.boolean().exactOptional().describe('Whether its failure fails the run (default true).'),
  tables: z
    .strictObject({ include: tableNames, exclude: tableNames, structureOnly: tableNames })
    .exactOptional()
    .describe('Which tables, by exact names: only these, all but these, and those without their rows.'),
  consistency: z
    .enum(['snapshot', 'table'])
    .exactOptional()
    .describe('What to try for: all tables from one moment (default), or each row as it was when it was read.'),
  restarts: whole(0, 100)
    .exactOptional()
    .describe('How often a lost snapshot is begun again before the rest is read table by table (default 2).'),
}) satisfies z.ZodType<ServerDatabaseSpec>

/** Every key that a database may have. */
export const DATABASE_KEYS: readonly string[] = [sqliteSchema, serverSchema].flatMap(({ shape }) => Object.keys(shape))

export const databaseSchema = z
  .discriminatedUnion('type', [sqliteSchema, serverSchema])
  .superRefine((database, context) => {
    if (database.type === 'sqlite') return
    const { server, host, socket, user, passwordEnv, passwordFile } = database
    const own = host ?? socket ?? user ?? passwordEnv ?? passwordFile ?? database.port ?? database.tls
    const complain = (message: string): void => context.addIssue({ code: 'custom', message })
    if (server !== undefined && own !== undefined)
      complain('names a server of the settings file, and says itself where it is')
    if (server === undefined && user === undefined) complain('names neither a server of the settings file nor a user')
    if (socket !== undefined && (host ?? database.port) !== undefined) complain('has a socket and a host')
    if (passwordEnv !== undefined && passwordFile !== undefined) complain('has two places for its password')
  }) satisfies z.ZodType<DatabaseSpec>
