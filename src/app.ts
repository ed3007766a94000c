import { randomBytes } from 'node:crypto'
import os from 'node:os'
import path from 'node:path'
import { noteJobs } from './access/job-trail.ts'
import { openAccess } from './access/open.ts'
import { createArchives } from './contents/archives.ts'
import { LocalShelf, type Shelf } from './contents/shelf.ts'
import { ThreadedShelf } from './contents/threads.ts'
import type { PasswordCost } from './access/password.ts'
import type { SetupToken } from './access/setup.ts'
import { openToken, type OpenedToken } from './access/token.ts'
import { memoryCatalogue, openCatalogue, type Catalogue } from './engine/catalogue.ts'
import { RatchetEngine } from './engine/engine.ts'
import type { JobView } from './engine/job.ts'
import { systemProcesses } from './engine/owner.ts'
import { jobPaths } from './engine/paths.ts'
import { LEASE_GRACE } from './engine/held-job.ts'
import type { StepRunner } from './engine/runner.ts'
import type { DatabaseTests, ProfileRun, Services } from './engine/services.ts'
import { JobStore } from './engine/store.ts'
import { WarmStore } from './engine/warm.ts'
import { WorkerRunner, type ThreadData } from './engine/worker.ts'
import { systemClock, type Clock } from './lib/clock.ts'
import { realDisk, type Disk } from './lib/disk.ts'
import { ensureFolder } from './lib/durable-file.ts'
import { asBackupError, BackupError } from './lib/errors.ts'
import type { Logger } from './lib/logger.ts'
import { Redactor } from './lib/redact.ts'
import type { Thread } from './lib/thread.ts'
import { Keys } from './settings/keys.ts'
import { createProfiles } from './settings/profiles.ts'
import { createRoots } from './settings/roots.ts'
import { loadSettings, type Settings } from './settings/settings.ts'
import { startStepThread } from './step-thread.ts'
import { VERSION } from './version.ts'

/** The composition root: with `step-parts.ts` the only file that knows every folder. */

export interface AppOptions {
  readonly dataDir: string
  readonly disk?: Disk
  readonly clock?: Clock
  /** Helper threads for compression; default: one less than there are cores. */
  readonly threads?: number
  /**
   * How much longer than its slice a step's lease lasts. Milliseconds; default 30 s. A process that hangs longer may
   * be taken for lost: another one then takes its job over.
   */
  readonly leaseGraceMs?: number
  /** Steps run in this thread instead of a worker: tests, and short-lived programs. */
  readonly inline?: boolean
  /** A thread that was started ahead, by `startStepThread`: the first one used, if it still lives. It ends with the app. */
  readonly stepThread?: Thread
  /** What hashing a password costs; default as `access/password.ts` says. */
  readonly passwordCost?: PasswordCost
}

export interface App extends AsyncDisposable {
  readonly services: Services
  readonly engine: RatchetEngine
  readonly dataDir: string
  readonly settings: Settings
  /** The admin token. Made when it is first asked for: the start of a server, not a run of the command line. */
  token(): OpenedToken
  /** The setup token, made where there are no users yet: at the start of a server. */
  setup(): SetupToken | null
  /** Starts a backup of a profile, with overrides; its paths are the local caller's own. */
  startBackup(request: ProfileRun & { profile?: number; key?: string }): Promise<JobView>
}

/** Steps that may run at once. */
const STEP_THREADS = 4

export const defaultThreads = (): number => Math.max(0, Math.min(4, os.availableParallelism() - 1))

export async function createApp(options: AppOptions): Promise<App> {
  const disk = options.disk ?? realDisk
  const clock = options.clock ?? systemClock
  const dataDir = path.resolve(options.dataDir)
  const settings = openDataFolder(disk, dataDir)
  const nonce = randomBytes(6).toString('hex')
  const { leaseGraceMs: graceMs = LEASE_GRACE, threads = defaultThreads() } = options
  const processes = systemProcesses(disk, nonce)
  const store = new JobStore({ disk, clock, processes, paths: jobPaths(dataDir), graceMs })
  const runner =
    options.inline === true
      ? await inlineSteps(store, dataDir, threads)
      : threadedSteps({ dataDir, nonce, threads, graceMs }, options.stepThread ?? null)
  const engine = new RatchetEngine({ store, runner, catalogue: catalogueFor(disk, dataDir) })
  let host: OpenedToken | null = null
  const token = (): OpenedToken => (host ??= openToken(disk, dataDir))
  const hostToken = (): string => token().token
  const { passwordCost } = options
  const opened = openAccess({
    disk,
    clock,
    dataDir,
    hostToken,
    traffic: settings.limits,
    ...(passwordCost === undefined ? {} : { passwordCost }),
  })
  const untell = noteJobs(engine.events, opened.audit)
  const profiles = createProfiles({ disk, clock, folder: dataDir, host: os.hostname(), env: process.env })
  const archives = createArchives(engine, options.inline === true ? new LocalShelf(disk) : threadedShelf())
  const services: Services = {
    engine,
    archives,
    profiles,
    databases: databaseTests(dataDir),
    roots: createRoots(disk, () => loadSettings(disk, dataDir).roots),
    access: opened.access,
    accounts: opened.accounts,
    tickets: opened.tickets,
    audit: opened.audit,
    version: VERSION,
  }
  return {
    services,
    engine,
    dataDir,
    settings,
    token,
    setup: opened.setup,
    startBackup({ profile, key, ...run }) {
      const spec = profiles.plan(profile ?? 1, run)
      return engine.start({ kind: 'backup', spec, ...(key === undefined ? {} : { key }) })
    },
    async [Symbol.asyncDispose]() {
      await archives.close()
      await engine.close()
      untell()
    },
  }
}

