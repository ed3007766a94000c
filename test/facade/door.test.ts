import fs from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import type { IncomingMessage } from 'node:http'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { readBody } from '../../src/facade/body.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { request } from './raw.ts'
import { FIRST, openWorld, type World } from './world.ts'

const call = (method: string, params: object = {}): string => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
const JSON_BODY = ['Content-Type', 'application/json']
const PASSWORD = 'correct horse battery'

const send = (world: World, path: string, headers: string[] = [], body?: string, method = body ? 'POST' : 'GET') =>
  request(world.server.url, { method, path, headers: ['Host', 'localhost', ...headers], ...(body ? { body } : {}) })

const setUp = (setupToken: string): string => call('setUp', { setupToken, name: 'anna', password: PASSWORD })

describe('before anybody has set the server up (S-AUTH-1)', () => {
  test('every route answers 403, with one body, but that it lives and setUp; the host goes on', async () => {
    await using world = await openWorld({ bare: true })
    const token = world.opened.setup()?.token ?? ''
    const wrong = ['Authorization', `Bearer ratchet_token_000000000000_${'A'.repeat(43)}`]
    const bodies = new Set<string>()
    for (const answer of [
      await send(world, '/openrpc.json'),
      await send(world, '/rpc'),
      await send(world, '/rpc', [], undefined, 'DELETE'),
      await send(world, '/'),
      await send(world, '/nothing'),
      await send(world, '/openrpc.json', wrong),
      await send(world, '/rpc', JSON_BODY, call('getVersion')),
      await send(world, '/rpc', JSON_BODY, `[${setUp(token)}]`),
      await send(world, '/rpc', JSON_BODY, '{'),
      await send(world, '/rpc', ['Content-Type', 'text/plain'], setUp(token)),
      await send(world, '/rpc', [...JSON_BODY, ...wrong], call('getVersion')),
    ]) {
      expect(answer.status).toBe(403)
      expect(answer.headers['www-authenticate']).toBeUndefined()
      bodies.add(answer.body)
    }
    expect(bodies.size).toBe(1)
    expect((await send(world, '/health')).status).toBe(200)
    expect((await send(world, '/rpc', JSON_BODY, call('login', { user: 'anna', password: PASSWORD }))).body).toContain(
      'FORBIDDEN',
    )
    expect((await world.rpc('whoAmI')).result).toMatchObject({ name: '@host' })
  })

  test('a wrong token, one used, one of two at once: refused; then strangers get 401', async () => {
    await using world = await openWorld({ bare: true, access: { guard: { free: 100 } } })
    const token = world.opened.setup()?.token ?? ''
    const wrong = await send(world, '/rpc', JSON_BODY, setUp(`ratchet_setup_000000000000_${'A'.repeat(43)}`))
    expect(wrong.body).toContain('"code":"FORBIDDEN"')
    const racers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        send(world, '/rpc', JSON_BODY, call('setUp', { setupToken: token, name: `u${i}`, password: PASSWORD })),
      ),
    )
    expect(racers.filter(({ body }) => body.includes('"result"'))).toHaveLength(1)
    expect(racers.filter(({ body }) => body.includes('"code":"FORBIDDEN"'))).toHaveLength(7)
    expect((await send(world, '/rpc', JSON_BODY, setUp(token))).body).toContain('"code":"FORBIDDEN"')
    expect(world.services.accounts.listUsers()).toHaveLength(1)
    expect(fs.existsSync(path.join(world.folder, 'setup-token'))).toBe(false)
    expect((await send(world, '/openrpc.json')).status).toBe(401)
    expect((await send(world, '/nothing')).status).toBe(404)
    // When all users are gone again, nobody is served, and the old token is no way in.
    const [user] = world.services.accounts.listUsers()
    world.services.accounts.deleteUser(user?.name ?? '')
    expect((await send(world, '/openrpc.json')).status).toBe(403)
    expect((await send(world, '/rpc', JSON_BODY, setUp(token))).body).toContain('"code":"FORBIDDEN"')
  })

  test('a token counts for an hour, also when the clock is set back; a user made on the host ends it', async () => {
    const clock = new FakeClock()
    await using world = await openWorld({ bare: true, clock })
    const token = world.opened.setup()?.token ?? ''
    clock.setWall(clock.wall() - 24 * 3600_000)
    expect((await send(world, '/rpc', JSON_BODY, setUp(token))).body).toContain('"code":"FORBIDDEN"')
    clock.setWall(clock.wall() + 24 * 3600_000)
    await world.services.accounts.saveUser({ name: 'otto', role: 'viewer', password: PASSWORD })
    world.services.accounts.deleteUser('otto')
    expect((await send(world, '/rpc', JSON_BODY, setUp(token))).body).toContain('"code":"FORBIDDEN"')
    expect(world.services.accounts.isSetUp()).toBe(false)
  })
})

