import fs from 'node:fs'
import path from 'node:path'
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { methods } from '../../src/facade/jsonrpc/methods.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { openWorld, saveStandard, type Reply, type World } from './world.ts'

async function started(options = {}): Promise<World> {
  const world = await openWorld(options)
  saveStandard(world)
  return world
}

const codeOf = (reply: Reply): unknown => reply.error?.data?.['code']

const KEYS =
  'HasRun Domain Step Substep Error Warnings Progress BackupID Archive sleepTime stepNumber stepState backupid'.split(
    ' ',
  )

describe('a backup', () => {
  test('from start to end, and the end again', async () => {
    await using world = await started({ steps: 3 })
    const first = (await world.rpc('startBackup')).result
    expect(Object.keys(first ?? {})).toEqual(KEYS)
    expect(first).toMatchObject({ HasRun: true, Domain: 'init', stepNumber: 1, BackupID: 1, stepState: 'prepared' })
    const backupid = first?.['backupid']
    expect((await world.rpc('stepBackup', { backupid })).result).toMatchObject({ stepNumber: 2, Progress: 66 })
    const last = (await world.rpc('stepBackup', { BackupID: 1, step: 3 })).result
    expect(last).toMatchObject({ HasRun: false, Progress: 100, stepState: 'finished', Error: '', backupid })
    expect((await world.rpc('stepBackup', { backupid })).result).toEqual(last)
    expect(world.engine.stepsOf(1)).toEqual([1, 2, 3])
  })

  test('absent, null and empty parameters start profile 1', async () => {
    await using world = await started()
    for (const params of [undefined, null, {}, { profile: 1, tag: 'json' }])
      expect((await world.rpc('startBackup', params)).result).toMatchObject({ stepNumber: 1 })
    expect(world.engine.count).toBe(4)
    for (const request of world.engine.requests)
      expect(request).toMatchObject({
        kind: 'backup',
        spec: {
          profile: 1,
          description: expect.stringMatching(/^Backup taken on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/),
          comment: '',
        },
      })
  })

  test('texts and overrides reach the engine; the profile stays as it is', async () => {
    await using world = await started()
    const sub = path.join(world.folder, 'sources/sub')
    const overrides = {
      level: 0,
      sources: [{ type: 'directory', path: sub, exclude: ['*.log'] }],
      pacing: { maxMs: 5 },
    }
    await world.rpc('startBackup', { description: 'before', comment: '<b>', overrides })
    expect(world.engine.requests[0]).toMatchObject({
      spec: {
        description: 'before',
        comment: '<b>',
        level: 0,
        sources: [{ path: sub }],
        pacing: { maxMs: 5, bias: 75 },
      },
    })
    expect(world.services.profiles.get(1).level).toBe(6)
  })

  test('step numbers: repeated is answered again, any other is refused', async () => {
    await using world = await started()
    await world.rpc('startBackup')
    const second = await world.rpc('stepBackup', { BackupID: 1, step: 2 })
    expect(await world.rpc('stepBackup', { BackupID: 1, step: 2 })).toEqual(second)
    for (const step of [1, 4, 1e9])
      expect(codeOf(await world.rpc('stepBackup', { BackupID: 1, step }))).toBe('STEP_OUT_OF_ORDER')
    expect(world.engine.stepsOf(1)).toEqual([1, 2])
  })

  test('handles: none, two that differ, unknown, of another kind', async () => {
    await using world = await started()
    await world.rpc('startBackup')
    await world.rpc('startVerify', { archive: 1 })
    expect(codeOf(await world.rpc('stepBackup', {}))).toBe('BAD_REQUEST')
    expect(codeOf(await world.rpc('stepBackup', { backupid: 1, BackupID: 2 }))).toBe('BAD_REQUEST')
    expect(codeOf(await world.rpc('stepBackup', { backupid: 'nobody' }))).toBe('JOB_NOT_FOUND')
    expect(codeOf(await world.rpc('stepBackup', { BackupID: 99 }))).toBe('JOB_NOT_FOUND')
    expect(codeOf(await world.rpc('stepBackup', { BackupID: 2 }))).toBe('JOB_NOT_FOUND')
    expect(codeOf(await world.rpc('stepRestore', { BackupID: 1 }))).toBe('JOB_NOT_FOUND')
    expect(world.engine.executed).toHaveLength(2)
  })

  test('a key makes a call happen once: header or UUID id, start and step', async () => {
    await using world = await started()
    const body = (id: string, method: string, params = {}) => JSON.stringify({ jsonrpc: '2.0', id, method, params })
    const key = randomUUID()
    await Promise.all([1, 2, 3].map(() => world.post(body(key, 'startBackup'))))
    expect(world.engine.count).toBe(1)
    for (let i = 0; i < 3; i++) await world.post(body('x', 'startBackup'), { 'idempotency-key': 'mine' })
    expect(world.engine.count).toBe(2)
    expect(world.engine.requests.map((r) => r.key)).toEqual([key, 'mine'])
    const step = randomUUID()
    for (let i = 0; i < 3; i++) await world.post(body(step, 'stepBackup', { BackupID: 1 }))
    expect(world.engine.stepsOf(1)).toEqual([1, 2])
    await world.rpc('startBackup')
    expect(world.engine.count).toBe(3)
  })

  test('a start that failed may be repeated under its key', async () => {
    let fail = true
    await using world = await started({
      work: () => {
        if (fail) throw new BackupError('DISK_FULL', 'no room')
      },
    })
    const id = randomUUID()
    expect(codeOf(await world.rpc('startBackup', {}, id))).toBe('DISK_FULL')
    fail = false
    expect((await world.rpc('startBackup', {}, id)).result).toMatchObject({ stepNumber: 1 })
  })

  test('two steps at once: one works, the other is told busy', async () => {
    let go: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    await using world = await started({ work: (_job: unknown, step: number) => (step === 2 ? gate : undefined) })
    await world.rpc('startBackup')
    const one = world.rpc('stepBackup', { BackupID: 1 })
    const two = world.rpc('stepBackup', { BackupID: 1 })
    const busy = await Promise.race([one, two])
    expect(busy.error).toMatchObject({ code: -32021, data: { code: 'JOB_BUSY', retry: 'later' } })
    go()
    expect((await Promise.all([one, two])).filter((r) => r.result)).toHaveLength(1)
    expect(world.engine.stepsOf(1)).toEqual([1, 2])
  })
})

