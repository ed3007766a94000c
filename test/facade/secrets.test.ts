import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { methods } from '../../src/facade/jsonrpc/methods.ts'
import { openWorld, saveStandard, type Reply, type World } from './world.ts'

/** Canaries in everything that can hold a secret, through every method: none comes out where it should not (S-LOG-1). */

const PASSWORD = 'canary-password-one'
const NEXT = 'canary-password-two'
const CANARY = 'canary-in-a-free-text'

async function call(world: World, token: string, method: string, params: object): Promise<Reply> {
  const response = await world.post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }), {
    authorization: `Bearer ${token}`,
  })
  return (await response.json()) as Reply
}

/** A secret as it may be written. */
const forms = (secret: string): string[] => [
  secret,
  encodeURIComponent(secret),
  Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  Buffer.from(secret).toString('hex'),
  JSON.stringify(secret).slice(1, -1),
]

test('no secret in the audit trail, in the users file or in a list, whatever it was given to', async () => {
  const many = 1_000_000
  await using world = await openWorld({
    bare: true,
    access: {
      guard: { free: many, allowance: many },
      traffic: { loginsPerMinute: many, strangersPerMinute: many },
    },
  })
  saveStandard(world)
  const setupToken = world.opened.setup()?.token ?? ''
  const secrets = [setupToken, PASSWORD, NEXT, CANARY, world.token]
  const spoken: string[] = []
  const ask = async (method: string, params: object, token = world.token): Promise<Reply> => {
    const reply = await call(world, token, method, params)
    for (const key of ['token', 'secret']) {
      const shown = reply.result?.[key]
      if (typeof shown === 'string') secrets.push(shown)
      if (reply.result !== undefined) delete reply.result[key] // shown this once
    }
    spoken.push(JSON.stringify(reply))
    return reply
  }
  await ask('setUp', { setupToken, name: 'anna', password: PASSWORD })
  await ask('login', { user: 'anna', password: PASSWORD })
  const session = secrets.at(-1) ?? ''
  await ask('createToken', { name: CANARY, role: 'viewer' }, session)
  await ask('changePassword', { old: PASSWORD, password: NEXT }, session)
  await ask('login', { user: PASSWORD, password: NEXT })
  await ask('login', { user: NEXT, password: PASSWORD })
  await ask('startBackup', { description: CANARY, comment: CANARY })
  // Every method, with a canary as every parameter, as the host, as nobody that counts, and with rights for little.
  const viewer = { name: 'otto', role: 'viewer', password: NEXT }
  await ask('saveUser', viewer)
  await ask('login', { user: 'otto', password: NEXT })
  const low = secrets.at(-1) ?? ''
  // Later on a description that is a secret is shown as what it is: a description.
  const first = spoken.splice(0)
  let calls = 0
  for (const [name, method] of Object.entries(methods)) {
    const keys = Object.keys(method.params.shape)
    for (const canary of secrets.slice(0, 7)) {
      const params = Object.fromEntries(keys.map((key) => [key, canary]))
      for (const token of [world.token, low]) await ask(name, params, token)
      for (const key of keys) await ask(name, { [key]: canary }, world.token)
      calls += 2 + keys.length
    }
    await ask(name, {}, CANARY.repeat(2))
  }
  expect(calls).toBeGreaterThan(400)
  spoken.splice(0)
  for (const kind of ['listTokens', 'listUsers', 'getAudit']) await ask(kind, {})
  const read = (...names: string[]): string => {
    const folder = path.join(world.folder, ...names)
    return fs
      .readdirSync(folder)
      .map((file) => fs.readFileSync(path.join(folder, file), 'latin1'))
      .join('\n')
  }
  const trail = read('audit')
  expect(trail.split('\n').length).toBeGreaterThan(10)
  for (const secret of secrets) for (const form of forms(secret)) expect(trail, secret).not.toContain(form)
  // What a token is called and how a backup is described are no secrets: they stand where they belong.
  const stored = secrets.filter((secret) => secret !== CANARY)
  const users = read('access')
  for (const secret of stored) for (const form of forms(secret)) expect(users, secret).not.toContain(form)
  const answers = [...first, ...spoken].join('\n')
  for (const secret of stored) expect(answers).not.toContain(secret)
  expect(world.services.audit.verify().ok).toBe(true)
}, 120_000)
