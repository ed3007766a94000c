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
  ])('cannot be given by %s: not saved, not started, not tested', async (_, database) => {
    await using world = await openWorld()
    expect(codeOf(await save(world, [database]))).toBe('FORBIDDEN')
    expect(codeOf(await world.rpc('startBackup', { overrides: { databases: [database] } }))).toBe('FORBIDDEN')
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
    ['a password itself', { ...inline, password: 'secret' }],
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
})
