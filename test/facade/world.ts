import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { openAccess, type AccessOptions, type OpenedAccess } from '../../src/access/open.ts'
import { openToken } from '../../src/access/token.ts'
import { createArchives } from '../../src/contents/archives.ts'
import { LocalShelf } from '../../src/contents/shelf.ts'
import type { DatabaseProbe, Services } from '../../src/engine/services.ts'
import { createHttpApp } from '../../src/facade/http.ts'
import { listen, type Listening, type ListenOptions } from '../../src/facade/listen.ts'
import { systemClock, type Clock } from '../../src/lib/clock.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { createProfiles } from '../../src/settings/profiles.ts'
import { createRoots } from '../../src/settings/roots.ts'
import { FakeEngine, type FakeOptions } from './fake-engine.ts'

/** A listening server over a fake engine, with real access, settings and folders in a temporary place. */
/** What the test of any database finds. */
export const TESTED = {
  ...{
    server: 'MariaDB 10.11.1',
    consistency: 'snapshot' as const,
    tables: 3,
    rows: 1000,
    bytes: 123_456,
    keyless: ['log'],
  },
  ...{ exceptions: [], lacks: [{ kind: 'trigger', name: '*', why: 'hidden' }] },
} satisfies Partial<DatabaseProbe>

export interface World extends AsyncDisposable {
  readonly folder: string
  /** As the settings name them; may be changed. */
  readonly roots: Record<(typeof FOLDERS)[number], string[]>
  readonly engine: FakeEngine
  readonly services: Services
  readonly token: string
  readonly opened: OpenedAccess
  readonly server: Listening
  readonly internal: { id: string; error: unknown }[]
  /** A JSON-RPC call; the whole reply. */
  rpc(method: string, params?: unknown, id?: unknown): Promise<Reply>
  /** A raw body to /rpc with the right token. */
  post(body: string | Uint8Array, headers?: Record<string, string>): Promise<Response>
}

export interface Reply {
  jsonrpc?: string
  id?: unknown
  result?: Record<string, unknown>
  error?: { code: number; message: string; data?: Record<string, unknown> }
}

export interface WorldOptions extends FakeOptions {
  clock?: Clock
  listen?: Partial<ListenOptions>
  /** Limits of traffic and guessing, where the defaults are in a test's way. */
  access?: Pick<AccessOptions, 'traffic' | 'guard'>
  trustedProxies?: readonly string[]
  behindTlsProxy?: boolean
  /** Without a user: nobody has set the server up yet. */
  bare?: boolean
}

/** Hashing that takes no time: what a password costs is measured elsewhere. */
export const CHEAP = { memory: 64, passes: 1 }

/** Password of the user `first`. */
export const FIRST = 'the very first one'

const FOLDERS = ['sources', 'outputs', 'restores', 'archives'] as const

export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const { clock = systemClock, listen: listening = {}, access: limits = {}, trustedProxies = [], ...rest } = options
  const { behindTlsProxy = false, bare = false, ...fake } = rest
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-facade-')))
  for (const name of FOLDERS) fs.mkdirSync(path.join(folder, name))
  const { token } = openToken(realDisk, folder)
  const engine = new FakeEngine(fake)
  const roots = Object.fromEntries(FOLDERS.map((name) => [name, [path.join(folder, name)]])) as World['roots']
  const opened = openAccess({
    disk: realDisk,
    clock,
    dataDir: folder,
    hostToken: () => token,
    passwordCost: CHEAP,
    traffic: { requestsPerMinute: 1_000_000, startsPerMinute: 1_000_000, ...limits.traffic },
    ...(limits.guard === undefined ? {} : { guard: limits.guard }),
  })
  const services: Services = {
    engine,
    archives: createArchives(engine, new LocalShelf(realDisk)),
    profiles: createProfiles({ disk: realDisk, clock, folder, host: 'box' }),
    databases: { test: async () => ({ ok: true, ...TESTED }) },
    roots: createRoots(realDisk, () => roots),
    access: opened.access,
    accounts: opened.accounts,
    tickets: opened.tickets,
    audit: opened.audit,
    version: '9.9.9',
  }
  if (!bare) await opened.accounts.saveUser({ name: 'first', role: 'admin', password: FIRST })
  const internal: World['internal'] = []
  const app = createHttpApp({
    services,
    trustedProxies,
    behindTlsProxy,
    hosts: ['backup.example'],
    report: (id, error) => void internal.push({ id, error }),
    newId: () => 'fault-id',
  })
  const server = await listen(app, { host: '127.0.0.1', port: 0, ...listening })
  const post: World['post'] = (body, headers = {}) =>
    fetch(`${server.url}/rpc`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
      body,
    })
  return {
    folder,
    roots,
    engine,
    services,
    token,
    opened,
    server,
    internal,
    post,
    async rpc(method, params, id = 1) {
      const response = await post(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      return (await response.json()) as Reply
    },
    async [Symbol.asyncDispose]() {
      await server.close(0)
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Saves profile 1 with a source below the roots. */
export function saveStandard(world: World): void {
  world.services.profiles.save({
    id: 1,
    name: 'Default',
    sources: [{ type: 'directory', path: path.join(world.folder, 'sources') }],
    output: path.join(world.folder, 'outputs'),
    archive: 'site-[date]',
  })
}
