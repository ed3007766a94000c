import { randomBytes } from 'node:crypto'
import dns from 'node:dns/promises'
import { isIP } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import tls from 'node:tls'
import { realDisk, writeFully } from '../../lib/disk.ts'
import { BackupError, errnoOf } from '../../lib/errors.ts'
import { runProgram, streamProgram } from '../../lib/program.ts'
import { AuthWatch } from './auth-watch.ts'
import { said } from '../server-errors.ts'
import { askedForPassword } from './errors.ts'
import { qualified } from './identifier.ts'
import { hostOf, portOf, type PostgresTarget } from './target.ts'

/** The vendor's own program for definitions. */
export interface PgDump {
  /** Absolute. */
  readonly path: string
  readonly major: number
}

const VERSIONS = ['/usr/lib/postgresql', '/usr/local/lib/postgresql', '/opt/postgresql'] as const
const FOLDERS = [
  '/usr/pgsql-18/bin',
  '/usr/pgsql-17/bin',
  '/usr/pgsql-16/bin',
  '/usr/local/pgsql/bin',
  '/usr/local/bin',
]
/** Debian's here is a script that reads files of the account: the last to be asked. */
const LAST = '/usr/bin'
const ASK = { timeoutMs: 10_000, maxBuffer: 1 << 16 }
/** It waits for whoever reads it, and that may be long. */
const RUN_MS = 6 * 3_600_000
const LOCK_MS = 60_000
/** Since this version it can be told not to give the password itself to whoever asks. */
const SAYS_HOW = 16

let known: readonly PgDump[] | null = null

/** The newest on this machine that is at least as new as the server, or null. */
export function findPgDump(serverVersion: number): PgDump | null {
  known ??= candidates().flatMap(askVersion)
  const fit = known.filter(({ major }) => major >= Math.floor(serverVersion / 10_000))
  return fit.toSorted((a, b) => b.major - a.major)[0] ?? null
}

function candidates(): string[] {
  const versioned = VERSIONS.flatMap((folder) => namesIn(folder).map((name) => path.join(folder, name, 'bin')))
  const found = [...versioned, ...FOLDERS].map((folder) => path.join(folder, 'pg_dump')).filter(isThere)
  return found.length > 0 ? found : [path.join(LAST, 'pg_dump')].filter(isThere)
}

function namesIn(folder: string): string[] {
  try {
    return realDisk.readdir(folder).map(String)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EACCES') return []
    throw error
  }
}

function isThere(file: string): boolean {
  try {
    return realDisk.stat(file).kind === 'file'
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) return false
    throw error
  }
}

function askVersion(file: string): PgDump[] {
  const { code, stdout } = runProgram(file, ['--version'], ASK)
  const [, major] = /^pg_dump \(PostgreSQL\) (\d+)/.exec(stdout.toString('utf8')) ?? []
  return code === 0 && major !== undefined ? [{ path: file, major: Number(major) }] : []
}

export interface PgDumpOrder {
  readonly section: 'pre-data' | 'post-data'
  /** An exported snapshot; null: its own. */
  readonly snapshot: string | null
  readonly encoding: 'UTF8' | 'SQL_ASCII'
  /** Relations that are left out, by schema and name. */
  readonly without: readonly (readonly [schema: string, name: string])[]
}

/** What it says, as it says it. DATABASE_FAILED where it fails, with its own words. */
export async function* runPgDump(program: PgDump, target: PostgresTarget, order: PgDumpOrder): AsyncGenerator<Buffer> {
  using folder = new PrivateFolder()
  const args = [
    `--section=${order.section}`,
    `--encoding=${order.encoding}`,
    `--lock-wait-timeout=${LOCK_MS}`,
    ...(order.snapshot === null ? [] : [`--snapshot=${order.snapshot}`]),
    ...['--no-password', '--no-owner', '--no-privileges', '--no-tablespaces', '--no-subscriptions'],
    '--no-security-labels',
    ...order.without.map(([schema, name]) => `--exclude-table=${qualified(schema, name)}`),
  ]
  const isOpen = target.tls === undefined && target.password !== '' && program.major < SAYS_HOW
  await using watch = isOpen ? await AuthWatch.listen(target, folder.path) : null
  const environment = await environmentOf(target, program, folder)
  const env = watch === null ? environment : { ...environment, PGHOST: folder.path }
  using running = streamProgram(program.path, args, { timeoutMs: RUN_MS, env })
  try {
    yield* running.output
  } catch (error) {
    throw new BackupError('DATABASE_FAILED', `pg_dump (${program.path}) could not be run`, { cause: error })
  }
  const { code, stderr } = await running.end
  if (code === 0) return
  if (watch?.refused === true) throw askedForPassword(target)
  const what = code === null ? 'pg_dump was ended' : `pg_dump ended with ${code}`
  throw new BackupError(failureOf(stderr), `${what}: ${said(stderr.trim())}`)
}

