import { describe, expect, test } from 'vitest'
import type { IncomingMessage } from 'node:http'
import { createPeerReader } from '../../src/facade/peer.ts'
import { openWorld } from './world.ts'

const request = (peer: string, forwarded?: string): IncomingMessage =>
  ({
    socket: { remoteAddress: peer },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  }) as unknown as IncomingMessage

describe('whose call it is', () => {
  const read = (trusted: string[], peer: string, forwarded?: string) =>
    createPeerReader(trusted)(request(peer, forwarded))

  test('the peer, whatever it claims', () => {
    expect(read([], '203.0.113.5', '127.0.0.1')).toBe('203.0.113.5')
    expect(read(['10.0.0.1'], '203.0.113.5', '127.0.0.1')).toBe('203.0.113.5')
  })

  test('behind a proxy of ours: the last address that is none of ours', () => {
    const ours = ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32']
    expect(read(ours, '127.0.0.1', '203.0.113.5')).toBe('203.0.113.5')
    expect(read(ours, '::ffff:127.0.0.1', '203.0.113.5')).toBe('203.0.113.5')
    expect(read(ours, '10.1.2.3', '127.0.0.1, 198.51.100.1, 203.0.113.5, 10.9.9.9')).toBe('203.0.113.5')
    expect(read(ours, '2001:db8::1', '2001:db9::7')).toBe('2001:db9::7')
  })

  test('nonsense in the header is nobody: the proxy itself counts', () => {
    for (const forwarded of [undefined, '', 'x', '203.0.113.5, x', '127.0.0.1', 'unknown', '203.0.113.5:80'])
      expect([forwarded, read(['127.0.0.1'], '127.0.0.1', forwarded)]).toEqual([forwarded, '127.0.0.1'])
  })
})

test('forged headers by the hundred: one guesser', async () => {
  await using world = await openWorld()
  let looked = 0
  for (let i = 0; i < 300; i++) {
    const response = await world.post('{}', {
      authorization: 'Bearer wrong',
      'x-forwarded-for': `203.0.113.${i % 250}`,
      'x-real-ip': `203.0.113.${i % 250}`,
      forwarded: `for=203.0.113.${i % 250}`,
    })
    if (response.status === 401) looked++
    await response.body?.cancel()
  }
  expect(looked).toBeLessThan(10)
})

test('behind a proxy that is named in the settings each client counts for itself', async () => {
  await using world = await openWorld({ trustedProxies: ['127.0.0.1'] })
  const guess = async (address: string): Promise<number> =>
    (await world.post('{}', { authorization: 'Bearer wrong', 'x-forwarded-for': address })).status
  for (let i = 0; i < 5; i++) expect(await guess('203.0.113.5')).toBe(401)
  expect(await guess('203.0.113.5')).toBe(429)
  expect(await guess('203.0.113.6')).toBe(401)
})

test('too many calls: 429 with the time to wait; steps and status go on', async () => {
  await using world = await openWorld({ access: { traffic: { requestsPerMinute: 5 } } })
  const ask = (method: string) =>
    world.post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: method === 'whoAmI' ? {} : { BackupID: 1 } }))
  for (let i = 0; i < 5; i++) expect((await ask('whoAmI')).status).toBe(200)
  const refused = await ask('whoAmI')
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await refused.json()).toMatchObject({
    id: 1,
    error: { code: -32005, data: { code: 'TOO_MANY_REQUESTS', retry: 'later' } },
  })
  for (let i = 0; i < 20; i++) expect((await ask('getBackupInfo')).status).toBe(200)
})
