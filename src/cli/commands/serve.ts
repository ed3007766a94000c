import type { Command } from 'commander'
import type { App, Serving } from '../../app.ts'
import { Redactor } from '../../lib/redact.ts'
import { EXIT } from '../exit.ts'
import { UsageError } from '../failure.ts'
import * as parse from '../parse.ts'
import { dataDirOf } from '../reach.ts'
import type { Session } from '../session.ts'

interface ServeOptions {
  host?: string
  port?: number
  behindTlsProxy?: true
}

const EXAMPLES = `
The access token is printed once, at the first start; later starts name the file that holds it.
It logs to stderr: JSON lines, or text on a terminal; log.level in settings.json or RATCHET_LOG says how much.
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
    .option('--host <host>', 'address to listen on (default: as in settings.json, else 127.0.0.1)')
    .option(
      '--port <port>',
      'port; 0 lets the system choose (default: as in settings.json)',
      parse.parseInteger(0, 65_535),
    )
    .option('--behind-tls-proxy', 'listen beyond this machine: a proxy in front speaks TLS')
    .addHelpText('after', EXAMPLES)
    .action((options: ServeOptions, command: Command) => serve(session, command, options))
}

/** Addresses only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

async function serve(session: Session, command: Command, options: ServeOptions): Promise<void> {
  const globals = session.globals(command)
  if (globals.url !== undefined) throw new UsageError('serve runs a server here; --url asks one elsewhere')
  const dataDir = dataDirOf(globals, session.io)
  // Loaded here, so that other commands start without a web server in memory.
  const [app, { loadSettings }, { serverLog }] = await Promise.all([
    import('../../app.ts'),
    import('../../settings/settings.ts'),
    import('../report/server-log.ts'),
  ])
  const address = addressOf(loadSettings(session.io.disk, dataDir).listen, options)
  const stop = new AbortController()
  const off = session.io.onSignal(() => {
    if (stop.signal.aborted) session.io.exit(EXIT.interrupted)
    stop.abort()
  })
  try {
    await using ratchet = await app.createApp({ dataDir })
    const log = serverLog(session.io, ratchet.settings.log, new Redactor([ratchet.token().token]))
    const server = await app.serve(ratchet, { ...address, log })
    announce(session, globals.json === true, ratchet, server)
    log.log('info', `listening at ${server.url}`)
    await aborted(stop.signal)
    await server.close()
    log.log('info', 'stopped')
  } finally {
    off()
  }
}

interface Address {
  host: string
  port: number
  behindTlsProxy: boolean
}

/** Flags over settings; nothing but loopback without TLS in front (the token would cross the network in the open). */
function addressOf(settings: Address, options: ServeOptions): Address {
  const host = (options.host ?? settings.host).replace(/^\[(.*)\]$/, '$1')
  const port = options.port ?? settings.port
  const behindTlsProxy = options.behindTlsProxy ?? settings.behindTlsProxy
  if (isLoopback(host) || behindTlsProxy) return { host, port, behindTlsProxy }
  throw new UsageError(
    `${host} can be reached from other machines, and this server speaks plain HTTP`,
    'Put a proxy that speaks TLS in front and add --behind-tls-proxy, or leave --host out.',
  )
}

function announce(session: Session, json: boolean, app: App, server: Serving): void {
  const { dataDir } = app
  const tokenFile = app.token().file
  if (json) {
    const token = server.tokenIsNew ? { token: server.token } : {}
    const setup = server.setup?.token ? { setupToken: server.setup.token } : {}
    return session.printJson({ event: 'listening', url: server.url, dataDir, tokenFile, ...token, ...setup })
  }
  session.print(`Ratchet listens at ${server.url}`, `  data   ${dataDir}`)
  if (server.tokenIsNew) session.print(`  token  ${server.token}  (shown this once; kept in ${tokenFile})`)
  else session.print(`  token  in ${tokenFile}`)
  if (server.setup?.token)
    session.print(
      `  setup  ${server.setup.token}  (makes the first admin with the method setUp, once, within the hour)`,
    )
  else if (server.setup !== null) session.print(`  setup  in ${server.setup.file}`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
