import { expect, test } from 'vitest'
import { RatchetClient } from '../../src/client/client.ts'
import { openWorld, saveStandard, type Reply, type World } from './world.ts'

async function finished(): Promise<World> {
  const world = await openWorld({ steps: 1 })
  saveStandard(world)
  await world.rpc('startBackup')
  return world
}

const codeOf = (reply: Reply): unknown => reply.error?.data?.['code']

test('freezing shows everywhere, and nothing deletes what is frozen', async () => {
  await using world = await finished()
  expect((await world.rpc('freezeBackup', { BackupID: 1 })).result).toEqual({ number: 1, frozen: true })
  expect((await world.rpc('getBackupInfo', { BackupID: 1 })).result).toMatchObject({ frozen: true })
  expect((await world.rpc('listBackups')).result?.['jobs']).toMatchObject([{ number: 1, frozen: true }])
  const refused = await world.rpc('deleteBackup', { BackupID: 1 })
  expect([codeOf(refused), refused.error?.code]).toEqual(['FROZEN', -32027])
  expect((await world.rpc('freezeBackup', { BackupID: 1, frozen: false })).result).toEqual({ number: 1, frozen: false })
  expect((await world.rpc('getBackupInfo', { BackupID: 1 })).result).not.toHaveProperty('frozen')
})

test('deleting the files alone: the record stays and says so; deleting anything else is not understood', async () => {
  await using world = await finished()
  expect(codeOf(await world.rpc('deleteBackup', { BackupID: 1, what: 'all' }))).toBe('BAD_REQUEST')
  expect((await world.rpc('deleteBackup', { BackupID: 1, what: 'files' })).result).toEqual({ removed: 1 })
  const filesRemoved = { at: 5, by: 'user', reason: 'a test' }
  expect((await world.rpc('getBackupInfo', { BackupID: 1 })).result).toMatchObject({ filesRemoved })
  expect((await world.rpc('listBackups')).result?.['jobs']).toMatchObject([{ filesRemoved }])
  await world.rpc('deleteBackup', { BackupID: 1 })
  expect(codeOf(await world.rpc('getBackupInfo', { BackupID: 1 }))).toBe('JOB_NOT_FOUND')
})

test('a preview takes the policy of the profile, or the one to be tried out, and is paged', async () => {
  await using world = await finished()
  await world.rpc('startBackup')
  expect((await world.rpc('previewRetention')).result).toMatchObject({ refused: null, total: 2 })
  const saved = world.services.profiles.get(1)
  world.services.profiles.save({ ...saved, retention: { keepDaily: 7, maxBytes: 10_000 } })
  await world.rpc('previewRetention', { profile: 1 })
  const page = await world.rpc('previewRetention', { policy: { keepLast: 3 }, offset: 1, limit: 1 })
  expect(page.result).toMatchObject({ total: 2, backups: [{ number: 1, keep: true, reasons: ['last'] }] })
  expect(world.engine.previews.map(({ policy }) => policy)).toEqual([
    {},
    { keepDaily: 7, maxBytes: 10_000 },
    { keepLast: 3 },
  ])
  for (const policy of [
    { keepLast: 0 },
    { keepDaily: 1.5 },
    { keepLats: 3 },
    { maxBytes: -1 },
    { keepWithinDays: '7' },
  ])
    expect(codeOf(await world.rpc('previewRetention', { policy }))).toBe('BAD_REQUEST')
  expect(codeOf(await world.rpc('previewRetention', { profile: 77 }))).toBe('PROFILE_NOT_FOUND')
})

test('a policy is kept in the profile, frozen into each backup, and overruled for one run', async () => {
  await using world = await finished()
  const retention = { keepLast: 2 }
  const saved = { ...world.services.profiles.get(1), retention }
  expect((await world.rpc('saveProfile', saved)).result).toMatchObject({ retention })
  await world.rpc('startBackup')
  await world.rpc('startBackup', { overrides: { retention: {} } })
  await world.rpc('startBackup', { overrides: { retention: { keepYearly: 9 } } })
  const asked = world.engine.requests.map((request) => request.kind === 'backup' && request.spec.retention)
  expect(asked).toEqual([undefined, retention, {}, { keepYearly: 9 }])
})

test('who decides what goes must have the right to delete it: an admin with a fresh login', async () => {
  await using world = await finished()
  const { accounts } = world.services
  const password = 'correct horse battery'
  for (const role of ['operator', 'admin'] as const) await accounts.saveUser({ name: role, role, password })
  const login = async (user: string): Promise<string> =>
    (await accounts.login({ face: 'test', address: '192.0.2.1' }, { user, password })).token
  const admin = await login('admin')
  const session = world.services.access.enter(admin, { face: 'test', address: '192.0.2.1' })
  if (session === null) throw new Error('no session')
  const token = accounts.createToken(session, { name: 't', role: 'admin' }).secret
  const profile = world.services.profiles.get(1)
  world.services.profiles.save({ ...profile, retention: { keepLast: 5 } })
  const ask = async (bearer: string, method: string, params: object): Promise<unknown> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const reply = (await (await world.post(body, { authorization: `Bearer ${bearer}` })).json()) as Reply
    return codeOf(reply) ?? 'ok'
  }
  const operator = await login('operator')
  const run = (retention: object): object => ({ overrides: { retention } })
  expect(await ask(operator, 'startBackup', run({ keepLast: 1 }))).toBe('FORBIDDEN')
  expect(await ask(token, 'startBackup', run({ keepLast: 1 }))).toBe('FORBIDDEN')
  expect(await ask(operator, 'startBackup', run({}))).toBe('ok')
  expect(await ask(operator, 'startBackup', run({ keepLast: 5 }))).toBe('ok') // what the profile says anyway
  expect(await ask(admin, 'startBackup', run({ keepLast: 1 }))).toBe('ok')
  expect(await ask(token, 'saveProfile', { ...profile, retention: { keepLast: 1 } })).toBe('FORBIDDEN')
  expect(await ask(token, 'saveProfile', { ...profile, retention: { keepLast: 5 } })).toBe('ok')
  expect(await ask(admin, 'saveProfile', { ...profile, retention: { keepLast: 1 } })).toBe('ok')
  // Freezing protects; giving free does not.
  expect(await ask(operator, 'freezeBackup', { BackupID: 1 })).toBe('ok')
  expect(await ask(operator, 'freezeBackup', { BackupID: 1, frozen: false })).toBe('FORBIDDEN')
  expect(await ask(admin, 'freezeBackup', { BackupID: 1, frozen: false })).toBe('ok')
})

test('the client has a method for each', async () => {
  await using world = await finished()
  const client = new RatchetClient({ url: world.server.url, token: world.token })
  expect(await client.freezeBackup(1)).toEqual({ number: 1, frozen: true })
  expect(await client.freezeBackup(1, false)).toEqual({ number: 1, frozen: false })
  expect(await client.previewRetention({ policy: { keepLast: 1 } })).toMatchObject({ total: 1 })
  expect(await client.deleteBackup(1, 'files')).toEqual({ removed: 1 })
  expect((await client.getBackupInfo(1)).filesRemoved?.by).toBe('user')
})
