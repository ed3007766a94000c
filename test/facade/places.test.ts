import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Role } from '../../src/engine/services.ts'
import { openWorld, saveStandard, type Reply, type World } from './world.ts'

/** What callers may name on the host, and what becomes of it between the check and the use (S-API-5, S-PATH-1, S-PATH-3). */

const PASSWORD = 'correct horse battery'
const codeOf = (reply: Reply): string => String(reply.error?.data?.['code'] ?? 'ok')

async function as(world: World, role: Role): Promise<(method: string, params: object) => Promise<Reply>> {
  await world.services.accounts.saveUser({ name: role, role, password: PASSWORD })
  const origin = { face: 'test', address: '127.0.0.1' }
  const { token } = await world.services.accounts.login(origin, { user: role, password: PASSWORD })
  return async (method, params) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    return (await (await world.post(body, { authorization: `Bearer ${token}` })).json()) as Reply
  }
}

const sourceOf = (world: World, ...names: string[]) => ({
  type: 'directory',
  path: path.join(world.folder, 'sources', ...names),
})

describe('overrides', () => {
  test('what is backed up, and to where, is for those who may save profiles', async () => {
    await using world = await openWorld()
    saveStandard(world)
    const operator = await as(world, 'operator')
    const admin = await as(world, 'admin')
    const places = [
      { sources: [sourceOf(world)] },
      { sources: [] },
      { databases: [{ type: 'sqlite', path: path.join(world.folder, 'sources/app.db') }] },
      { databases: [] },
      { output: path.join(world.folder, 'outputs') },
      { level: 1, output: path.join(world.folder, 'outputs') },
    ]
    for (const overrides of places)
      expect([overrides, codeOf(await operator('startBackup', { overrides }))]).toEqual([overrides, 'FORBIDDEN'])
    expect(world.engine.count).toBe(0)
    for (const overrides of [{ level: 1 }, { format: 'jpa' }, { pacing: { maxMs: 100 } }])
      expect(codeOf(await operator('startBackup', { overrides }))).toBe('ok')
    expect(codeOf(await admin('startBackup', { overrides: places[0] }))).toBe('ok')
    expect(codeOf(await admin('startBackup', { overrides: { output: '/etc' } }))).toBe('PATH_OUTSIDE_ROOTS')
  })

  test('links are not followed because somebody on the network says so', async () => {
    await using world = await openWorld()
    saveStandard(world)
    const follow = [{ ...sourceOf(world), symlinks: 'follow' }]
    expect(codeOf(await world.rpc('startBackup', { overrides: { sources: follow } }))).toBe('FORBIDDEN')
    const profile = { name: 'n', sources: follow, output: path.join(world.folder, 'outputs') }
    expect(codeOf(await world.rpc('saveProfile', profile))).toBe('FORBIDDEN')
    expect(world.engine.count).toBe(0)
    // The host may have said so.
    world.services.profiles.save({ ...profile, id: 3 })
    expect(codeOf(await world.rpc('startBackup', { profile: 3 }))).toBe('ok')
  })
})

