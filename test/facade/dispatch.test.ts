import { describe, expect, test } from 'vitest'
import { includes } from '../../src/access/roles.ts'
import type { Access, Role, Services, Session } from '../../src/engine/services.ts'
import { dispatch, lookUp, type Call } from '../../src/facade/facade.ts'
import { refuseJson } from '../../src/facade/json-guard.ts'
import { methods } from '../../src/facade/jsonrpc/methods.ts'
import { createStarts } from '../../src/facade/starts.ts'
import { openWorld, saveStandard } from './world.ts'

const ROLES: readonly Role[] = ['viewer', 'operator', 'restorer', 'admin']
/** A login of just now. */
const sessionOf = (role: Role): Session => ({
  name: role,
  role,
  profiles: null,
  kind: 'session',
  id: role,
  loginAt: Date.now(),
})
const origin = { face: 'test', address: '192.0.2.1' }
const call = (role: Role): Call => ({ session: sessionOf(role), origin, starts: createStarts() })

describe('roles', () => {
  const access: Partial<Access> = {
    allows: (session, role) => includes(session.role, role),
    admit: () => ({ [Symbol.dispose]: () => undefined }),
  }
  const audit = { note: () => undefined }
  const services = { access, audit } as unknown as Services // every refusal must come before anything else is touched

  for (const [name, method] of Object.entries(methods)) {
    for (const role of ROLES.filter((r) => method.role !== 'anyone' && !includes(r, method.role))) {
      test(`${role} may not ${name}`, async () => {
        await expect(dispatch(method, services, { junk: true }, call(role))).rejects.toMatchObject({
          code: 'FORBIDDEN',
        })
      })
    }
  }

  test('a restorer may restore to a new place, but not in place, as owner or through links', async () => {
    await using world = await openWorld()
    saveStandard(world)
    const method = lookUp(methods, 'startRestore')
    if (method === null) throw new Error('no startRestore')
    await world.rpc('startBackup')
    const params = { archive: 1, target: `${world.folder}/restores/x` }
    await dispatch(method, world.services, params, call('restorer'))
    for (const more of [{ mode: 'inplace' }, { owners: true }, { setuid: true }, { outsideLinks: true }]) {
      const refused = dispatch(method, world.services, { ...params, ...more }, call('restorer'))
      await expect(refused).rejects.toMatchObject({ code: 'FORBIDDEN' })
      await dispatch(method, world.services, { ...params, ...more }, call('admin'))
    }
    expect(world.engine.count).toBe(6)
  })

  test('only who may see the host sees where artifacts lie', async () => {
    await using world = await openWorld({ steps: 1 })
    saveStandard(world)
    await world.rpc('startBackup')
    const method = lookUp(methods, 'getBackupInfo')
    if (method === null) throw new Error('no getBackupInfo')
    const seen = await dispatch(method, world.services, { BackupID: 1 }, call('viewer'))
    expect(seen).toMatchObject({ artifacts: [{ name: 'site.zip' }] })
    expect(JSON.stringify(seen)).not.toContain('/backups')
  })
})

test('names that every object has are no methods', () => {
  for (const name of ['constructor', '__proto__', 'toString', 'valueOf', 'hasOwnProperty', ''])
    expect(lookUp(methods, name)).toBeNull()
})

describe('JSON text', () => {
  const limits = { depth: 3, keys: 4 }
  const cases: Record<string, string | null> = {
    '[[[]]]': null,
    '[[[[]]]]': 'nested deeper than 3',
    '[{"a":[]},{"a":[]}]': null,
    '{"a":1,"a":2}': 'the key "a" twice in one object',
    '{"a":{"a":1}}': null,
    '{"a":"a","b":"a"}': null,
    '{"a":"{\\"a\\":1,","b":"]]]]"}': null,
    '{"\\\\":1,"\\u005c":2}': 'the key "\\\\" twice in one object',
    '{"a\\"":1,"a\\"":2}': 'the key "a\\"" twice in one object',
    '{"__proto__":1}': 'a key named __proto__',
    '{"a":"__proto__"}': null,
    '["__proto__"]': null,
    '{"a":1,"b":2,"c":3,"d":4}': null,
    '{"a":1,"b":2,"c":3,"d":4,"e":5}': 'more than 4 keys',
    '': null,
    '"unclosed': null,
    ']]]]': null,
  }
  for (const [text, expected] of Object.entries(cases))
    test(text || 'empty', () => expect(refuseJson(text, limits)).toBe(expected))
})
