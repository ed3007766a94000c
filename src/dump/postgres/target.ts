import tls from 'node:tls'
import type { ClientConfig } from 'pg'
import { BackupError } from '../../lib/errors.ts'
import type { ServerTarget } from '../sql-dump.ts'

/** `socket`: the path itself (`/run/postgresql/.s.PGSQL.5432`), or the folder it lies in: `port` tells which one. */
export type PostgresTarget = ServerTarget

/** A name or an address, and nothing that a client of the vendor's would take for more: no list, no path, no option. */
const HOST = /^[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,254}$/

/** BAD_REQUEST: what cannot be a server, a user or a database; before anything is sent. */
export function checkTarget({ host, socket, port, user, password, database, tls: secure }: PostgresTarget): void {
  const wrong = (what: string): BackupError => new BackupError('BAD_REQUEST', what)
  for (const [what, text] of Object.entries({ user, database })) {
    if (text === '' || text.includes('\0') || Buffer.byteLength(text) > 255) throw wrong(`this cannot be a ${what}`)
  }
  if (password.includes('\0')) throw wrong('a password cannot hold a zero byte')
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) throw wrong('this cannot be a port')
  if (socket === undefined) {
    if (host !== undefined && !HOST.test(host)) throw wrong(`${JSON.stringify(host)} cannot be a host`)
    return
  }
  if (!socket.startsWith('/') || /[\0,\n]/.test(socket))
    throw wrong('the socket has to be the absolute path of a folder')
  if (secure !== undefined) throw wrong('a server is asked over its socket without TLS')
}

const SOCKET = /^(.*)\/\.s\.PGSQL\.(\d{1,5})$/

/** The folder of its socket, or its name. */
export const hostOf = ({ host, socket }: PostgresTarget): string =>
  socket === undefined ? (host ?? 'localhost') : SOCKET.exec(socket)?.[1] || socket
export const portOf = ({ port, socket }: PostgresTarget): number =>
  port ?? Number(SOCKET.exec(socket ?? '')?.[2] ?? 5432)

/** For the driver: everything it would look up in the environment or in files otherwise is said here. */
export function configOf(target: PostgresTarget, connectMs: number): ClientConfig {
  const secure = target.tls
  return {
    host: hostOf(target),
    port: portOf(target),
    user: target.user,
    database: target.database,
    // A function, even for an empty one: for an absent one the driver would search files.
    password: () => target.password,
    ssl: secure === undefined ? false : tlsOf(secure, hostOf(target)),
    sslnegotiation: 'postgres',
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 30_000,
    enableChannelBinding: secure !== undefined,
    // Nothing is converted: what the server says is text.
    types: { getTypeParser: () => (text: unknown) => text },
  } as ClientConfig
}

function tlsOf({ ca, name }: NonNullable<PostgresTarget['tls']>, host: string): tls.ConnectionOptions {
  return {
    ...(ca === undefined ? {} : { ca }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(name ?? host, certificate),
  }
}
