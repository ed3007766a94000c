import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { openWorld, TESTED, type Reply, type World } from './world.ts'

const codeOf = (reply: Reply): unknown => reply.error?.data?.['code']

const save = (world: World, databases: object[]): Promise<Reply> =>
  world.rpc('saveProfile', { name: 'db', sources: [], output: `${world.folder}/outputs`, databases })

const shop = { type: 'mysql', server: 'main', database: 'shop' }
const inline = { type: 'mysql', host: '10.0.0.5', user: 'root', database: 'shop' }

describe('databases of servers over the network', () => {
  test('are those of servers that the settings file names', async () => {
    await using world = await openWorld()
    const saved = await save(world, [shop, { ...shop, database: 'wiki', name: 'docs' }])
    expect(saved.error).toBeUndefined()
    const profile = saved.result?.['id']
    const one = { type: 'mysql', ok: true, ...TESTED, error: null }
    expect((await world.rpc('testDatabase', { profile })).result).toEqual({
      databases: [
        { name: 'shop', ...one },
        { name: 'docs', ...one },
      ],
    })
    expect((await world.rpc('testDatabase', { profile, database: 'docs' })).result?.['databases']).toHaveLength(1)
    expect((await world.rpc('testDatabase', { profile, database: 'wiki' })).result?.['databases']).toHaveLength(1)
    expect(codeOf(await world.rpc('testDatabase', { profile, database: 'mysql' }))).toBe('DATABASE_NOT_FOUND')
  })

  test.each([
    ['an address', inline],
    ['a socket', { type: 'postgresql', socket: '/run/postgresql', user: 'postgres', database: 'shop' }],
    ['a password file', { ...inline, passwordFile: '/etc/shadow' }],
    ['a variable of the environment', { ...inline, passwordEnv: 'RATCHET_TOKEN' }],
    ['a password itself', { ...inline, password: 'canary' }],
  ])('cannot be given by %s: not saved, not started, not tested', async (_, database) => {
    await using world = await openWorld()
    const replies = [
      await save(world, [database]),
      await world.rpc('startBackup', { overrides: { databases: [database] } }),
      await world.rpc('importProfile', {
        document: {
          format: 'ratchet-profile',
          version: 1,
          profile: { name: 'x', output: '/x', databases: [database] },
        },
      }),
    ]
    expect(replies.map(codeOf)).toEqual(['FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN'])
    expect(JSON.stringify(replies)).not.toContain('canary')
    expect(fs.existsSync(path.join(world.folder, 'key'))).toBe(false)
    // A profile that the host itself saved is no way round.
    const { id } = world.services.profiles.save({ name: 'x', sources: [], output: '/x', databases: [database] })
    expect(codeOf(await world.rpc('testDatabase', { profile: id }))).toBe('FORBIDDEN')
    expect(codeOf(await world.rpc('startBackup', { profile: id }))).toBe('FORBIDDEN')
  })

  test.each([
    ['two places', { ...inline, server: 'main' }],
    ['no place', { type: 'mysql', database: 'shop' }],
    ['a socket and a host', { ...inline, socket: '/s' }],
    ['two passwords', { ...inline, passwordFile: '/f', passwordEnv: 'E' }],
    ['a password for a named server', { ...shop, password: 'secret' }],
    ['a password and a file', { ...inline, password: 'secret', passwordFile: '/f' }],
    ['a sealed password', { ...inline, passwordSealed: 'sealed:v1:secret' }],
    ['an option as a host', { ...inline, host: '-oProxyCommand=id' }],
    ['a line break in a name', { ...shop, database: 'a\nb' }],
    ['a folder in a name', { ...shop, name: '../x' }],
    ['a consistency that is none', { ...shop, consistency: 'maybe' }],
    ['a port out of range', { ...inline, port: 70_000 }],
    ['another kind', { ...shop, type: 'oracle' }],
  ])('with %s are refused at the door', async (_, database) => {
    await using world = await openWorld()
    const reply = await save(world, [database])
    expect(codeOf(reply)).toBe('BAD_REQUEST')
    expect(JSON.stringify(reply)).not.toContain('secret')
  })

  test('a password that the host saved is told to nobody, in no form', async () => {
    await using world = await openWorld()
    const { profiles } = world.services
    const database = { ...inline, password: 'canary-password' }
    const { id } = profiles.save({ name: 'x', sources: [], output: '/x', databases: [database] })
    const sealed = JSON.stringify(profiles.databases(id)).match(/sealed:v1:[\w-]+/)?.[0] ?? ''
    expect(sealed.length).toBeGreaterThan(50)
    const shown = [{ ...inline, password: '***' }]
    const [one, all, exported] = [
      await world.rpc('getProfile', { id }),
      await world.rpc('getProfiles'),
      await world.rpc('exportProfile', { id }),
    ]
    expect(one.result?.['databases']).toEqual(shown)
    expect(all.result).toMatchObject({ profiles: [{}, { databases: shown }] })
    expect(exported.result).toMatchObject({ profile: { databases: shown } })
    const refused = [
      await world.rpc('saveProfile', one.result),
      await world.rpc('startBackup', { profile: id, overrides: { databases: shown } }),
      await world.rpc('importProfile', { document: exported.result, replace: true }),
      await world.rpc('testDatabase', { profile: id }),
    ]
    expect(refused.map(codeOf)).toEqual(['FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN', 'FORBIDDEN'])
    const told = JSON.stringify([one, all, exported, refused, await world.rpc('getAudit', {})])
    for (const secret of ['canary', 'sealed', sealed, fs.readFileSync(path.join(world.folder, 'key'), 'utf8').trim()])
      expect(told).not.toContain(secret)
  })
})