function failureOf(stderr: string): 'DATABASE_DENIED' | 'DATABASE_BUSY' | 'UNREACHABLE' | 'DATABASE_FAILED' {
  if (/permission denied|must be owner|authentication failed/.test(stderr)) return 'DATABASE_DENIED'
  if (/lock timeout|could not obtain lock|too many clients/.test(stderr)) return 'DATABASE_BUSY'
  if (
    /server closed the connection|terminating connection|invalid snapshot identifier|does not exist.*snapshot/.test(
      stderr,
    )
  )
    return 'UNREACHABLE'
  return 'DATABASE_FAILED'
}

/**
 * Everything it would look up elsewhere is said here, so that no file of the account counts: the same server, over the
 * same kind of connection, as ours. The password stands nowhere but in its own environment.
 */
async function environmentOf(
  target: PostgresTarget,
  { major }: PgDump,
  folder: PrivateFolder,
): Promise<Record<string, string>> {
  const nothing = path.join(folder.path, 'none')
  const { password, tls: secure } = target
  return {
    HOME: folder.path,
    PGHOST: hostOf(target),
    PGPORT: String(portOf(target)),
    PGUSER: target.user,
    PGDATABASE: target.database,
    PGAPPNAME: 'ratchet',
    PGCONNECT_TIMEOUT: '10',
    PGPASSFILE: nothing,
    PGSERVICEFILE: nothing,
    PGSYSCONFDIR: nothing,
    PGSSLCERT: nothing,
    PGSSLKEY: nothing,
    PGSSLCRL: nothing,
    PGGSSENCMODE: 'disable',
    PGTZ: 'UTC',
    // It takes these over from the server, whatever the database says.
    PGOPTIONS: '-c statement_timeout=0 -c standard_conforming_strings=on -c lc_monetary=C',
    ...(password === '' ? {} : { PGPASSWORD: password }),
    ...(secure === undefined ? plain(major) : await verified(target, secure, folder)),
  }
}

/** Without TLS, the password itself is told to nobody, by those that can be told so. */
const plain = (major: number): Record<string, string> => ({
  PGSSLMODE: 'disable',
  ...(major >= SAYS_HOW ? { PGREQUIREAUTH: '!password,!gss,!sspi' } : {}),
})

async function verified(
  target: PostgresTarget,
  { ca, name }: NonNullable<PostgresTarget['tls']>,
  folder: PrivateFolder,
): Promise<Record<string, string>> {
  const host = hostOf(target)
  const common = {
    PGSSLMODE: 'verify-full',
    PGSSLMINPROTOCOLVERSION: 'TLSv1.2',
    PGSSLROOTCERT: folder.write('ca.pem', ca ?? tls.rootCertificates.join('\n')),
  }
  if (name === undefined || name === host) return common
  // It is asked at one address and proves that it is another name.
  const address = isIP(host) === 0 ? (await dns.lookup(host)).address : host
  return { ...common, PGHOST: name, PGHOSTADDR: address }
}

/** A folder of our own, for the time that the program runs. */
class PrivateFolder implements Disposable {
  readonly path = path.join(os.tmpdir(), `ratchet-${randomBytes(12).toString('hex')}`)
  readonly #files: string[] = []

  constructor() {
    realDisk.mkdir(this.path, 0o700)
  }

  write(name: string, text: string): string {
    const file = path.join(this.path, name)
    const fd = realDisk.open(file, 'create')
    this.#files.push(file)
    try {
      writeFully(realDisk, fd, Buffer.from(text), 0)
    } finally {
      realDisk.close(fd)
    }
    return file
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) realDisk.unlink(file)
    realDisk.rmdir(this.path)
  }
}