describe('looking and tidying', () => {
  test('list, info, log, cancel, delete', async () => {
    await using world = await started({ steps: 2 })
    await world.rpc('startBackup', { description: 'a' })
    await world.rpc('startBackup', { description: 'b' })
    world.engine.warn(1, 'left out: x')
    await world.rpc('stepBackup', { BackupID: 1 })
    expect((await world.rpc('listBackups', { limit: 1 })).result).toMatchObject({ total: 2, jobs: [{ number: 2 }] })
    const info = (await world.rpc('getBackupInfo', { BackupID: 1 })).result
    expect(info).toMatchObject({
      number: 1,
      status: 'completed',
      outcome: 'completed_with_warnings',
      warnings: 1,
      description: 'a',
      artifacts: [{ name: 'site.zip', path: '/backups/site.zip', size: 1000 }],
      recentWarnings: [{ step: 1, code: 'omitted', message: 'left out: x' }],
      current: { HasRun: false, stepNumber: 2 },
    })
    expect((await world.rpc('getLog', { BackupID: 1, from: 2, limit: 1 })).result).toMatchObject({
      lines: [{ line: 2, message: 'step 2' }],
      next: 3,
      total: 2,
    })
    for (const from of [-1, 0, 1.5, '1', 9e15 * 4, null])
      expect(codeOf(await world.rpc('getLog', { BackupID: 1, from }))).toBe('BAD_REQUEST')
    for (const limit of [0, 1001, 1e9])
      expect(codeOf(await world.rpc('getLog', { BackupID: 1, limit }))).toBe('BAD_REQUEST')
    expect((await world.rpc('getLog', { BackupID: 1, from: 9e15 })).result).toMatchObject({ lines: [] })
    expect(codeOf(await world.rpc('deleteBackup', { BackupID: 2 }))).toBe('JOB_RUNNING')
    expect((await world.rpc('cancelBackup', { BackupID: 2 })).result).toMatchObject({
      HasRun: false,
      stepState: 'error',
    })
    expect((await world.rpc('deleteBackup', { BackupID: 2 })).result).toEqual({ removed: 2 })
    expect(codeOf(await world.rpc('getBackupInfo', { BackupID: 2 }))).toBe('JOB_NOT_FOUND')
  })

  test('profiles', async () => {
    await using world = await started()
    const profile = {
      name: 'Shop',
      sources: [{ type: 'directory', path: path.join(world.folder, 'sources') }],
      output: path.join(world.folder, 'outputs/shop'),
    }
    expect((await world.rpc('saveProfile', profile)).result).toMatchObject({ id: 2, name: 'Shop', level: 6 })
    expect((await world.rpc('getProfile', { id: 2 })).result).toMatchObject(profile)
    expect((await world.rpc('getProfiles')).result?.['profiles']).toHaveLength(2)
    expect((await world.rpc('deleteProfile', { id: 2 })).result).toEqual({ removed: 2 })
    for (const method of ['getProfile', 'deleteProfile'])
      expect(codeOf(await world.rpc(method, { id: 2 }))).toBe('PROFILE_NOT_FOUND')
    expect(codeOf(await world.rpc('startBackup', { profile: 2 }))).toBe('PROFILE_NOT_FOUND')
    await world.rpc('saveProfile', { ...profile, id: 1, sources: [] })
    expect((await world.rpc('startBackup')).error?.message).toMatch(/names no sources/)
  })
})

