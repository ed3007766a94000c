import { z } from 'zod'
import { componentSchema, oneLine, pathSchema, textOf, whole } from './schema-words.ts'
import type { ServerAccess, ServerDatabaseSpec, SqliteSpec, WrittenDatabase } from './spec.ts'

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

/** What is shown in place of a password, and means "the one that is stored" where it is written. */
export const HIDDEN = '***'

const passwordSchema = textOf(1024)
  .min(1)
  .refine((text) => !text.includes('\0'), 'must not hold a zero byte')
const sealedSchema = z
  .string()
  .max(4096)
  .regex(/^sealed:v\d{1,4}:[A-Za-z0-9_-]+$/, 'must be what Ratchet has put there')

const serverDatabase = {
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
}

const writtenSchema = z.strictObject({
  ...serverDatabase,
  password: passwordSchema
    .exactOptional()
    .describe('The password itself. It is stored sealed and shown as ***; *** sent back keeps the one that is stored.'),
})

const storedSchema = z.strictObject({
  ...serverDatabase,
  password: passwordSchema
    .exactOptional()
    .describe(
      'The password itself. Ratchet puts it here sealed, as passwordSealed, as soon as the profile is saved or used. Write it to give a new one; an old passwordSealed then counts no more.',
    ),
  passwordSealed: sealedSchema
    .exactOptional()
    .describe('The password as Ratchet stores it, good for this server, user and tls alone. Not to be edited.'),
})

/** Every key that a database may have. */
export const DATABASE_KEYS: readonly string[] = [sqliteSchema, storedSchema].flatMap(({ shape }) => Object.keys(shape))

type Checked = z.output<typeof storedSchema> | SqliteSpec

function complainAbout(database: Checked, context: z.core.$RefinementCtx): void {
  if (database.type === 'sqlite') return
  const { server, host, socket, port, user, tls, passwordEnv, passwordFile } = database
  const password = database.password ?? database.passwordSealed
  const own = host ?? socket ?? user ?? password ?? passwordEnv ?? passwordFile ?? port ?? tls
  const complain = (message: string): void => context.addIssue({ code: 'custom', message })
  if (server !== undefined && own !== undefined)
    complain('names a server of the settings file, and says itself where it is')
  if (server === undefined && user === undefined) complain('names neither a server of the settings file nor a user')
  if (socket !== undefined && (host ?? port) !== undefined) complain('has a socket and a host')
  if ([password, passwordEnv, passwordFile].filter((one) => one !== undefined).length > 1)
    complain('has two places for its password')
}

/** As it is written by people and shown to them. */
export const databaseSchema = z
  .discriminatedUnion('type', [sqliteSchema, writtenSchema])
  .superRefine(complainAbout) satisfies z.ZodType<WrittenDatabase>

/** As `profiles.json` holds it: by us, or edited by people. */
export const storedDatabaseSchema = z
  .discriminatedUnion('type', [sqliteSchema, storedSchema])
  .superRefine(complainAbout) satisfies z.ZodType<StoredDatabase>

/** Sealed, or in the open where people have written it into the file. */
export type StoredDatabase = SqliteSpec | (ServerDatabaseSpec & { password?: string })
