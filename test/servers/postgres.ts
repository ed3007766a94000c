import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'

/** A PostgreSQL of the test's own: data in a temporary folder, a socket there, a free port on loopback. */
export interface PostgresServer extends AsyncDisposable {
  /** The folder its socket lies in. */
  readonly socket: string
  readonly port: number
  readonly pid: number
  /** Folder of its programs. */
  readonly programs: string
  /** Where its configuration lies: `pg_hba.conf`. */
  readonly data: string
  /** A connection of its superuser; ended with the server. */
  connect(database?: string): Promise<pg.Client>
  /** As a user would: the vendor's client, a file of SQL. Its exit code and what it says. */
  psql(database: string, args: readonly string[]): { status: number | null; stdout: string; stderr: string }
  pgDump(database: string, args: readonly string[]): string
  reload(): void
}

const START_LIMIT = 60_000

/** Debian keeps the server's programs out of PATH. */
function programFolder(): string | null {
  const debian = fs.existsSync('/usr/lib/postgresql') ? fs.readdirSync('/usr/lib/postgresql') : []
  const folders = debian.toSorted((a, b) => Number(b) - Number(a)).map((v) => `/usr/lib/postgresql/${v}/bin`)
  return [...folders, '/usr/local/bin', '/usr/bin'].find((f) => fs.existsSync(path.join(f, 'initdb'))) ?? null
}

const BIN = programFolder()

/** Whether it is installed: `.ci/run` sees to that; elsewhere what needs it is skipped. */
export const hasPostgres = BIN !== null && fs.existsSync(path.join(BIN, 'postgres'))

const ENV = { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8', TZ: 'UTC' }

/** The server refuses to run as root. */
function account(): { uid?: number; gid?: number } {
  if (process.geteuid?.() !== 0) return {}
  const entries = fs.readFileSync('/etc/passwd', 'utf8').split('\n')
  const line = ['postgres:', 'nobody:'].map((name) => entries.find((one) => one.startsWith(name))).find(Boolean)
  const [, , uid, gid] = (line ?? '').split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export async function startPostgres(options: readonly string[] = []): Promise<PostgresServer> {
  if (BIN === null) throw new Error('PostgreSQL is not installed')
  const who = account()
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-postgres-'))
  if (who.uid !== undefined && who.gid !== undefined) fs.chownSync(folder, who.uid, who.gid)
  const data = path.join(folder, 'data')
  const made = spawnSync(
    path.join(BIN, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions'],
    { ...who, cwd: folder, env: ENV, encoding: 'utf8', timeout: START_LIMIT },
  )
  if (made.status !== 0) throw new Error(`initdb: ${made.stdout}${made.stderr}${String(made.error ?? '')}`)
  const port = await freePort()
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: folder,
    fsync: 'off',
    shared_buffers: '64MB',
    max_connections: '30',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const log = path.join(folder, 'log')
  const out = fs.openSync(log, 'a')
  const child = spawn(path.join(BIN, 'postgres'), ['-D', data, ...args, ...options], {
    ...who,
    cwd: folder,
    env: ENV,
    stdio: ['ignore', out, out],
  })
  fs.closeSync(out)
  const clients: pg.Client[] = []
  const connect = async (database = 'postgres'): Promise<pg.Client> => {
    const client = new pg.Client({ host: folder, port, user: 'postgres', database })
    client.on('error', () => {})
    await client.connect()
    clients.push(client)
    return client
  }
  await untilReady(connect, child, log)
  return {
    socket: folder,
    port,
    pid: child.pid ?? 0,
    programs: BIN,
    data,
    connect,
    psql(database, given) {
      const client = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', folder, '-p', String(port), '-U', 'postgres']
      const ran = spawnSync(path.join(BIN, 'psql'), [...client, '-d', database, ...given], {
        cwd: folder,
        env: ENV,
        encoding: 'utf8',
        timeout: START_LIMIT,
        maxBuffer: 1 << 28,
      })
      return { status: ran.status, stdout: ran.stdout, stderr: ran.stderr }
    },
    pgDump(database, given) {
      const args = ['-h', folder, '-p', String(port), '-U', 'postgres', ...given, database]
      const ran = spawnSync(path.join(BIN, 'pg_dump'), args, {
        cwd: folder,
        env: { ...ENV, PGOPTIONS: '-c standard_conforming_strings=on -c statement_timeout=0 -c lc_monetary=C' },
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      })
      if (ran.status !== 0) throw new Error(`pg_dump: ${ran.stderr}`)
      return ran.stdout
    },
    reload: () => void child.kill('SIGHUP'),
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client.end()
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGQUIT') // at once; its children end with it
        await ended
      }
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function untilReady(connect: () => Promise<pg.Client>, child: ChildProcess, log: string): Promise<void> {
  const until = Date.now() + START_LIMIT
  for (;;) {
    try {
      await connect()
      return
    } catch (error) {
      if (child.exitCode !== null || Date.now() > until) {
        child.kill('SIGKILL')
        throw new Error(`PostgreSQL did not start: ${fs.readFileSync(log, 'utf8').slice(-2000)}`, { cause: error })
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
