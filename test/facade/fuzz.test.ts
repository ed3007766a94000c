import fc from 'fast-check'
import { expect, test } from 'vitest'
import { methods } from '../../src/facade/jsonrpc/methods.ts'
import { openWorld, saveStandard } from './world.ts'

const names = fc.oneof(
  fc.constantFrom(...Object.keys(methods), 'rpc.discover', '__proto__', 'constructor'),
  fc.string(),
)
const keys = fc.oneof(
  fc.constantFrom(
    'backupid',
    'BackupID',
    'step',
    'profile',
    'overrides',
    'archive',
    'target',
    'from',
    'limit',
    'sources',
  ),
  fc.string(),
)
const params = fc.oneof(fc.dictionary(keys, fc.jsonValue({ maxDepth: 4 })), fc.jsonValue())
const ids = fc.oneof(fc.integer(), fc.uuid(), fc.constant(null), fc.jsonValue({ maxDepth: 1 }))
const requests = fc.record(
  { jsonrpc: fc.oneof(fc.constant('2.0'), fc.jsonValue({ maxDepth: 1 })), id: ids, method: names, params },
  { requiredKeys: [] },
)
const bodies = fc.oneof(
  { weight: 4, arbitrary: requests.map((r) => JSON.stringify(r)) },
  { weight: 2, arbitrary: fc.array(requests, { maxLength: 22 }).map((r) => JSON.stringify(r)) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  { weight: 1, arbitrary: fc.tuple(requests, fc.nat(200)).map(([r, cut]) => JSON.stringify(r).slice(0, cut)) },
)

interface Reply {
  jsonrpc: string
  result?: unknown
  error?: { code: number; message: string }
}

test('whatever is sent, JSON-RPC comes back and the server lives', { timeout: 60_000 }, async () => {
  await using world = await openWorld()
  saveStandard(world)
  const property = fc.asyncProperty(bodies, async (body) => {
    const response = await world.post(Buffer.from(body, 'utf8'))
    expect([200, 204, 400]).toContain(response.status)
    const text = await response.text()
    expect(text === '').toBe(response.status === 204)
    const replies = text === '' ? [] : ([JSON.parse(text)].flat() as Reply[])
    for (const reply of replies) {
      expect(reply.jsonrpc).toBe('2.0')
      expect((reply.result === undefined) !== (reply.error === undefined)).toBe(true)
      if (reply.error !== undefined) expect(Number.isInteger(reply.error.code)).toBe(true)
    }
  })
  await fc.assert(property, {
    numRuns: process.env['RATCHET_LONG'] === '1' ? 20_000 : 600,
    interruptAfterTimeLimit: 30_000,
  })
  expect(world.internal).toEqual([])
  expect((await world.rpc('getVersion')).result).toMatchObject({ version: '9.9.9' })
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(world.services.profiles.get(1).name).toBeDefined()
})
