import fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openAccess } from '../../src/access/open.ts'
import type { Origin, Session } from '../../src/engine/services.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { CHEAP } from './world.ts'
import { openDownloads, PASSWORD, type DownloadWorld } from './download-world.ts'

const HERE: Origin = { face: 'http', address: '192.0.2.7' }
const PURPOSE = 'GET job:1/part:a.zip'

/** Access in memory under a clock that obeys, with a user who may download. */
async function book() {
  const clock = new FakeClock()
  const opened = openAccess({
    disk: new MemoryDisk(),
    clock,
    dataDir: '/data',
    hostToken: () => 'host',
    passwordCost: CHEAP,
  })
  const { accounts, access, tickets } = opened
  await accounts.saveUser({ name: 'rita', role: 'restorer', password: PASSWORD })
  const { token } = await accounts.login(HERE, { user: 'rita', password: PASSWORD })
  const session = access.enter(token, HERE)
  if (session === null) throw new Error('not logged in')
  const codeOf = (work: () => Session): string => {
    try {
      return work().name
    } catch (error) {
      return (error as { code?: string }).code ?? String(error)
    }
  }
  const take = (secret: string, origin = HERE, purpose: `${string}/${string}` = PURPOSE): string =>
    codeOf(() => tickets.take(secret, origin, purpose))
  const make = (): string => tickets.make(session, HERE, PURPOSE).secret
  return { ...opened, clock, session, take, make }
}

describe('tickets', () => {
  test('count once, for a minute, for what they were made for, from the same kind of network', async () => {
    const { take, make, clock } = await book()
    const first = make()
    expect([take(first), take(first), take(first)]).toEqual(['rita', 'FORBIDDEN', 'FORBIDDEN'])
    const late = make()
    clock.advance(61_000)
    expect(take(late)).toBe('FORBIDDEN')
    const justInTime = make()
    clock.advance(59_000)
    expect(take(justInTime)).toBe('rita')
    expect(take(make(), HERE, 'GET job:1/part:b.zip')).toBe('FORBIDDEN')
    expect(take(make(), HERE, 'GET job:2/part:a.zip')).toBe('FORBIDDEN')
    expect(take(make(), { face: 'http', address: '2001:db8::1' })).toBe('FORBIDDEN')
    expect(take(make(), { face: 'http', address: '::ffff:198.51.100.3' })).toBe('rita')
    const misused = make()
    expect([take(misused, HERE, 'GET job:2/part:a.zip'), take(misused)]).toEqual(['FORBIDDEN', 'FORBIDDEN'])
  })

  test('are worth what their maker is worth when they are used', async () => {
    const { take, make, accounts, access, session, tickets } = await book()
    const gone = make()
    accounts.logout(session)
    expect(take(gone)).toBe('FORBIDDEN')
    const admin: Session = { name: '@host', role: 'admin', profiles: null, kind: 'host', id: '', loginAt: null }
    const api = accounts.createToken(admin, { name: 't', role: 'restorer', user: 'rita' })
    const asToken = access.enter(api.secret, HERE)
    if (asToken === null) throw new Error('no token')
    const [one, other] = [tickets.make(asToken, HERE, PURPOSE).secret, tickets.make(asToken, HERE, PURPOSE).secret]
    await accounts.saveUser({ name: 'rita', role: 'viewer' })
    expect(tickets.take(one, HERE, PURPOSE).role).toBe('viewer')
    accounts.revokeToken(admin, api.id)
    expect(take(other)).toBe('FORBIDDEN')
  })

  test('forged ones are guesses: 10,000 from forged addresses come to a few; late ones are none', async () => {
    const { take, make, access, clock } = await book()
    const used = make()
    take(used)
    for (let i = 0; i < 100; i++) expect(take(used, { face: 'http', address: '192.0.2.99' })).toBe('FORBIDDEN')
    const outcomes = new Map<string, number>()
    const note = (code: string): void => void outcomes.set(code, (outcomes.get(code) ?? 0) + 1)
    for (let i = 0; i < 10_000; i++) {
      const origin = { face: i % 2 === 0 ? 'http' : 'tcp', address: `203.0.${i % 250}.${Math.floor(i / 250)}` }
      const secret = `ratchet_ticket_${String(i).padStart(12, '0')}_${'A'.repeat(43)}`
      if (i % 2 === 0) note(take(secret, origin))
      else {
        try {
          note(access.enter(secret.replace('ticket', 'token'), origin) === null ? 'FORBIDDEN' : 'in')
        } catch (error) {
          note((error as { code?: string }).code ?? '')
        }
      }
      clock.advance(10)
    }
    expect(outcomes.get('FORBIDDEN')).toBeLessThanOrEqual(50)
    expect((outcomes.get('FORBIDDEN') ?? 0) + (outcomes.get('TOO_MANY_REQUESTS') ?? 0)).toBe(10_000)
    const alone = await book()
    let looked = 0
    for (let i = 0; i < 10_000; i++) {
      const origin = { face: 'http', address: `203.0.${i % 250}.${Math.floor(i / 250)}` }
      if (alone.take(`ratchet_ticket_${'0'.repeat(12)}_${'A'.repeat(43)}`, origin) === 'FORBIDDEN') looked++
    }
    expect(looked).toBeLessThanOrEqual(50)
    // Whoever holds a ticket of ours is listened to all the same.
    expect(take(make())).toBe('rita')
    for (const nonsense of ['', 'x', 'a'.repeat(100_000), 'ratchet_ticket_', `${make()}x`])
      expect(['FORBIDDEN', 'TOO_MANY_REQUESTS']).toContain(take(nonsense, { face: 'http', address: '192.0.2.50' }))
  })

  test('what is kept of them gives nothing away, and is bounded', async () => {
    const { make, tickets, session } = await book()
    expect(make()).toMatch(/^ratchet_ticket_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/)
    for (let i = 1; i < 1000; i++) tickets.make(session, HERE, PURPOSE)
    expect(() => tickets.make(session, HERE, PURPOSE)).toThrow(/too many/)
  })
})

