import type { ServerAccess, ServerDatabaseSpec } from '../engine/spec.ts'
import type { Bound } from './sealed.ts'

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/i
const PORTS = { mysql: 3306, postgresql: 5432 } as const

/** How TLS is spoken, which a server on another machine has to (S-SRV-1); undefined: it is not. */
export function secureOf({ host = 'localhost', socket, tls }: ServerAccess): ServerAccess['tls'] {
  const far = socket === undefined && !LOOPBACK.test(host)
  return tls ?? (far ? {} : undefined)
}

/**
 * Whom a password is for: the server, how it proves that it is that one, and the account. Whoever can write
 * `profiles.json` cannot have the password sent elsewhere by changing any of them. Defaults are written out, so that
 * saying them changes nothing.
 */
export function boundTo(database: ServerAccess & Pick<ServerDatabaseSpec, 'type'>): Bound {
  const { type, host = 'localhost', port = PORTS[type], socket, user } = database
  const secure = secureOf(database)
  const to = JSON.stringify({
    type,
    ...(socket === undefined ? { host: host.toLowerCase(), port } : { socket }),
    user: user ?? null,
    tls: secure === undefined ? null : { ca: secure.ca ?? null, name: secure.name?.toLowerCase() ?? null },
  })
  return { purpose: 'database-password', to }
}