describe('paths over the network', () => {
  test('outside the roots nothing is named, saved or started', async () => {
    await using world = await started()
    const inside = path.join(world.folder, 'sources')
    fs.symlinkSync('/etc', path.join(inside, 'link'))
    const output = path.join(world.folder, 'outputs')
    const source = (p: string) => [{ type: 'directory', path: p }]
    for (const bad of ['/etc', `${inside}-evil`, `${inside}/../token`, `${inside}/link`, '/proc/self/environ']) {
      for (const [method, params] of [
        ['saveProfile', { name: 'x', sources: source(bad), output }],
        ['saveProfile', { name: 'x', sources: source(inside), output: bad }],
        ['startBackup', { overrides: { sources: source(bad) } }],
        ['startBackup', { overrides: { databases: [{ type: 'sqlite', path: bad }] } }],
        ['saveProfile', { name: 'x', databases: [{ type: 'sqlite', path: bad }], output }],
        ['startBackup', { overrides: { output: bad } }],
        ['startBackup', { overrides: { output: inside } }],
        ['startVerify', { archive: bad }],
        ['startRestore', { archive: bad, target: path.join(world.folder, 'restores/a') }],
        ['startRestore', { archive: 1, target: bad }],
      ] as const) {
        const reply = await world.rpc(method, params)
        expect(codeOf(reply), `${method} ${bad}`).toBe('PATH_OUTSIDE_ROOTS')
        expect(reply.error?.code).toBe(-32012)
      }
    }
    expect(world.engine.count).toBe(0)
    expect(world.services.profiles.list()).toHaveLength(1)
  })

  test('inside they are resolved', async () => {
    await using world = await started()
    const at = (p: string): string => path.join(world.folder, p)
    fs.mkdirSync(at('sources/real'))
    fs.symlinkSync('real', at('sources/alias'))
    await world.rpc('startBackup', { overrides: { sources: [{ type: 'directory', path: at('sources/alias') }] } })
    await world.rpc('startBackup', {
      overrides: { type: 'databases', databases: [{ type: 'sqlite', path: at('sources/alias/a.db') }] },
    })
    await world.rpc('startRestore', { archive: at('archives/a.zip'), target: at('restores/new'), patterns: ['*'] })
    expect(world.engine.requests).toMatchObject([
      { kind: 'backup', spec: { sources: [{ path: at('sources/real') }] } },
      { kind: 'backup', spec: { type: 'databases', databases: [{ path: at('sources/real/a.db') }] } },
      { kind: 'restore', archive: at('archives/a.zip'), target: at('restores/new'), patterns: ['*'] },
    ])
    expect((await world.rpc('stepRestore', { BackupID: 3 })).result).toMatchObject({ Domain: 'restore', stepNumber: 2 })
  })
})

