import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Role } from '../../src/engine/services.ts'
import { createHttpApp, ROUTES } from '../../src/facade/http.ts'
import { methods } from '../../src/facade/jsonrpc/methods.ts'
import { createRpcServer } from '../../src/facade/jsonrpc/server.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { openWorld, saveStandard, type Reply, type World } from './world.ts'

/**
 * Who may do what, as one table, held against the product's own inventory: every method and every route, for each
 * kind of caller. A method or route that is not in the table fails the test.
 */

const PASSWORD = 'correct horse battery'
const ROLES: readonly Role[] = ['viewer', 'operator', 'restorer', 'admin']

/** Callers whose token counts for nothing. */
const STRANGERS = ['no token', 'malformed', 'wrong', 'expired', 'revoked', 'setup token'] as const
/** Callers that are somebody: logins of just now, a login of an admin from before, API tokens, the token file. */
const KNOWN = [
  ...ROLES,
  'stale admin',
  'stale restorer',
  'token admin',
  'token restorer',
  'token operator',
  'host',
] as const
/** Limited to profile 2, while everything in question is of profile 1 or somebody else's. */
const OTHERS = ['other viewer', 'other operator', 'other restorer'] as const
type Caller = (typeof STRANGERS)[number] | (typeof KNOWN)[number] | (typeof OTHERS)[number]

const viewers: readonly Caller[] = KNOWN
const operators: readonly Caller[] = ['operator', 'admin', 'stale admin', 'token admin', 'token operator', 'host']
const restorers: readonly Caller[] = ['restorer', 'admin', 'token restorer', 'token admin', 'host']
const steppers: readonly Caller[] = [...restorers, 'stale admin', 'stale restorer']
/** Bytes of a backup are what a restore gives back: the same role, but nothing is overwritten. */
const downloaders: readonly Caller[] = [...restorers, 'stale admin', 'stale restorer']
const admins: readonly Caller[] = ['admin', 'stale admin', 'token admin', 'host']
const freshAdmins: readonly Caller[] = ['admin', 'host']
const fresh: readonly Caller[] = [...ROLES, 'host']

interface Row {
  readonly may: readonly Caller[]
  /** What those get who are somebody, may call it, and name what belongs to others; absent: they get what others get. */
  readonly foreign?: 'JOB_NOT_FOUND' | 'PROFILE_NOT_FOUND' | 'FORBIDDEN'
  /** Whoever of `OTHERS` the role lets through to that point. */
  readonly others: readonly Caller[]
  params(at: Things): object
  /** Codes that are the method's own answer, not a refusal. */
  readonly also?: readonly string[]
}

/** What a call can name. */
interface Things {
  readonly folder: string
  readonly backup: number
  readonly restore: number
  readonly verify: number
}

const none = (): object => ({})
const job = (kind: 'backup' | 'restore' | 'verify') => (at: Things) => ({ BackupID: at[kind] })
const all = OTHERS

