import path from 'node:path'
import type { Command } from 'commander'
import { loadApp } from '../app-contract.ts'
import { EXIT } from '../exit.ts'
import { UsageError } from '../failure.ts'
import * as parse from '../parse.ts'
import { dataDirOf } from '../reach.ts'
import type { Session } from '../session.ts'

export const DEFAULT_PORT = 8731

interface ServeOptions {
  host: string
  port: number
  behindTlsProxy?: true
}

const EXAMPLES = `
The access token is printed once, at the first start; later starts name the file that holds it.
SIGTERM or Ctrl-C: no new calls, running steps end (each within its slice), then the server leaves.

Examples:
  ratchet serve
  ratchet serve --port 0 --data /var/lib/ratchet
  ratchet serve --host 0.0.0.0 --behind-tls-proxy`

export function addServe(program: Command, session: Session): void {
  program
    .command('serve')
    .summary('run the server (JSON-RPC over HTTP)')
    .description('Runs the server: JSON-RPC at POST /rpc, its description at /openrpc.json, GET /health.')
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port; 0 lets the system choose', parse.parseInteger(0, 65_535), DEFAULT_PORT)
    .option('--behind-tls-proxy', 'listen beyond this machine: a proxy in front speaks TLS')
    .addHelpText('after', EXAMPLES)
    .action((options: ServeOptions, command: Command) => serve(session, command, options))
}

/** Addresses only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}

async function serve(session: Session, command: Command, options: ServeOptions): Promise<void> {
  const { host, port } = options
  if (!isLoopback(host) && options.behindTlsProxy !== true) {
    throw new UsageError(
      `${host} can be reached from other machines, and this server speaks plain HTTP`,
      'Put a proxy that speaks TLS in front and add --behind-tls-proxy, or leave --host out.',
    )
  }
  const globals = session.globals(command)
  if (globals.url !== undefined) throw new UsageError('serve runs a server here; --url asks one elsewhere')
  const { createApp, serve: listen } = await loadApp()
  const stop = new AbortController()
  const off = session.io.onSignal(() => {
    if (stop.signal.aborted) session.io.exit(EXIT.interrupted)
    stop.abort()
  })
  try {
    await using app = await createApp({ dataDir: dataDirOf(globals, session.io) })
    const server = await listen(app, { host, port })
    announce(session, globals.json === true, app.dataDir, server)
    await aborted(stop.signal)
    await server.close()
  } finally {
    off()
  }
}

interface Listening {
  readonly url: string
  readonly token: string
  readonly tokenIsNew: boolean
}

function announce(session: Session, json: boolean, dataDir: string, server: Listening): void {
  const tokenFile = path.join(dataDir, 'token')
  if (json) {
    const token = server.tokenIsNew ? { token: server.token } : {}
    return session.printJson({ event: 'listening', url: server.url, dataDir, tokenFile, ...token })
  }
  session.print(`Ratchet listens at ${server.url}`, `  data   ${dataDir}`)
  if (server.tokenIsNew) session.print(`  token  ${server.token}  (shown this once; kept in ${tokenFile})`)
  else session.print(`  token  in ${tokenFile}`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