/** The drivers are loaded when somebody asks. */
function databaseTests(dataDir: string): DatabaseTests {
  return {
    async test(database) {
      const [{ openSqlDump }, { probe }] = await Promise.all([import('./open-dump.ts'), import('./dump/probe.ts')])
      const redactor = new Redactor()
      const found = await probe(() => openSqlDump(dataDir, database, database.consistency ?? 'snapshot', redactor))
      return found.ok ? found : { ...found, error: { ...found.error, message: redactor.text(found.error.message) } }
    },
  }
}

/** What makes any start senseless is found before anything is written. */
function openDataFolder(disk: Disk, dataDir: string): Settings {
  new Keys(disk, dataDir, process.env).check()
  makeDataFolder(disk, dataDir)
  return loadSettings(disk, dataDir, { create: true })
}

function makeDataFolder(disk: Disk, dataDir: string): void {
  try {
    ensureFolder(disk, dataDir)
  } catch (error) {
    const hint = 'Give this account the right to write there, or name another data folder with --data or RATCHET_DATA.'
    const known = asBackupError(error, `the data folder ${dataDir} cannot be used`, 'OUTPUT_UNWRITABLE')
    throw known.code === 'OUTPUT_UNWRITABLE'
      ? new BackupError(known.code, known.message, { cause: error, hint })
      : known
  }
}

async function inlineSteps(store: JobStore, dataDir: string, threads: number): Promise<StepRunner> {
  // A thread of its own loads them else.
  const [{ openStages }, { inlineRunner }] = await Promise.all([
    import('./step-parts.ts'),
    import('./engine/runner.ts'),
  ])
  const redactor = new Redactor()
  const parts = openStages({ dataDir, threads, redactor })
  const runner = inlineRunner({ store, stages: parts.stages, warm: new WarmStore(), redactor })
  return {
    ...runner,
    async close() {
      await runner.close()
      parts[Symbol.dispose]()
    },
  }
}

/** Entry of a thread, beside this file. */
const threadEntry = (name: string): URL =>
  new URL(`./${name}.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)

const threadedShelf = (): Shelf => new ThreadedShelf(threadEntry('contents-loop'))

function threadedSteps(data: ThreadData, ahead: Thread | null): StepRunner {
  let next = ahead
  const start = (): Thread => {
    // One that has ended has no number any more, and would take messages without a word.
    const thread = next === null || next.threadId < 0 ? startStepThread() : next
    next = null
    return thread
  }
  const runner = new WorkerRunner({ start, data, threads: STEP_THREADS, clock: systemClock })
  return {
    run: (order) => runner.run(order),
    prepare: () => runner.prepare(),
    interrupt: (number) => runner.interrupt(number),
    async close() {
      await Promise.all([runner.close(), next?.terminate()])
    },
  }
}

function catalogueFor(disk: Disk, dataDir: string): Catalogue {
  // SQLite opens files by itself: with another disk than the real one there is no cache file.
  return disk === realDisk ? openCatalogue(disk, dataDir) : memoryCatalogue()
}

export interface Serving {
  readonly url: string
  readonly token: string
  readonly tokenIsNew: boolean
  /** While there are no users. */
  readonly setup: SetupToken | null
  close(): Promise<void>
}

/** Listens, and sweeps what was abandoned. What serves HTTP is loaded here: the command line needs none of it. */
export async function serve(
  app: App,
  options: { host: string; port: number; behindTlsProxy?: boolean; log?: Logger },
): Promise<Serving> {
  const [{ createHttpApp }, { listen }] = await Promise.all([import('./facade/http.ts'), import('./facade/listen.ts')])
  const { token, created } = app.token()
  const setup = app.setup()
  const { limits, listen: wish, allowedHosts: hosts } = app.settings
  const { trustedProxies } = wish
  const { log } = options
  const behindTlsProxy = options.behindTlsProxy ?? wish.behindTlsProxy
  const http = createHttpApp({ services: app.services, hosts, trustedProxies, behindTlsProxy, ...(log ? { log } : {}) })
  const listening = await listen(http, { host: options.host, port: options.port, behindTlsProxy, limits })
  await app.engine.sweep()
  const off = app.engine.events.on('finished', ({ kind, number, status }) => {
    log?.log('info', `${kind} ${number} is ${status}`, { job: number, status })
  })
  return {
    url: listening.url,
    token,
    tokenIsNew: created,
    setup,
    async close() {
      off()
      await listening.close()
    },
  }
}