describe('a profile is held against the roots when it runs, wherever it came from', () => {
  test('places outside, roots that were taken out, folders that have become links', async () => {
    await using world = await openWorld()
    const run = async (profile: number): Promise<string> => codeOf(await world.rpc('startBackup', { profile }))
    const output = path.join(world.folder, 'outputs')
    world.services.profiles.save({ id: 1, name: 'host', sources: [{ type: 'directory', path: '/etc' }], output })
    expect(await run(1)).toBe('PATH_OUTSIDE_ROOTS')
    world.services.profiles.save({ id: 1, name: 'host', sources: [sourceOf(world)], output: '/tmp' })
    expect(await run(1)).toBe('PATH_OUTSIDE_ROOTS')

    fs.mkdirSync(path.join(world.folder, 'sources/customer/site'), { recursive: true })
    const saved = await world.rpc('saveProfile', {
      id: 2,
      name: 'n',
      sources: [sourceOf(world, 'customer/site')],
      output,
    })
    expect(codeOf(saved)).toBe('ok')
    expect(await run(2)).toBe('ok')
    // Whoever owns the folder above it puts a link in its place.
    fs.rmdirSync(path.join(world.folder, 'sources/customer/site'))
    fs.symlinkSync('/etc', path.join(world.folder, 'sources/customer/site'))
    expect(await run(2)).toBe('PATH_OUTSIDE_ROOTS')
    fs.rmSync(path.join(world.folder, 'sources/customer/site'))
    fs.mkdirSync(path.join(world.folder, 'sources/customer/site'))
    expect(await run(2)).toBe('ok')
    world.roots.outputs = []
    expect(await run(2)).toBe('PATH_OUTSIDE_ROOTS')
  })

  test('what runs is the place that was checked; a link keeps its name in the archive', async () => {
    await using world = await openWorld()
    fs.mkdirSync(path.join(world.folder, 'sources/release-42'))
    fs.symlinkSync('release-42', path.join(world.folder, 'sources/current'))
    const output = path.join(world.folder, 'outputs')
    world.services.profiles.save({ id: 1, name: 'host', sources: [sourceOf(world, 'current')], output })
    expect(codeOf(await world.rpc('startBackup', {}))).toBe('ok')
    expect(world.engine.requests.at(-1)).toMatchObject({
      spec: { sources: [{ path: path.join(world.folder, 'sources/release-42'), label: 'current' }] },
    })
  })
})

test('limits that protect from an archive give way to a login of an admin alone (S-RATE-4, S-RES-5)', async () => {
  await using world = await openWorld()
  saveStandard(world)
  const archive = Number((await world.rpc('startBackup', {})).result?.['BackupID'])
  const restorer = await as(world, 'restorer')
  const admin = await as(world, 'admin')
  const params = (limits: object): object => ({ archive, target: path.join(world.folder, 'restores/x'), limits })
  for (const limits of [{ ratio: 1001 }, { entries: 50_000_001 }, { ratio: 1, entries: 1e9 }]) {
    expect([limits, codeOf(await restorer('startRestore', params(limits)))]).toEqual([limits, 'FORBIDDEN'])
    expect([limits, codeOf(await admin('startRestore', params(limits)))]).toEqual([limits, 'ok'])
  }
  expect(codeOf(await restorer('startRestore', params({ ratio: 1000, entries: 50_000_000, bytes: 1e15 })))).toBe('ok')
})

test('a thousand starts: twenty a minute; and never more than a hundred unfinished jobs (S-RATE-2)', async () => {
  await using world = await openWorld({ access: { traffic: { startsPerMinute: 20 } } })
  saveStandard(world)
  const statuses: number[] = []
  for (let i = 0; i < 100; i++) {
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: i % 2 === 0 ? 'startBackup' : 'startVerify',
      params: i % 2 === 0 ? {} : { archive: 1 },
    })
    const response = await world.post(body)
    statuses.push(response.status)
    if (response.status === 429) expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
    await response.body?.cancel()
  }
  expect(statuses.filter((status) => status === 200)).toHaveLength(20)
  expect(statuses.filter((status) => status === 429)).toHaveLength(80)

  await using open = await openWorld()
  saveStandard(open)
  const replies: string[] = []
  for (let i = 0; i < 110; i++) replies.push(codeOf(await open.rpc('startBackup', {})))
  expect(replies.filter((code) => code === 'ok')).toHaveLength(100)
  expect(replies.slice(100)).toEqual(Array.from({ length: 10 }, () => 'TOO_MANY_REQUESTS'))
  expect(codeOf(await open.rpc('cancelBackup', { BackupID: 1 }))).toBe('ok')
  expect(codeOf(await open.rpc('startBackup', {}))).toBe('ok')
})

test('a list shows the beginning of a long description; the record has all of it', async () => {
  await using world = await openWorld()
  saveStandard(world)
  const description = 'x'.repeat(60_000)
  const { result } = await world.rpc('startBackup', { description })
  const listed = (await world.rpc('listBackups', {})).result?.['jobs'] as { description: string }[]
  expect(listed[0]?.description).toBe('x'.repeat(1000))
  const info = await world.rpc('getBackupInfo', { BackupID: result?.['BackupID'] })
  expect(info.result?.['description']).toBe(description)
})
