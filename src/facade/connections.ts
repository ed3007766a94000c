import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/**
 * How many connections are held open. Node has no limit of its own. Those that have not yet shown a
 * token have a smaller share, and when it is full the oldest of them goes: whoever opens connections
 * to say nothing loses them first.
 */
export interface ConnectionLimits {
  readonly connections: number
  readonly connectionsPerAddress: number
  readonly unauthenticated: number
  readonly unauthenticatedPerAddress: number
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  connections: 1024,
  connectionsPerAddress: 100,
  unauthenticated: 64,
  unauthenticatedPerAddress: 8,
}

const authenticated = new WeakSet<Socket>()

/** Notes that a right token came over this connection. */
export function markAuthenticated(socket: Socket): void {
  authenticated.add(socket)
}

export function limitConnections(server: Server, limits: ConnectionLimits = CONNECTION_LIMITS): void {
  const open = new Set<Socket>() // in the order of arrival
  server.maxConnections = limits.connections
  server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    const address = socket.remoteAddress
    const shared = address === undefined || isShared(address)
    const same = shared ? [] : [...open].filter((s) => s.remoteAddress === address)
    if (same.length > limits.connectionsPerAddress) return void socket.destroy()
    evict(same, limits.unauthenticatedPerAddress)
    evict([...open], limits.unauthenticated)
  })
}

/** Loopback: all local users, and everyone who comes through a proxy on this host. */
const isShared = (address: string): boolean => /^(::1|(::ffff:)?127(\.\d{1,3}){3})$/.test(address)

function evict(sockets: readonly Socket[], most: number): void {
  const strangers = sockets.filter((s) => !authenticated.has(s) && !s.destroyed)
  for (const socket of strangers.slice(0, Math.max(0, strangers.length - most))) socket.destroy()
}