const TABLE: Readonly<Record<string, Row>> = {
  getVersion: { may: viewers, others: all, params: none },
  getProfiles: { may: viewers, others: all, params: none },
  getProfile: { may: viewers, others: all, foreign: 'PROFILE_NOT_FOUND', params: () => ({ id: 1 }) },
  saveProfile: {
    may: admins,
    others: [],
    params: (at) => ({ name: 'n', sources: [], output: `${at.folder}/outputs` }),
  },
  exportProfile: { may: viewers, others: all, foreign: 'PROFILE_NOT_FOUND', params: () => ({ id: 1 }) },
  importProfile: {
    may: admins,
    others: [],
    params: (at) => ({
      document: { format: 'ratchet-profile', version: 1, profile: { name: 'n', output: `${at.folder}/outputs` } },
    }),
  },
  deleteProfile: { may: admins, others: [], params: () => ({ id: 1 }) },
  startBackup: {
    may: operators,
    others: ['other operator'],
    foreign: 'PROFILE_NOT_FOUND',
    params: () => ({ profile: 1 }),
  },
  stepBackup: { may: operators, others: ['other operator'], foreign: 'JOB_NOT_FOUND', params: job('backup') },
  cancelBackup: { may: operators, others: ['other operator'], foreign: 'JOB_NOT_FOUND', params: job('backup') },
  listBackups: { may: viewers, others: all, params: none },
  getBackupInfo: { may: viewers, others: all, foreign: 'JOB_NOT_FOUND', params: job('backup') },
  getLog: { may: viewers, others: all, foreign: 'JOB_NOT_FOUND', params: job('backup') },
  // The fake engine's backup has not completed: there is nothing to be seen in it yet.
  browseBackup: {
    may: viewers,
    others: all,
    foreign: 'JOB_NOT_FOUND',
    params: job('backup'),
    also: ['ARCHIVE_NOT_FOUND'],
  },
  createDownloadTicket: {
    may: downloaders,
    others: ['other restorer'],
    foreign: 'JOB_NOT_FOUND',
    params: (at) => ({ BackupID: at.backup, entry: 'a' }),
  },
  deleteBackup: { may: freshAdmins, others: [], params: job('backup'), also: ['JOB_RUNNING'] },
  freezeBackup: {
    may: operators,
    others: ['other operator'],
    foreign: 'JOB_NOT_FOUND',
    params: job('backup'),
    also: ['JOB_RUNNING'],
  },
  testDatabase: {
    may: operators,
    others: ['other operator'],
    foreign: 'PROFILE_NOT_FOUND',
    params: () => ({ profile: 1 }),
    also: ['DATABASE_NOT_FOUND'],
  },
  previewRetention: { may: viewers, others: all, foreign: 'PROFILE_NOT_FOUND', params: () => ({ profile: 1 }) },
  startRestore: {
    may: restorers,
    others: ['other restorer'],
    foreign: 'JOB_NOT_FOUND',
    params: (at) => ({ archive: at.backup, target: `${at.folder}/restores/x` }),
  },
  // The restore was started by the host: nobody but admins sees it.
  stepRestore: { may: steppers, others: ['other restorer'], foreign: 'JOB_NOT_FOUND', params: job('restore') },
  startVerify: {
    may: operators,
    others: ['other operator'],
    foreign: 'JOB_NOT_FOUND',
    params: (at) => ({ archive: at.backup }),
  },
  stepVerify: { may: operators, others: ['other operator'], foreign: 'JOB_NOT_FOUND', params: job('verify') },
  logout: { may: viewers, others: all, params: none, also: ['BAD_REQUEST'] },
  whoAmI: { may: viewers, others: all, params: none },
  changePassword: {
    may: viewers,
    others: all,
    params: () => ({ old: 'not the old one', password: 'quite another one' }),
    also: ['UNAUTHORIZED', 'BAD_REQUEST'],
  },
  createToken: {
    may: fresh,
    others: all,
    params: () => ({ name: 't', role: 'viewer' }),
    also: ['USER_NOT_FOUND'], // the host is no user
  },
  listTokens: { may: viewers, others: all, params: none },
  revokeToken: { may: viewers, others: all, params: () => ({ id: '000000000000' }), also: ['TOKEN_NOT_FOUND'] },
  listUsers: { may: admins, others: [], params: none },
  saveUser: { may: freshAdmins, others: [], params: () => ({ name: 'new', role: 'viewer', password: PASSWORD }) },
  deleteUser: { may: freshAdmins, others: [], params: () => ({ name: 'nobody' }), also: ['USER_NOT_FOUND'] },
  getAudit: { may: admins, others: [], params: none },
  'rpc.discover': { may: viewers, others: all, params: none },
}

/** Open to anybody: they prove what they are given themselves. */
const OPEN: Readonly<Record<string, object>> = {
  login: { user: 'viewer', password: PASSWORD },
  setUp: { setupToken: 'x', name: 'x', password: PASSWORD },
}

interface Cast extends World {
  readonly tokens: Readonly<Record<Caller, string | null>>
}

const MINUTE = 60_000

