import fs from 'node:fs'
import { createRequire } from 'node:module'
import { Ajv, type AnySchema, type ValidateFunction } from 'ajv'
import { expect, test } from 'vitest'
import { methods } from '../../src/facade/jsonrpc/methods.ts'
import { RPC_CODES } from '../../src/facade/jsonrpc/errors.ts'
import { openrpcOf } from '../../src/facade/jsonrpc/openrpc.ts'
import { buildZip } from '../archive/build.ts'
import { openWorld, saveStandard, type Reply } from './world.ts'

type Schema = Record<string, unknown>

const load = createRequire(import.meta.url)
const draft7 = load('ajv/dist/refs/json-schema-draft-07.json') as Schema
const { openrpcDocument: metaSchema } = load('@open-rpc/meta-schema') as { openrpcDocument: Schema }

/**
 * The meta schema takes its JSON Schema from an address; what stands there is draft 7 under other
 * names, of which one (a definition called `$ref`) is more than ajv can find.
 */
function validatorOfDocuments(): ValidateFunction {
  const ajv = new Ajv({ strict: false, validateFormats: false })
  const { $schema: _dialect, ...local } = draft7
  ajv.addSchema({ ...local, $id: 'https://meta.json-schema.tools' })
  const { $schema: _outer, ...document } = metaSchema
  const reference = '{"$ref":"https://meta.json-schema.tools/#/definitions/JSONSchemaObject/properties/$ref"}'
  return ajv.compile(JSON.parse(JSON.stringify(document).replace(reference, '{"type":"string"}')) as Schema)
}

interface Described {
  methods: {
    name: string
    params: { name: string; required: boolean; schema: AnySchema }[]
    result: { schema: AnySchema }
  }[]
  components: { errors: Record<string, { code: number }> }
}

test('the document is OpenRPC, and a broken one would not be', () => {
  const validate = validatorOfDocuments()
  const document = JSON.parse(JSON.stringify(openrpcOf(methods, '1.2.3')))
  expect([validate(document), validate.errors]).toEqual([true, null])
  expect(validate({ ...document, methods: [{ name: 'x' }] })).toBe(false)
  const [first] = document.methods
  expect(validate({ ...document, methods: [{ ...first, result: { name: 'r', schema: { type: 'no type' } } }] })).toBe(
    false,
  )
})

test('it names every method and every error, each number once', () => {
  const document = openrpcOf(methods, '1') as unknown as Described
  expect(document.methods.map((m) => m.name)).toEqual(Object.keys(methods))
  const numbers = Object.values(RPC_CODES)
  expect(new Set(numbers).size).toBe(numbers.length)
  expect(
    Object.values(document.components.errors)
      .map((e) => e.code)
      .toSorted(),
  ).toEqual(numbers.toSorted())
  for (const code of numbers)
    expect(code === -32602 || code === -32603 || (code <= -32000 && code >= -32099)).toBe(true)
})

test('rpc.discover and /openrpc.json show the same', async () => {
  await using world = await openWorld()
  const headers = { authorization: `Bearer ${world.token}` }
  const page = await (await fetch(`${world.server.url}/openrpc.json`, { headers })).json()
  expect((await world.rpc('rpc.discover')).result).toEqual(page)
})

/** Of the user that is logged in; the rest is asked with the token of the host. */
const OWN = new Set(['whoAmI', 'createToken', 'listTokens', 'revokeToken', 'changePassword', 'logout'])

test('what the methods answer is what the document says', async () => {
  await using world = await openWorld({ steps: 2, bare: true })
  saveStandard(world)
  const document = (await world.rpc('rpc.discover')).result as unknown as Described
  const ajv = new Ajv({ strict: false })
  const [old, password] = ['correct horse battery', 'staple of another horse']
  const setupToken = world.opened.setup()?.token ?? ''
  const tokens: Record<string, string> = {}
  fs.writeFileSync(`${world.folder}/archives/a.zip`, buildZip([{ name: 'a', data: Buffer.from('a') }]))
  const calls: [string, object | (() => object)][] = [
    ['setUp', { setupToken, name: 'anna', password: old }],
    ['login', { user: 'anna', password: old }],
    ['whoAmI', {}],
    ['createToken', { name: 'cron', role: 'operator' }],
    ['listTokens', {}],
    ['revokeToken', () => ({ id: tokens['id'] })],
    ['changePassword', { old, password }],
    ['login', { user: 'anna', password }],
    ['saveUser', { name: 'otto', role: 'viewer', password: old, profiles: [1] }],
    ['listUsers', {}],
    ['deleteUser', { name: 'otto' }],
    ['logout', {}],
    ['getAudit', {}],
    ['getVersion', {}],
    ['getProfiles', {}],
    ['getProfile', { id: 1 }],
    ['exportProfile', { id: 1 }],
    [
      'importProfile',
      {
        document: { format: 'ratchet-profile', version: 1, profile: { name: 'n', output: `${world.folder}/outputs` } },
        as: 'new',
      },
    ],
    ['saveProfile', { name: 'n', sources: [], output: `${world.folder}/outputs` }],
    ['deleteProfile', { id: 2 }],
    [
      'saveProfile',
      {
        ...{ name: 'db', sources: [], output: `${world.folder}/outputs` },
        databases: [{ type: 'mysql', server: 'main', database: 'shop' }],
      },
    ],
    ['testDatabase', { profile: 4 }],
    ['startBackup', {}],
    ['getBackupInfo', { BackupID: 1 }],
    ['stepBackup', { BackupID: 1 }],
    ['getBackupInfo', { BackupID: 1 }],
    ['listBackups', {}],
    ['getLog', { BackupID: 1 }],
    ['browseBackup', { archive: `${world.folder}/archives/a.zip` }],
    ['createDownloadTicket', { BackupID: 1, entry: 'a' }],
    ['startVerify', { archive: 1 }],
    ['stepVerify', { BackupID: 2 }],
    ['startRestore', { archive: 1, target: `${world.folder}/restores/a` }],
    ['startRestore', { archive: 1, target: `${world.folder}/restores/b`, dryRun: true }],
    ['stepRestore', { BackupID: 3 }],
    ['cancelBackup', { BackupID: 3 }],
    ['freezeBackup', { BackupID: 1 }],
    ['listBackups', {}],
    ['freezeBackup', { BackupID: 1, frozen: false }],
    ['previewRetention', { policy: { keepLast: 1 } }],
    ['deleteBackup', { BackupID: 1, what: 'files' }],
    ['getBackupInfo', { BackupID: 1 }],
    ['listBackups', {}],
    ['deleteBackup', { BackupID: 1 }],
  ]
  for (const [name, params] of calls) {
    const schema = document.methods.find((m) => m.name === name)?.result.schema
    const validate = ajv.compile(schema ?? false)
    const own = OWN.has(name) && tokens['token'] !== undefined ? { authorization: `Bearer ${tokens['token']}` } : {}
    const given = typeof params === 'function' ? params() : params
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: name, params: given })
    const { result, error } = (await (await world.post(body, own)).json()) as Reply
    for (const key of ['token', 'id']) if (typeof result?.[key] === 'string') tokens[key] = result[key]
    expect([name, error]).toEqual([name, undefined])
    expect([name, validate(result), validate.errors]).toEqual([name, true, null])
  }
  expect(new Set(calls.map(([name]) => name))).toEqual(new Set(Object.keys(methods)))
})