describe('errors', () => {
  test('ours show code, message, hint and facts; faults of the program only an id', async () => {
    await using world = await started({
      work: (job: { spec: { description: string } }) => {
        if (job.spec.description === 'known')
          throw new BackupError('OUTPUT_UNWRITABLE', 'cannot write', { data: { path: '/b', code: 'x' } })
        if (job.spec.description === 'wrapped') throw new BackupError('INTERNAL', 'secret of a wrapped fault')
        throw new Error('secret /var/lib/ratchet at line 7')
      },
    })
    expect((await world.rpc('startBackup', { description: 'known' })).error).toEqual({
      code: -32043,
      message: 'cannot write',
      data: { path: '/b', code: 'OUTPUT_UNWRITABLE', hint: expect.any(String), retry: 'never' },
    })
    const fault = await world.rpc('startBackup', {})
    expect(fault.error).toMatchObject({ code: -32603, data: { code: 'INTERNAL', id: 'fault-id' } })
    expect(JSON.stringify(fault)).not.toMatch(/secret|var|line/)
    expect(JSON.stringify(await world.rpc('startBackup', { description: 'wrapped' }))).not.toContain('secret')
    expect(world.internal.map((f) => f.id)).toEqual(['fault-id', 'fault-id'])
    expect(String(world.internal[0]?.error)).toContain('secret')
    expect((await world.rpc('getVersion')).result).toEqual({ version: '9.9.9', api: 1, formats: ['zip', 'jpa'] })
  })
})

test('roles: what each method needs', () => {
  expect(Object.fromEntries(Object.entries(methods).map(([name, m]) => [name, m.role]))).toEqual({
    getVersion: 'viewer',
    getProfiles: 'viewer',
    getProfile: 'viewer',
    saveProfile: 'admin',
    deleteProfile: 'admin',
    exportProfile: 'viewer',
    importProfile: 'admin',
    startBackup: 'operator',
    stepBackup: 'operator',
    cancelBackup: 'operator',
    listBackups: 'viewer',
    getBackupInfo: 'viewer',
    getLog: 'viewer',
    browseBackup: 'viewer',
    createDownloadTicket: 'restorer',
    deleteBackup: 'admin',
    freezeBackup: 'operator',
    testDatabase: 'operator',
    previewRetention: 'viewer',
    startRestore: 'restorer',
    stepRestore: 'restorer',
    startVerify: 'operator',
    stepVerify: 'operator',
    login: 'anyone',
    setUp: 'anyone',
    logout: 'viewer',
    whoAmI: 'viewer',
    changePassword: 'viewer',
    createToken: 'viewer',
    listTokens: 'viewer',
    revokeToken: 'viewer',
    listUsers: 'admin',
    saveUser: 'admin',
    deleteUser: 'admin',
    getAudit: 'admin',
  })
})

test('profiles go out and in as documents, by the doors of getProfile and saveProfile', async () => {
  await using world = await openWorld()
  saveStandard(world)
  const { result: document } = await world.rpc('exportProfile', { id: 1 })
  expect(document).toEqual({ format: 'ratchet-profile', version: 1, profile: world.services.profiles.get(1) })
  expect(codeOf(await world.rpc('exportProfile', { id: 9 }))).toBe('PROFILE_NOT_FOUND')
  expect(codeOf(await world.rpc('importProfile', { document }))).toBe('PROFILE_EXISTS')
  expect((await world.rpc('importProfile', { document, as: 'new' })).result).toMatchObject({ id: 2, name: 'Default' })
  expect((await world.rpc('importProfile', { document, as: 7 })).result).toMatchObject({ id: 7 })
  expect((await world.rpc('importProfile', { document, replace: true })).result).toEqual(document?.['profile'])
  const { profile } = document as { profile: object }
  for (const change of [{ output: '/etc' }, { sources: [{ type: 'directory', path: '/etc' }] }]) {
    const foreign = { ...document, profile: { ...profile, ...change } }
    expect(codeOf(await world.rpc('importProfile', { document: foreign, as: 'new' }))).toBe('PATH_OUTSIDE_ROOTS')
  }
  const newer = await world.rpc('importProfile', { document: { ...document, version: 2 } })
  expect([codeOf(newer), newer.error?.message]).toEqual(['BAD_REQUEST', expect.stringContaining('document.version')])
  expect(world.services.profiles.list().map(({ id }) => id)).toEqual([1, 2, 7])
  const events = world.services.audit.read(undefined, 100).entries.filter(({ event }) => event === 'profile.save')
  expect(events.filter(({ result }) => result === 'ok').map(({ object }) => object)).toEqual([
    ...['profile:2', 'profile:7', 'profile:1'],
  ])
})
