import { randomBytes } from 'node:crypto'
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { request, talk } from './raw.ts'
import { openWorld, saveStandard, type Reply, type World } from './world.ts'

const VERSION = '{"jsonrpc":"2.0","id":1,"method":"getVersion"}'
const START = '{"jsonrpc":"2.0","id":1,"method":"startBackup"}'

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
const errorOf = async (response: Response): Promise<Reply['error']> => ((await response.json()) as Reply).error

function send(world: World, headers: string[], path = '/rpc', method = 'POST', body: string | Buffer = VERSION) {
  return request(world.server.url, { method, path, headers, body })
}

describe('who is answered', () => {
  test('without or with a wrong token: 401, one body for all', async () => {
    await using world = await openWorld()
    const bodies = new Set<string>()
    for (const authorization of ['', 'Bearer', 'Bearer x', `Basic ${world.token}`, `Bearer ${world.token}x`]) {
      const response = await world.post(START, { authorization })
      expect(response.status).toBe(401)
      expect(response.headers.get('www-authenticate')).toBe('Bearer')
      bodies.add(await response.text())
    }
    expect(bodies.size).toBe(1)
    expect([...bodies][0]).toContain('"code":"UNAUTHORIZED"')
    expect((await fetch(`${world.server.url}/openrpc.json`)).status).toBe(401)
    expect((await fetch(`${world.server.url}/rpc?token=${world.token}`, { method: 'POST' })).status).toBe(401)
    expect(world.engine.count).toBe(0)
  })

  test('guessing is slowed down, then even the right token waits', async () => {
    await using world = await openWorld()
    for (let i = 0; i < 5; i++) expect((await world.post(START, bearer('wrong'))).status).toBe(401)
    const refused = await world.post(START, { ...bearer('wrong'), 'x-forwarded-for': '203.0.113.7' })
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect((await world.post(VERSION)).status).toBe(429)
    expect((await fetch(`${world.server.url}/health`)).status).toBe(200)
  })

  test('health says only that it lives, to anybody', async () => {
    await using world = await openWorld()
    const response = await fetch(`${world.server.url}/health`)
    expect([response.status, await response.text()]).toEqual([200, '{"status":"ok"}'])
  })

  test('host names: loopback and the configured ones', async () => {
    await using world = await openWorld()
    const auth = ['Authorization', `Bearer ${world.token}`, 'Content-Type', 'application/json']
    for (const host of ['127.0.0.1', 'localhost:1', 'LOCALHOST', '[::1]:80', 'backup.example'])
      expect([host, (await send(world, ['Host', host, ...auth])).status]).toEqual([host, 200])
    for (const host of [
      'attacker.example',
      'localhost.evil',
      '127.0.0.1.evil.example',
      '127.evil.example',
      'localhost.',
      'evil:127.0.0.1',
      '127.0.0.1@evil',
      'backup.example.evil',
      '0.0.0.0',
      '',
    ])
      expect([host, (await send(world, ['Host', host, ...auth])).status]).toEqual([host, 421])
    expect((await send(world, ['Host', 'localhost', 'Host', 'localhost', ...auth])).status).toBe(421)
    expect((await send(world, ['Host', 'evil', ...auth], '/health', 'GET', '')).status).toBe(421)
    expect((await send(world, ['Host', 'localhost', ...auth], 'http://localhost/rpc')).status).toBe(421)
    expect(await talk(world.server.url, 'GET /health HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1.1 400/)
    expect(await talk(world.server.url, 'GET /health HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 421/)
  })

  test('no other site may read, nothing is kept, nothing framed', async () => {
    await using world = await openWorld()
    for (const response of [
      await world.post(VERSION, { origin: 'https://evil.example' }),
      await fetch(`${world.server.url}/rpc`, { method: 'OPTIONS', headers: { origin: 'null' } }),
      await fetch(`${world.server.url}/nothing`),
    ]) {
      for (const name of response.headers.keys()) expect(name).not.toMatch(/^access-control-|^x-powered-by$/)
      expect(response.headers.get('content-security-policy')).toBe(
        "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self';" +
          "form-action 'self';base-uri 'none';frame-ancestors 'none'",
      )
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(response.headers.get('x-content-type-options')).toBe('nosniff')
      expect(response.headers.get('referrer-policy')).toBe('no-referrer')
    }
  })
})

describe('what is read', () => {
  test('only POST', async () => {
    await using world = await openWorld()
    const query = `?${new URLSearchParams({ jsonrpc: '2.0', id: '1', method: 'startBackup' })}`
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']) {
      const headers = { ...bearer(world.token), 'x-http-method-override': 'POST' }
      const response = await fetch(`${world.server.url}/rpc${query}`, { method, headers })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    }
    for (const path of ['/RPC', '/rpc/', '/', '/%', '/..%2f..%2fetc/passwd', '/.env', '/health/', '/openrpc.json/'])
      expect((await request(world.server.url, { method: 'POST', path, headers: ['Host', 'localhost'] })).status).toBe(
        404,
      )
    expect(world.engine.count).toBe(0)
  })

  test('only application/json, uncompressed', async () => {
    await using world = await openWorld()
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonp',
      'application/json+x',
      'application/json; charset=latin1',
      'text/plain; application/json',
      '',
    ])
      expect([type, (await world.post(START, { 'content-type': type })).status]).toEqual([type, 415])
    expect((await world.post(START, { 'content-encoding': 'gzip' })).status).toBe(415)
    expect(world.engine.count).toBe(0)
    expect((await world.post(VERSION, { 'content-type': 'application/json; charset=UTF-8' })).status).toBe(200)
  })

  test('bytes that are not UTF-8', async () => {
    await using world = await openWorld()
    const response = await world.post(Buffer.from([0x22, 0xff, 0x22]))
    expect([response.status, (await errorOf(response))?.data?.['code']]).toEqual([400, 'BAD_REQUEST'])
  })

  test('50 MB bodies: refused, with or without a length; the server lives', async () => {
    await using world = await openWorld()
    const big = Buffer.alloc(50 * 1024 * 1024, 0x20)
    for (let i = 0; i < 3; i++) {
      const response = await world.post(big)
      expect(response.status).toBe(413)
      expect((await errorOf(response))?.data?.['code']).toBe('TOO_LARGE')
    }
    const auth = ['Host', 'localhost', 'Authorization', `Bearer ${world.token}`, 'Content-Type', 'application/json']
    const chunked = await send(world, [...auth, 'Transfer-Encoding', 'chunked'], '/rpc', 'POST', big)
    expect(chunked.status).toBe(413)
    expect(JSON.parse(chunked.body)).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32003 } })
    expect((await world.post(`${' '.repeat(1024 * 1024 - VERSION.length)}${VERSION}`)).status).toBe(200)
    expect((await world.post(`${' '.repeat(1024 * 1024 - VERSION.length + 1)}${VERSION}`)).status).toBe(413)
  })

  test('big bodies from strangers are refused as well', async () => {
    await using world = await openWorld()
    expect((await world.post(randomBytes(5 * 1024 * 1024), bearer('wrong'))).status).toBe(401)
  })

  test('slow heads and slow bodies are cut off; others are answered meanwhile', async () => {
    await using world = await openWorld({ listen: { headersTimeoutMs: 300, requestTimeoutMs: 600 } })
    const head = `POST /rpc HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${world.token}\r\n`
    const slow = [
      talk(world.server.url, 'POST /rpc HTTP/1.1\r\nHost: loc'),
      talk(world.server.url, `${head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"json`),
    ]
    expect((await world.post(VERSION)).status).toBe(200)
    for (const answer of await Promise.all(slow)) expect(answer).toMatch(/^HTTP\/1.1 408/)
  })

  test('heads that are too large', async () => {
    await using world = await openWorld()
    const answer = await talk(
      world.server.url,
      `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1.1 431/)
  })
})

describe('connections', () => {
  const limits = { connections: 50, connectionsPerAddress: 50, unauthenticated: 4, unauthenticatedPerAddress: 2 }

  test('those that say nothing lose theirs, oldest first; those with a token keep it', async () => {
    await using world = await openWorld({ listen: { limits } })
    const { hostname, port } = new URL(world.server.url)
    const open = (): net.Socket => net.connect(Number(port), hostname).on('error', () => undefined)
    const known = open()
    known.write(
      `POST /rpc HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${world.token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${VERSION.length}\r\n\r\n${VERSION}`,
    )
    await new Promise((resolve) => known.once('data', resolve))
    const silent: net.Socket[] = []
    for (let i = 0; i < 6; i++) {
      const socket = open()
      await new Promise((resolve) => socket.once('connect', resolve))
      silent.push(socket)
    }
    const closed = (socket: net.Socket): Promise<unknown> =>
      new Promise((resolve) => (socket.closed ? resolve(null) : socket.once('close', resolve)))
    await Promise.all(silent.slice(0, 2).map(closed))
    expect((await fetch(`${world.server.url}/health`)).status).toBe(200)
    await closed(silent[2] as net.Socket) // made room for the request just answered
    expect([known, ...silent.slice(3)].map((s) => s.destroyed)).toEqual([false, false, false, false])
    for (const socket of [known, ...silent]) socket.destroy()
  })

  test('closing waits for the running step and takes no more', async () => {
    let go: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    let entered: () => void = () => undefined
    const inside = new Promise<void>((resolve) => (entered = resolve))
    const work = (): Promise<void> => {
      entered()
      return gate
    }
    await using world = await openWorld({ work })
    saveStandard(world)
    const reply = world.rpc('startBackup')
    await inside
    const closed = world.server.close(30_000)
    await expect(fetch(`${world.server.url}/health`)).rejects.toThrow()
    go()
    expect((await reply).result).toMatchObject({ stepNumber: 1 })
    await closed
  })
})
