import type { Disk } from '../lib/disk.ts'
import { readFileIfThere } from '../lib/durable-file.ts'
import { BackupError } from '../lib/errors.ts'
import type { ServerAccess, ServerDatabaseSpec } from '../engine/spec.ts'
import type { Environment, Keys } from './keys.ts'
import { unseal } from './sealed.ts'
import { boundTo, secureOf } from './server-identity.ts'
import type { Settings } from './settings.ts'

/** Where to connect to, with the secret; never kept anywhere. */
export interface DatabaseTarget {
  readonly host?: string
  readonly port?: number
  readonly socket?: string
  readonly user: string
  readonly password: string
  readonly database: string
  readonly tls?: { readonly ca?: string; readonly name?: string }
}

/** A password file is one line. Bytes. */
const LONGEST_SECRET = 4096

/**
 * Finds the server of a database and its password. A server on another machine is spoken to by TLS alone (S-SRV-1).
 * PROFILE_INVALID: no such server, no password where it is said to be, or one that was stored for another server.
 * STATE_DAMAGED: the key is gone or damaged.
 */
export function targetOf(
  disk: Disk,
  spec: Wanted,
  servers: Settings['databaseServers'],
  { env, keys }: { readonly env: Environment; readonly keys: Keys },
): DatabaseTarget {
  const access: Access = spec.server === undefined ? spec : named(spec, servers)
  const { host = 'localhost', port, socket, user } = access
  if (user === undefined) throw invalid(spec, 'no user is named for it', 'Name one, with the server.')
  const read = (file: string, what: string): string => readText(disk, spec, file, what)
  const secure = secureOf(access)
  const { ca, name } = secure ?? {}
  return {
    ...(socket === undefined ? { host } : { socket }),
    ...(port === undefined ? {} : { port }),
    ...{ user, password: openOf(spec, keys) ?? passwordOf(spec, access, env, read), database: spec.database },
    ...(secure === undefined
      ? {}
      : {
          tls: {
            ...(ca === undefined ? {} : { ca: read(ca, 'the file of certificates') }),
            ...(name === undefined ? {} : { name }),
          },
        }),
  }
}

/** A database that is read, or one that is put back. */
type Wanted = Pick<ServerDatabaseSpec, 'type' | 'server' | 'database'> & ServerAccess
type Access = ServerAccess & { password?: string }

function named(spec: Wanted, servers: Settings['databaseServers']): Access {
  const { server = '' } = spec
  const found = Object.hasOwn(servers, server) ? servers[server] : undefined
  if (found !== undefined) return found
  throw invalid(spec, `the settings file names no server ${JSON.stringify(server)}`, 'Add it under "databaseServers".')
}

function openOf(spec: ServerDatabaseSpec, keys: Keys): string | null {
  if (spec.passwordSealed === undefined) return null
  const key = keys.present()
  try {
    return unseal(spec.passwordSealed, key, boundTo(spec))
  } catch (error) {
    if (error instanceof BackupError) throw invalid(spec, error.message, error.hint, error)
    throw error
  }
}

function passwordOf(
  spec: Wanted,
  { password, passwordEnv, passwordFile }: Access,
  env: Environment,
  read: (file: string, what: string) => string,
): string {
  if (password !== undefined) return password
  if (passwordFile !== undefined) return firstLine(read(passwordFile, 'the password file'))
  if (passwordEnv === undefined) return ''
  const found = env[passwordEnv]
  if (found !== undefined) return found
  throw invalid(spec, `the variable ${passwordEnv} is not set`, 'Set it where Ratchet is started.')
}

function readText(disk: Disk, spec: Wanted, file: string, what: string): string {
  const hint = 'Check that it is there and that this account may read it.'
  let bytes
  try {
    bytes = readFileIfThere(disk, file)
  } catch (error) {
    throw invalid(spec, `${what} ${file} cannot be read`, hint, error)
  }
  if (bytes !== null) return bytes.toString('utf8')
  throw invalid(spec, `${what} ${file} is not there`, hint)
}

const firstLine = (text: string): string => text.slice(0, LONGEST_SECRET).split(/\r?\n/, 1)[0] ?? ''

function invalid({ database }: Wanted, why: string, hint: string, cause?: unknown): BackupError {
  return new BackupError('PROFILE_INVALID', `the database ${database} cannot be reached: ${why}`, { hint, cause })
}
