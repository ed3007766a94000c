import { randomBytes } from 'node:crypto'
import http from 'node:http'
import { expect, test } from 'vitest'
import { FakeClock } from '../helpers/fake-clock.ts'
import { seeded } from '../helpers/random.ts'
import { FIRST, openWorld, type World } from './world.ts'

/**
 * Guesses as a hostile client on this machine sends them: over real connections from many loopback addresses, with
 * addresses forged in every header that proxies use, of every kind of secret in turn (S-AUTH-5).
 */

type Random = ReturnType<typeof seeded>

interface Guess {
  readonly headers: Record<string, string>
  readonly body: string
}

const call = (method: string, params: object): string => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })

function guess(random: Random): Guess {
  const secret = randomBytes(32).toString('base64url')
  const bearer = (token: string): Guess => ({ headers: { authorization: `Bearer ${token}` }, body: call('whoAmI', {}) })
  const id = randomBytes(6).toString('hex')
  const kinds: (() => Guess)[] = [
    () => bearer(secret),
    () => bearer(`ratchet_token_${id}_${secret}`),
    () => bearer(`ratchet_session_${id}_${secret}`),
    () => bearer(`ratchet_setup_${id}_${secret}`),
    () => ({ headers: {}, body: call('login', { user: random.pick(['first', 'root', `u${id}`]), password: secret }) }),
    () => ({
      headers: {},
      body: call('setUp', { setupToken: `ratchet_setup_${id}_${secret}`, name: 'x', password: secret }),
    }),
  ]
  return (kinds[random.int(kinds.length)] ?? kinds[0])?.() ?? bearer(secret)
}

function forged(random: Random): Record<string, string> {
  const address = `${random.int(250)}.${random.int(250)}.${random.int(250)}.${random.int(250)}`
  const names = ['x-forwarded-for', 'x-real-ip', 'x-client-ip', 'cf-connecting-ip', 'true-client-ip']
  return { ...Object.fromEntries(names.map((name) => [name, address])), forwarded: `for=${address};proto=https` }
}

/** The status and the body, of a request that comes from this loopback address. */
function send(world: World, localAddress: string, { headers, body }: Guess): Promise<{ status: number; text: string }> {
  const { port } = new URL(world.server.url)
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        host: '127.0.0.1',
        port,
        path: '/rpc',
        method: 'POST',
        localAddress,
        agent: false,
        headers: { 'content-type': 'application/json', ...headers },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (piece: string) => (text += piece))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

const GUESSES = 10_000

test('10,000 within ten minutes: at most 50 are looked at; forging changes nothing; the owner of a token goes on', async () => {
  const clock = new FakeClock()
  await using world = await openWorld({ clock, access: { traffic: { strangersPerMinute: 1e6, loginsPerMinute: 1e6 } } })
  const random = seeded(3)
  const origin = { face: 'test', address: '198.51.100.9' }
  const { token } = await world.services.accounts.login(origin, { user: 'first', password: FIRST })
  const statuses = new Map<string, number>()
  for (let i = 0; i < GUESSES; i += 20) {
    const batch = Array.from({ length: 20 }, () => {
      const from = `127.${random.int(255)}.${random.int(255)}.${1 + random.int(250)}`
      const wild = guess(random)
      return send(world, from, { ...wild, headers: { ...forged(random), ...wild.headers } })
    })
    for (const { status, text } of await Promise.all(batch)) {
      const name = status === 200 ? (text.includes('"result"') ? 'in' : 'looked at') : String(status)
      statuses.set(name, (statuses.get(name) ?? 0) + 1)
    }
    clock.advance((600_000 * 20) / GUESSES)
  }
  const looked = (statuses.get('401') ?? 0) + (statuses.get('looked at') ?? 0)
  expect([...statuses.keys()].toSorted()).toEqual(['401', '429', 'looked at'])
  expect(looked).toBeGreaterThan(4)
  expect(looked).toBeLessThanOrEqual(50)
  expect((statuses.get('429') ?? 0) + looked).toBe(GUESSES)
  expect(world.services.access.enter(token, { face: 'test', address: '198.51.100.10' })?.name).toBe('first')
  const { total } = world.services.audit.read(1, 1)
  expect(total).toBeLessThan(60) // what was not looked at fills no trail
  expect(world.services.audit.verify().ok).toBe(true)
}, 300_000)