describe('links', () => {
  const link = async (world: DownloadWorld, params: object, token?: string): Promise<string> => {
    const made = await world.rpc('createDownloadTicket', { BackupID: world.backup, ...params }, token)
    if (typeof made['url'] !== 'string') throw new Error(JSON.stringify(made))
    return made['url']
  }

  test('a part and a file in the archive, once, by GET, without a token', async () => {
    await using world = await openDownloads()
    const [part] = await world.app.engine.artifacts(world.backup)
    for (const params of [{ part: 1 }, { part: part?.name ?? '' }, { entry: 'source/deep/one/two/three.txt' }]) {
      const url = await link(world, params)
      expect((await world.get(url, {}, 'POST')).status).toBe(405)
      const look = await world.get(url, {}, 'HEAD') // as chats and mail filters do
      expect([look.status, look.headers.get('allow')]).toEqual([405, 'GET'])
      const got = await world.get(url, {})
      expect([got.status, got.headers.get('cache-control')]).toEqual([200, 'private, no-store'])
      const bytes = Buffer.from(await got.arrayBuffer())
      if ('part' in params) expect(bytes.equals(fs.readFileSync(part?.path ?? ''))).toBe(true)
      else expect(bytes.toString()).toBe('three')
      const again = await world.get(url, {})
      expect([again.status, await again.json()]).toEqual([
        403,
        expect.objectContaining({
          error: expect.objectContaining({
            data: expect.objectContaining({ hint: expect.stringContaining('Ask for a new one') as string }) as object,
          }) as object,
        }),
      ])
    }
  })

  test('for something else, in another form, or beside the token of another user: refused', async () => {
    await using world = await openDownloads()
    const rita = await world.user('rita', 'restorer')
    const other = await world.user('other', 'restorer')
    const swapped = async (change: (url: string) => string): Promise<number> =>
      (await world.get(change(await link(world, { part: 1 }, rita.token)), {})).status
    expect(await swapped((url) => url.replace(/\/[^/?]+\?/, '/entry?path=source/a.txt&'))).toBe(403)
    expect(await swapped((url) => url.replace(/\/[^/?]+\?/, '/1?'))).toBe(403)
    expect(await swapped((url) => url.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')))).toBe(403)
    expect(await swapped((url) => `${url}&ticket=x`)).toBe(400)
    expect(await swapped((url) => url.replace(/ticket=.*/, ''))).toBe(401)
    const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
    const url = await link(world, { part: 1 }, rita.token)
    expect((await world.get(url, bearer(other.token))).status).toBe(403)
    expect((await world.get(url, {})).status).toBe(403) // used up
    expect((await world.get(await link(world, { part: 1 }, rita.token), bearer(rita.token))).status).toBe(200)
    const ticket = new URL(await link(world, { part: 1 }), world.server.url).searchParams.get('ticket') ?? ''
    expect((await world.get('/openrpc.json', bearer(ticket))).status).toBe(401)
  })

  test('a right that was taken away between making and using counts for nothing', async () => {
    await using world = await openDownloads()
    const admin: Session = { name: '@host', role: 'admin', profiles: null, kind: 'host', id: '', loginAt: null }
    const { accounts } = world.app.services
    await world.user('rita', 'restorer')
    const api = accounts.createToken(admin, { name: 't', role: 'restorer', user: 'rita' })
    const demoted = await link(world, { part: 1 }, api.secret)
    await accounts.saveUser({ name: 'rita', role: 'viewer' })
    expect((await world.get(demoted, {})).status).toBe(403)
    await accounts.saveUser({ name: 'rita', role: 'restorer', profiles: null })
    const limited = await link(world, { part: 1 }, api.secret)
    await accounts.saveUser({ name: 'rita', profiles: [77] })
    expect((await world.get(limited, {})).status).toBe(404)
  })

  test('who may not download gets no link; what is not there gets none', async () => {
    await using world = await openDownloads()
    const viewer = await world.user('vera', 'viewer')
    const elsewhere = await world.user('else', 'restorer', [77])
    const code = async (params: object, token?: string): Promise<unknown> => {
      const reply = await world.rpc('createDownloadTicket', { BackupID: world.backup, ...params }, token)
      return (reply['error'] as { data?: { code?: string } } | undefined)?.data?.code
    }
    expect(await code({ part: 1 }, viewer.token)).toBe('FORBIDDEN')
    expect(await code({ part: 1 }, elsewhere.token)).toBe('JOB_NOT_FOUND')
    expect(await code({ part: 9 })).toBe('ARCHIVE_NOT_FOUND')
    expect(await code({ part: '../x' })).toBe('ARCHIVE_NOT_FOUND')
    for (const params of [{}, { part: 1, entry: 'a' }, { part: 0 }, { part: -1 }, { entry: '' }, { part: {} }])
      expect([params, await code(params)]).toEqual([params, 'BAD_REQUEST'])
    const names = world.app.services.audit.read(undefined, 50).entries.map(({ event }) => event)
    expect(names).toContain('ticket.create')
  })
})