async function cast(): Promise<Cast> {
  const clock = new FakeClock()
  const many = 1_000_000
  const access = {
    guard: { free: many, allowance: many },
    traffic: { loginsPerMinute: many, strangersPerMinute: many },
  }
  const world = await openWorld({ clock, access, bare: true })
  saveStandard(world)
  world.services.profiles.save({ id: 2, name: 'Second', sources: [], output: `${world.folder}/outputs` })
  const { accounts } = world.services
  const origin = { face: 'test', address: '192.0.2.1' }
  const setup = world.opened.setup()?.token ?? ''
  const login = async (user: string): Promise<string> =>
    (await accounts.login(origin, { user, password: PASSWORD })).token
  const tokens: Partial<Record<Caller, string | null>> = {
    'no token': null,
    malformed: 'nonsense',
    wrong: `ratchet_token_000000000000_${'A'.repeat(43)}`,
    'setup token': setup,
    host: world.token,
  }
  for (const role of ROLES) await accounts.saveUser({ name: role, role, password: PASSWORD })
  for (const role of ['viewer', 'operator', 'restorer'] as const)
    await accounts.saveUser({ name: `other-${role}`, role, password: PASSWORD, profiles: [2] })
  for (const role of ['admin', 'restorer'] as const) tokens[`stale ${role}`] = await login(role)
  const admin = world.services.access.enter(tokens['stale admin'] ?? '', origin)
  if (admin === null) throw new Error('the admin is not known')
  const make = (role: Role, more = {}) => accounts.createToken(admin, { name: 't', role, user: role, ...more })
  for (const role of ['admin', 'restorer', 'operator'] as const) tokens[`token ${role}`] = make(role).secret
  tokens.expired = make('admin', { expiresInMs: 1000 }).secret
  const revoked = make('admin')
  tokens.revoked = revoked.secret
  accounts.revokeToken(admin, revoked.id)
  clock.advance(11 * MINUTE)
  for (const role of ROLES) tokens[role] = await login(role)
  for (const role of ['viewer', 'operator', 'restorer'] as const) tokens[`other ${role}`] = await login(`other-${role}`)
  return Object.assign(world, { tokens: tokens as Record<Caller, string | null> })
}

