import { expect, test, vi } from 'vitest'
import { createHttpApp } from '../../src/facade/http.ts'
import { listen } from '../../src/facade/listen.ts'
import { serverLog } from '../../src/cli/report/server-log.ts'
import type { Io } from '../../src/cli/io.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createLogger } from '../../src/lib/logger.ts'
import { Redactor } from '../../src/lib/redact.ts'
import { openWorld } from './world.ts'

type Line = Record<string, unknown>

test('one line for each request, with nothing in it that a stranger or a secret could be', async () => {
  await using world = await openWorld()
  const lines: string[] = []
  const log = createLogger({
    clock: systemClock,
    redactor: new Redactor([world.token]),
    write: (line) => void lines.push(line),
  })
  const { get } = world.services.profiles
  const services = {
    ...world.services,
    profiles: {
      ...world.services.profiles,
      get: (id: number) => {
        if (id === 1) return get(id)
        throw new TypeError(`a fault with password=hunter2Canary and ${world.token}`)
      },
    },
  }
  const server = await listen(createHttpApp({ services, log }), { host: '127.0.0.1', port: 0 })
  const headers = { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' }
  const rpc = (params: object): Promise<Response> =>
    fetch(`${server.url}/rpc?token=${world.token}`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'getProfile', params }),
    })
  await (await rpc({ id: 1 })).text()
  const fault = (await (await rpc({ id: 2 })).json()) as { error: { data: { id: string } } }
  await (await fetch(`${server.url}/secret-canary/path?password=hunter2Canary`)).text()
  await (await fetch(`${server.url}/openrpc.json`, { headers: { authorization: 'Bearer hunter2Canary' } })).text()
  await server.close(0)
  const said = lines.map((line) => JSON.parse(line) as Line)
  const requests = said.filter((line) => 'route' in line)
  expect(requests.map(({ level, verb, route, status, user }) => [level, verb, route, status, user])).toEqual([
    [20, 'POST', '/rpc', 200, '@host'],
    [20, 'POST', '/rpc', 200, '@host'],
    [30, 'GET', 'unknown', 404, undefined],
    [30, 'GET', '/openrpc.json', 401, undefined],
  ])
  for (const { ms, address, request } of requests.slice(0, 2))
    expect([ms, address, request]).toEqual([expect.any(Number), '127.0.0.1', expect.any(String)])
  // The fault stands there once, with its stack, under the id that the client was shown.
  const faults = said.filter(({ level }) => level === 50)
  expect(faults).toEqual([expect.objectContaining({ code: 'INTERNAL', id: fault.error.data.id })])
  expect(faults[0]?.['stack']).toMatch(/TypeError: a fault with password=\[redacted\][^]*at /)
  for (const secret of [world.token, 'hunter2', 'canary']) expect(lines.join('')).not.toContain(secret)
})

test('without a log a fault is still told', async () => {
  await using world = await openWorld()
  const said = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const fault = new TypeError('a fault')
  const profiles = {
    ...world.services.profiles,
    list: () => {
      throw fault
    },
  }
  const app = createHttpApp({ services: { ...world.services, profiles }, newId: () => 'fault-7' })
  const server = await listen(app, { host: '127.0.0.1', port: 0 })
  await fetch(`${server.url}/rpc`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'getProfiles' }),
  })
  await server.close(0)
  expect(said.mock.calls).toEqual([['internal error fault-7:', fault]])
  said.mockRestore()
})

test('the server logs JSON, or text on a terminal, as grave as settings or environment say', () => {
  const said = (env: Record<string, string>, isTTY: boolean): string => {
    let text = ''
    const stderr = { isTTY, write: (more: string) => void (text += more) }
    const io = { stderr, env, clock: { ...systemClock, wall: () => 0 } } as unknown as Io
    const log = serverLog(io, { level: 'warn' }, new Redactor())
    log.log('info', 'told by the way')
    log.log('error', 'bad\nthing', { code: 'INTERNAL', stack: 'Error: x\n  at \u001b[31my' })
    return text
  }
  const line = JSON.parse(said({}, false)) as Line
  expect(line).toEqual({ level: 50, time: 0, code: 'INTERNAL', stack: 'Error: x\n  at \u001b[31my', msg: 'bad\nthing' })
  const text = said({ RATCHET_LOG: 'debug' }, true).split('\n')
  expect(text).toEqual([
    expect.stringMatching(/^19[67]\d-.* info {2}told by the way$/),
    expect.stringMatching(/ error bad\\u000athing code=INTERNAL$/),
    '    Error: x',
    '    at \\u001b[31my',
    '',
  ])
  expect(() => said({ RATCHET_LOG: 'loud' }, true)).toThrow('RATCHET_LOG is none of debug, info, warn, error')
})
