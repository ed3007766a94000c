import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { BackupError, errnoOf } from '../lib/errors.ts'
import { MOST_HEADERS } from './door.ts'
import { limitConnections, type ConnectionLimits } from './connections.ts'

export interface ListenOptions {
  readonly host: string
  /** 0: chosen by the system. */
  readonly port: number
  /** A proxy with TLS stands in front: without it only loopback may be listened on. */
  readonly behindTlsProxy?: boolean
  readonly limits?: ConnectionLimits
  /** Time for a request's headers, and for all of it. Milliseconds. */
  readonly headersTimeoutMs?: number
  readonly requestTimeoutMs?: number
}

export interface Listening {
  readonly host: string
  readonly port: number
  /** `http://127.0.0.1:8731` */
  readonly url: string
  /** Takes no more connections, lets running requests end for at most `graceMs`, then closes the rest. */
  close(graceMs?: number): Promise<void>
}

/** BAD_REQUEST when the address may not be used or cannot be had. */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<Listening> {
  const { host, port } = options
  if (!isLoopbackHost(host) && options.behindTlsProxy !== true)
    throw new BackupError(
      'BAD_REQUEST',
      `refusing to listen on ${host}: the token would cross the network unprotected`,
      {
        hint: 'Listen on 127.0.0.1, or put a proxy with TLS in front and set listen.behindTlsProxy in the settings file.',
        data: { host },
      },
    )
  const server = createServer({ maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 1_000 }, handler)
  server.maxHeadersCount = MOST_HEADERS + 1 // which the door then refuses
  server.requestTimeout = options.requestTimeoutMs ?? 30_000
  server.headersTimeout = options.headersTimeoutMs ?? 10_000
  server.keepAliveTimeout = 10_000
  limitConnections(server, options.limits)
  await bind(server, host, port)
  const actual = (server.address() as AddressInfo).port
  const name = host.includes(':') ? `[${host}]` : host
  return { host, port: actual, url: `http://${name}:${actual}`, close: (graceMs = 10_000) => close(server, graceMs) }
}

const isLoopbackHost = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)

function bind(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const hint = errnoOf(error) === 'EADDRINUSE' ? 'Another program uses the port; choose another one.' : undefined
      reject(
        new BackupError('BAD_REQUEST', `cannot listen on ${host}:${port}: ${error.message}`, {
          cause: error,
          ...(hint === undefined ? {} : { hint }),
          data: { host, port },
        }),
      )
    })
    server.listen(port, host, () => resolve())
  })
}

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), graceMs)
    // A connection that was busy a moment ago would be kept for its next request.
    const sweep = setInterval(() => server.closeIdleConnections(), 50)
    server.close(() => {
      clearTimeout(timer)
      clearInterval(sweep)
      resolve()
    })
    server.closeIdleConnections()
  })
}