async function ask(world: Cast, caller: Caller, method: string, params: object): Promise<{ status: number } & Reply> {
  const token = world.tokens[caller]
  const response = await fetch(`${world.server.url}/rpc`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  return { status: response.status, ...((await response.json()) as Reply) }
}

const codeOf = (reply: Reply): string => String(reply.error?.data?.['code'] ?? 'ok')

/** Jobs of profile 1, started by the host. */
async function things(world: Cast): Promise<Things> {
  const start = async (method: string, params: object): Promise<number> => {
    const { result, error } = await world.rpc(method, params)
    if (result === undefined) throw new Error(JSON.stringify(error))
    return Number(result['BackupID'])
  }
  const backup = await start('startBackup', { profile: 1 })
  const restore = await start('startRestore', { archive: backup, target: `${world.folder}/restores/h` })
  const verify = await start('startVerify', { archive: backup })
  return { folder: world.folder, backup, restore, verify }
}

/** What a server really answers, held against the rows: not what some list says it does. */
function differences(answered: readonly string[]): string[] {
  const rows = [...Object.keys(TABLE), ...Object.keys(OPEN)]
  const extra = answered.filter((name) => !rows.includes(name)).map((name) => `${name} has no row`)
  return [...extra, ...rows.filter((name) => !answered.includes(name)).map((name) => `${name} is not answered`)]
}

test('the table names every method, and no other', async () => {
  await using world = await openWorld()
  const { methods: answered } = createRpcServer({ services: world.services, report: () => undefined })
  expect(differences(answered)).toEqual([])
  expect(differences([...answered, 'newMethod'])).toEqual(['newMethod has no row'])
  expect(differences(answered.filter((name) => name !== 'getLog'))).toEqual(['getLog is not answered'])
  const discovered = (await world.rpc('rpc.discover')).result?.['methods'] as { name: string }[]
  expect([...discovered.map(({ name }) => name), 'rpc.discover'].toSorted()).toEqual(answered.toSorted())
  for (const [name, method] of Object.entries(methods))
    expect([name, method.role === 'anyone']).toEqual([name, name in OPEN])
})

describe('methods', () => {
  for (const [method, row] of Object.entries(TABLE)) {
    test(method, async () => {
      await using world = await cast()
      const at = await things(world)
      const bodies = new Set<string>()
      for (const caller of STRANGERS) {
        const reply = await ask(world, caller, method, row.params(at))
        expect([caller, reply.status, codeOf(reply)]).toEqual([caller, 401, 'UNAUTHORIZED'])
        bodies.add(JSON.stringify(reply))
      }
      expect(bodies.size).toBe(1)
      for (const caller of KNOWN) {
        // logout and the like end what they are asked with: each caller has its own session, asked once.
        const reply = await ask(world, caller, method, row.params(at))
        const may = row.may.includes(caller) && !isHidden(method, caller)
        const expected = may ? ['ok', ...(row.also ?? [])] : [isHidden(method, caller) ? 'JOB_NOT_FOUND' : 'FORBIDDEN']
        expect(expected, `${caller}: ${JSON.stringify(reply)}`).toContain(codeOf(reply))
        if (method === 'deleteProfile') saveStandard(world)
      }
      for (const caller of OTHERS) {
        const reply = await ask(world, caller, method, row.params(at))
        const through = row.others.includes(caller)
        const expected = through ? [row.foreign ?? 'ok', ...(row.foreign ? [] : (row.also ?? []))] : ['FORBIDDEN']
        expect(expected, `${caller}: ${JSON.stringify(reply)}`).toContain(codeOf(reply))
      }
    })
  }

  /** Restores are seen by whoever started them, and by admins. */
  const isHidden = (method: string, caller: Caller): boolean =>
    method === 'stepRestore' && ['restorer', 'stale restorer', 'token restorer'].includes(caller)

  for (const [method, params] of Object.entries(OPEN)) {
    test(`${method}: asked without a token; a wrong one is refused before it is looked at`, async () => {
      await using world = await cast()
      const reply = await ask(world, 'no token', method, params)
      expect([200, codeOf(reply)]).toEqual([reply.status, method === 'login' ? 'ok' : 'FORBIDDEN'])
      for (const caller of ['malformed', 'wrong', 'expired', 'revoked'] as const)
        expect((await ask(world, caller, method, params)).status).toBe(401)
    })
  }

  test('without a token only one such call, and nothing else, in no form', async () => {
    await using world = await cast()
    const login = { jsonrpc: '2.0', id: 1, method: 'login', params: OPEN['login'] }
    const bodies = [
      [login],
      [login, { ...login, method: 'getVersion' }],
      { ...login, method: 'rpc.discover' },
      { ...login, method: 'toString' },
      { ...login, method: ['login'] },
      null,
      7,
      'login',
      { ...login, method: 'nothing' },
    ].map((body) => JSON.stringify(body))
    for (const body of [...bodies, '', '{', '{"method":"login","method":"getVersion"}', `${' '.repeat(8000)}{}`]) {
      const response = await fetch(`${world.server.url}/rpc`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
      expect([body.slice(0, 60), response.status]).toEqual([body.slice(0, 60), 401])
    }
    const text = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: JSON.stringify(login) }
    expect((await fetch(`${world.server.url}/rpc`, text)).status).toBe(401)
    const large = { method: 'POST', headers: { 'content-type': 'application/json' }, body: ' '.repeat(9000) }
    expect((await fetch(`${world.server.url}/rpc`, large)).status).toBe(413)
  })

  test("somebody else's and a missing job are answered in the same words, by number and by id", async () => {
    await using world = await cast()
    const { backup } = await things(world)
    const id = `20260629-121045-${String(backup).padStart(6, '0')}`
    for (const [mine, missing] of [
      [{ BackupID: backup }, { BackupID: backup + 1000 }],
      [{ backupid: backup }, { backupid: backup + 1000 }],
      [{ backupid: id }, { backupid: '20260629-121045-009999' }],
    ] as const) {
      for (const method of ['getBackupInfo', 'getLog', 'stepBackup', 'cancelBackup']) {
        const seen = await ask(world, 'other operator', method, mine)
        const absent = await ask(world, 'other operator', method, missing)
        const plain = (reply: Reply, of: object): string =>
          JSON.stringify(reply.error).replaceAll(String(Object.values(of)[0]), '#')
        expect(plain(seen, mine)).toBe(plain(absent, missing))
      }
    }
  })

  test('a list holds what its reader may see', async () => {
    await using world = await cast()
    await things(world)
    const start = await ask(world, 'other operator', 'startBackup', { profile: 2, description: 'mine' })
    expect(codeOf(start)).toBe('PROFILE_INVALID') // profile 2 names no sources
    const list = async (caller: Caller, kind: string): Promise<unknown> =>
      (await ask(world, caller, 'listBackups', { kind })).result?.['total']
    expect(await list('other viewer', 'backup')).toBe(0)
    expect(await list('viewer', 'backup')).toBe(1)
    expect([await list('viewer', 'restore'), await list('admin', 'restore')]).toEqual([0, 1])
    expect([await list('viewer', 'verify'), await list('other viewer', 'verify')]).toEqual([1, 0])
    expect((await ask(world, 'other viewer', 'getProfiles', {})).result?.['profiles']).toMatchObject([{ id: 2 }])
  })

  test('whoever is limited to profiles cannot reach around them', async () => {
    await using world = await cast()
    world.services.profiles.save({
      id: 2,
      name: 'Second',
      sources: [{ type: 'directory', path: `${world.folder}/sources` }],
      output: `${world.folder}/outputs`,
    })
    const begin = (overrides: object) => ask(world, 'other operator', 'startBackup', { profile: 2, overrides })
    expect(codeOf(await begin({ sources: [{ type: 'directory', path: `${world.folder}/sources` }] }))).toBe('FORBIDDEN')
    expect(codeOf(await begin({ output: `${world.folder}/outputs` }))).toBe('FORBIDDEN')
    expect((await begin({ level: 1 })).result).toMatchObject({ stepNumber: 1 })
    const archive = `${world.folder}/archives/a.zip`
    const target = `${world.folder}/restores/x`
    expect(codeOf(await ask(world, 'other restorer', 'startRestore', { archive, target }))).toBe('FORBIDDEN')
    expect(codeOf(await ask(world, 'other operator', 'startVerify', { archive }))).toBe('FORBIDDEN')
  })

  test('a restore is for whoever started it; in place, as owner, setuid: a login of an admin, not a token', async () => {
    await using world = await cast()
    const at = await things(world)
    const params = { archive: at.backup, target: `${world.folder}/restores/x` }
    const { result } = await ask(world, 'token restorer', 'startRestore', params)
    const ref = { BackupID: result?.['BackupID'] }
    expect((await ask(world, 'restorer', 'stepRestore', ref)).result).toMatchObject({ stepNumber: 2 })
    expect(codeOf(await ask(world, 'other restorer', 'stepRestore', ref))).toBe('JOB_NOT_FOUND')
    expect(codeOf(await ask(world, 'token restorer', 'startRestore', { ...params, target: '/etc' }))).toBe(
      'PATH_OUTSIDE_ROOTS',
    )
    for (const more of [{ mode: 'inplace' }, { owners: true }, { setuid: true }, { outsideLinks: true }]) {
      for (const caller of ['token admin', 'restorer', 'stale admin'] as const)
        expect(codeOf(await ask(world, caller, 'startRestore', { ...params, ...more }))).toBe('FORBIDDEN')
      expect(codeOf(await ask(world, 'admin', 'startRestore', { ...params, ...more }))).toBe('ok')
    }
  })

  test('a restore into a server: of the settings file, the one it came from, and beside what is there', async () => {
    await using world = await cast()
    world.services.profiles.save({
      ...{ id: 7, name: 'Shop', sources: [], output: `${world.folder}/outputs` },
      databases: [{ type: 'mysql', server: 'main', database: 'shop' }],
    })
    const begun = await ask(world, 'operator', 'startBackup', { profile: 7 })
    const archive = begun.result?.['BackupID']
    const into = (more: object = {}): object => ({ archive, databases: [{ name: 'shop', database: 'copy', ...more }] })
    expect(codeOf(await ask(world, 'token restorer', 'startRestore', into()))).toBe('ok')
    expect(codeOf(await ask(world, 'operator', 'startRestore', into()))).toBe('FORBIDDEN')
    expect(world.engine.requests.at(-1)).toMatchObject(into())
    for (const more of [{ mode: 'swap' }, { server: 'other' }]) {
      for (const caller of ['token admin', 'restorer', 'stale admin'] as const)
        expect(codeOf(await ask(world, caller, 'startRestore', into(more)))).toBe('FORBIDDEN')
      expect(codeOf(await ask(world, 'admin', 'startRestore', into(more)))).toBe('ok')
    }
    const unnamed = into({ name: 'nobody knows' })
    expect(codeOf(await ask(world, 'admin', 'startRestore', unnamed))).toBe('BAD_REQUEST')
    const foreign = { archive: `${world.folder}/archives/a.zip`, foreign: true }
    const full = { ...foreign, databases: [{ name: 'shop', type: 'mysql', server: 'main' }] }
    expect(codeOf(await ask(world, 'restorer', 'startRestore', full))).toBe('FORBIDDEN')
    expect(codeOf(await ask(world, 'admin', 'startRestore', full))).toBe('ok')
  })

  test('the dry run of a restore goes through the same doors as the restore', async () => {
    await using world = await cast()
    const at = await things(world)
    const params = { archive: at.backup, target: `${world.folder}/restores/x`, dryRun: true }
    const ok = new Set<Caller>(restorers)
    for (const caller of [...KNOWN, 'other restorer'] as const) {
      const code = codeOf(await ask(world, caller, 'startRestore', params))
      expect([caller, code === 'ok']).toEqual([caller, ok.has(caller)])
    }
    expect(codeOf(await ask(world, 'admin', 'startRestore', { ...params, target: '/etc' }))).toBe('PATH_OUTSIDE_ROOTS')
    for (const more of [{ mode: 'inplace' }, { owners: true }, { setuid: true }, { outsideLinks: true }]) {
      for (const caller of ['token admin', 'restorer', 'stale admin'] as const)
        expect(codeOf(await ask(world, caller, 'startRestore', { ...params, ...more }))).toBe('FORBIDDEN')
    }
    const { entries } = await world.services.audit.read(1, 1000)
    expect(entries.filter(({ object }) => object.endsWith('(dry run)')).length).toBeGreaterThan(ok.size)
  })
})

describe('routes', () => {
  type Statuses = readonly [get: (caller: Caller) => number, post: number]
  const known = (caller: Caller): boolean => !(STRANGERS as readonly string[]).includes(caller)
  /** Status of a GET by each caller; and of a POST by those who are somebody. */
  const STATUS: Readonly<Record<string, Statuses>> = {
    '/health': [() => 200, 405],
    '/openrpc.json': [(caller) => (known(caller) ? 200 : 401), 405],
    '/rpc': [() => 405, 415],
    '/download/:backup/:part': [(caller) => downloading(caller), 405],
  }
  test('the table names every route that is there, and nothing answers beside them', async () => {
    await using world = await openWorld()
    const { stack } = createHttpApp({ services: world.services }).router
    const routes = stack.flatMap((layer) => (layer.route === undefined ? [] : [layer.route.path]))
    expect(routes.toSorted()).toEqual(Object.keys(STATUS).toSorted())
    expect(ROUTES.map((route) => route.path).toSorted()).toEqual(routes.toSorted())
    // The log, headers, HSTS, no-store, door, setup; and behind the routes: nothing here, errors. None has content of its own.
    expect(stack.length - routes.length).toBe(8)
  })

  const downloading = (caller: Caller): number => {
    if (!known(caller)) return 401
    if (caller === 'other restorer') return 404 // as if it were not there
    return downloaders.includes(caller) ? 200 : 403
  }

  test('each, for each caller and verb', async () => {
    await using world = await cast()
    const { backup } = await things(world)
    publish(world, backup)
    for (const [route, [get, post]] of Object.entries(STATUS)) {
      const path = route.replace(':backup', String(backup)).replace(':part', 'site.zip')
      for (const caller of [...STRANGERS, ...KNOWN, ...OTHERS]) {
        const token = world.tokens[caller]
        const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
        const got = await fetch(`${world.server.url}${path}`, { headers })
        expect([path, caller, got.status]).toEqual([path, caller, get(caller)])
        await got.body?.cancel()
        const sent = await fetch(`${world.server.url}${path}`, { method: 'POST', headers, body: 'x' })
        expect([path, caller, sent.status]).toEqual([path, caller, !known(caller) && path === '/rpc' ? 401 : post])
        await sent.body?.cancel()
      }
    }
  })
})

/** Ends the backup with a file that is there. */
function publish(world: Cast, backup: number): void {
  const file = path.join(world.folder, 'outputs', 'site.zip')
  fs.writeFileSync(file, 'archive')
  world.engine.edit(backup, (job) => (job.status = 'completed'))
  world.engine.artifacts = async (number) =>
    number === backup ? [{ name: 'site.zip', path: file, size: 7, sha256: 'ab'.repeat(32) }] : []
}