describe('a page in a browser (S-WEB-1, S-WEB-4)', () => {
  test('of another site is refused whatever it asks, and uses nothing up; of our own, and a program, pass', async () => {
    await using world = await openWorld({ access: { traffic: { strangersPerMinute: 3 } } })
    const foreign: string[][] = [
      ['Origin', 'https://evil.example'],
      ['Origin', 'null'],
      ['Origin', ''],
      ['Origin', 'http://localhost:3000'],
      ['Origin', 'http://localhost.evil'],
      ['Origin', 'http://localhost@evil'],
      ['Origin', 'file://'],
      ['Origin', 'http://backup.example'],
      ['Sec-Fetch-Site', 'cross-site'],
      ['Sec-Fetch-Site', 'same-site'],
      ['Sec-Fetch-Site', 'same-origin', 'Origin', 'https://evil.example'],
    ]
    const auth = ['Authorization', `Bearer ${world.token}`, ...JSON_BODY]
    for (const headers of foreign) {
      for (const more of [auth, JSON_BODY]) {
        const answer = await send(world, '/rpc', [...headers, ...more], call('startBackup'))
        expect([headers, answer.status]).toEqual([headers, 403])
        for (const name of Object.keys(answer.headers)) expect(name).not.toMatch(/^access-control-/)
      }
      expect((await send(world, '/health', headers)).status).toBe(403)
    }
    expect(world.engine.count).toBe(0)
    const own = [[], ['Origin', 'http://localhost'], ['Origin', 'https://backup.example'], ['Sec-Fetch-Site', 'none']]
    for (const headers of own)
      expect([headers, (await send(world, '/rpc', [...headers, ...auth], call('whoAmI'))).status]).toEqual([
        headers,
        200,
      ])
    const login = call('login', { user: 'first', password: FIRST })
    expect((await send(world, '/rpc', JSON_BODY, login)).body).toContain('"result"')
  })
})

describe('limits of a request (S-RATE-1)', () => {
  test('a hundred header lines, none cut off unseen', async () => {
    await using world = await openWorld()
    const lines = (count: number): string[] => Array.from({ length: count }, (_, i) => [`X-${i}`, 'x']).flat()
    // Host and Connection are lines as well.
    expect((await send(world, '/health', lines(98))).status).toBe(200)
    for (const count of [99, 200, 500]) expect((await send(world, '/health', lines(count))).status).toBe(431)
    expect((await send(world, '/health', ['X', 'x'.repeat(17_000)])).status).toBe(431)
  })

  test('a body that trickles is not waited for', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const trickle = (bytesPerSecond: number) => {
      const stream = Object.assign(new PassThrough(), { headers: {} })
      const state = { end: 'waiting', stream }
      readBody(stream as unknown as IncomingMessage).then(
        () => (state.end = 'read'),
        (error: unknown) => (state.end = error instanceof Error && 'code' in error ? String(error.code) : 'other'),
      )
      const timer = setInterval(() => void stream.write('x'.repeat(bytesPerSecond)), 1_000)
      onTestFinished(() => clearInterval(timer))
      return state
    }
    const slow = trickle(100)
    const steady = trickle(1_100)
    await vi.advanceTimersByTimeAsync(5_000)
    expect([slow.end, steady.end]).toEqual(['waiting', 'waiting'])
    await vi.advanceTimersByTimeAsync(20_000)
    expect([slow.end, steady.end]).toEqual(['TIMED_OUT', 'waiting'])
    steady.stream.end()
    await vi.advanceTimersByTimeAsync(10)
    expect(steady.end).toBe('read')
  })
})

test('HSTS where TLS is spoken: as the settings say, or a proxy that is ours (S-WEB-2)', async () => {
  const told = async (world: World, headers: string[] = []): Promise<unknown> =>
    (await send(world, '/health', headers)).headers['strict-transport-security']
  const https = ['X-Forwarded-Proto', 'https']
  await using plain = await openWorld()
  expect([await told(plain), await told(plain, https)]).toEqual([undefined, undefined])
  await using behind = await openWorld({ behindTlsProxy: true })
  expect(await told(behind)).toBe('max-age=31536000')
  await using trusting = await openWorld({ trustedProxies: ['127.0.0.0/8'] })
  expect([await told(trusting), await told(trusting, ['X-Forwarded-Proto', 'http'])]).toEqual([undefined, undefined])
  expect(await told(trusting, https)).toBe('max-age=31536000')
})
