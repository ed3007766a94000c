import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import mysql from 'mysql2/promise'

/** A MariaDB of the test's own: data in a temporary folder, a socket there, a free port on loopback. */
export interface MariadbServer extends AsyncDisposable {
  readonly socket: string
  readonly port: number
  readonly pid: number
  readonly root: mysql.Connection
  /** As a user would: the vendor's client, SQL on its standard input, and comments kept. Its exit code and what it says. */
  client(database: string, sql: Uint8Array, cwd?: string): { status: number | null; stderr: string }
}

const START_LIMIT = 60_000

/** Servers lie where an account without rights does not look. */
const ENV = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin` }

/** Whether it is installed: `.ci/run` sees to that; elsewhere what needs it is skipped. */
export const hasMariadb = ['mariadbd', 'mariadb-install-db', 'mariadb'].every(
  (program) => spawnSync(program, ['--version'], { env: ENV }).status === 0,
)

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const asUser = process.geteuid?.() === 0 ? ['--user=root'] : []

export async function startMariadb(options: readonly string[] = []): Promise<MariadbServer> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-mariadb-'))
  const data = path.join(folder, 'data')
  const socket = path.join(folder, 's.sock')
  const install = ['--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db', `--datadir=${data}`]
  const made = spawnSync('mariadb-install-db', [...install, ...asUser], {
    encoding: 'utf8',
    timeout: START_LIMIT,
    env: ENV,
  })
  if (made.status !== 0) throw new Error(`mariadb-install-db: ${made.stdout}${made.stderr}${String(made.error ?? '')}`)
  const port = await freePort()
  const child = spawn(
    'mariadbd',
    [
      ...['--no-defaults', `--datadir=${data}`, `--socket=${socket}`, `--port=${port}`, '--bind-address=127.0.0.1'],
      ...['--skip-name-resolve', '--innodb-flush-log-at-trx-commit=0', '--innodb-buffer-pool-size=64M'],
      ...[`--log-error=${path.join(folder, 'error.log')}`, ...asUser, ...options],
    ],
    { stdio: 'ignore', env: ENV },
  )
  const root = await connectAtLast(socket, child, folder)
  return {
    socket,
    port,
    pid: child.pid ?? 0,
    root,
    client(database, sql, cwd) {
      const args = [
        '--no-defaults',
        `--socket=${socket}`,
        '--user=root',
        '--default-character-set=utf8mb4',
        '--comments',
        database,
      ]
      const ran = spawnSync('mariadb', args, {
        input: sql,
        encoding: 'utf8',
        timeout: START_LIMIT,
        env: ENV,
        ...(cwd === undefined ? {} : { cwd }),
      })
      return { status: ran.status, stderr: ran.stderr }
    },
    async [Symbol.asyncDispose]() {
      root.destroy()
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await ended
      }
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function connectAtLast(socketPath: string, child: ChildProcess, folder: string): Promise<mysql.Connection> {
  const until = Date.now() + START_LIMIT
  for (;;) {
    try {
      return await mysql.createConnection({ socketPath, user: 'root', multipleStatements: true, charset: 'utf8mb4' })
    } catch (error) {
      if (child.exitCode !== null || Date.now() > until) {
        child.kill('SIGKILL')
        const log = path.join(folder, 'error.log')
        const said = fs.existsSync(log) ? fs.readFileSync(log, 'utf8').slice(-2000) : ''
        throw new Error(`MariaDB did not start: ${said}`, { cause: error })
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
