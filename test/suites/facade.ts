import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'

/**
 * What every server of the JSON-RPC wire must do, whatever engine stands behind it. The caller opens
 * one that allows `folder` as root for everything and has a profile 1 that can be started.
 */
export interface Face extends AsyncDisposable {
  readonly url: string
  readonly token: string
  readonly folder: string
}

export interface FaceReply {
  jsonrpc?: string
  id?: unknown
  result?: Record<string, unknown>
  error?: { code: number; message: string; data?: Record<string, unknown> }
}

type Open = () => Promise<Face>

export async function post(face: Face, body: string | Uint8Array, headers: Record<string, string> = {}) {
  return fetch(`${face.url}/rpc`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${face.token}`, ...headers },
    body,
  })
}

export async function rpc(face: Face, method: unknown, params?: unknown, id: unknown = 1): Promise<FaceReply> {
  const response = await post(face, JSON.stringify({ jsonrpc: '2.0', id, method, params }))
  return (await response.json()) as FaceReply
}

async function total(face: Face): Promise<unknown> {
  return (await rpc(face, 'listBackups')).result?.['total']
}

export function facadeSuite(name: string, open: Open): void {
  describe(`${name}: protocol`, () => protocol(open))
  describe(`${name}: wrong parameters`, () => wrongParameters(open))
}

function protocol(open: Open): void {
  const single: Record<string, [body: string, status: number, code: number]> = {
    'no JSON': ['{"jsonrpc":', 400, -32700],
    'empty body': ['', 400, -32700],
    'a byte order mark': ['\ufeff{}', 400, -32700],
    'number too large for an id': ['{"jsonrpc":"2.0","id":1e999,"method":"getVersion"}', 200, -32600],
    'id object': ['{"jsonrpc":"2.0","id":{},"method":"getVersion"}', 200, -32600],
    'id boolean': ['{"jsonrpc":"2.0","id":true,"method":"getVersion"}', 200, -32600],
    'old version': ['{"jsonrpc":"1.0","id":1,"method":"getVersion"}', 200, -32600],
    'no version': ['{"id":1,"method":"getVersion"}', 200, -32600],
    'method number': ['{"jsonrpc":"2.0","id":1,"method":7}', 200, -32600],
    'params text': ['{"jsonrpc":"2.0","id":1,"method":"getVersion","params":"x"}', 200, -32600],
    'params by position': ['{"jsonrpc":"2.0","id":1,"method":"getVersion","params":[1]}', 200, -32602],
    'an empty batch': ['[]', 200, -32600],
    'a bare number': ['7', 200, -32600],
    'a bare null': ['null', 200, -32600],
    'a batch of 21': [JSON.stringify(Array.from({ length: 21 }, () => 1)), 200, -32600],
    'a batch of 100,000': [`[${'1,'.repeat(99_999)}1]`, 200, -32600],
    '10,000 levels': [`${'['.repeat(10_000)}${']'.repeat(10_000)}`, 400, -32600],
    '10,000 levels unclosed': ['{"a":'.repeat(10_000), 400, -32600],
    '65 levels': [`${'['.repeat(65)}${']'.repeat(65)}`, 400, -32600],
    '20,000 keys': [JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [i, 1]))), 400, -32600],
    'a key twice': ['{"jsonrpc":"2.0","id":1,"method":"getVersion","method":"listBackups"}', 400, -32600],
    'a key twice, once escaped': ['{"jsonrpc":"2.0","id":1,"method":"x","\\u006dethod":"y"}', 400, -32600],
    __proto__: ['{"jsonrpc":"2.0","id":1,"method":"getVersion","params":{"__proto__":{"a":1}}}', 400, -32600],
    'escaped __proto__': ['{"jsonrpc":"2.0","id":1,"method":"getVersion","params":{"__proto\\u005f_":1}}', 400, -32600],
    'constructor as a parameter': [
      '{"jsonrpc":"2.0","id":1,"method":"getVersion","params":{"constructor":{"prototype":{"a":1}}}}',
      200,
      -32602,
    ],
  }
  for (const [name, [body, status, code]] of Object.entries(single)) {
    test(`refused: ${name}`, async () => {
      await using face = await open()
      const response = await post(face, body)
      expect(response.status).toBe(status)
      expect(await response.json()).toMatchObject({ jsonrpc: '2.0', error: { code, message: expect.any(String) } })
      expect(({} as Record<string, unknown>)['a']).toBeUndefined()
      expect(await total(face)).toBe(0)
    })
  }

  for (const method of [
    'constructor',
    '__proto__',
    'toString',
    'hasOwnProperty',
    'rpc.x',
    '',
    'startbackup',
    'x'.repeat(1e5),
  ])
    test(`no method: ${method.slice(0, 20)}`, async () => {
      await using face = await open()
      expect((await rpc(face, method)).error).toMatchObject({ code: -32601 })
    })

  test('ids come back as they were', async () => {
    await using face = await open()
    for (const id of ['a', '', 0, -1, 1.5, null, 'é'])
      expect(await rpc(face, 'getVersion', {}, id)).toMatchObject({ jsonrpc: '2.0', id, result: {} })
  })

  test('notifications are carried out without a reply', async () => {
    await using face = await open()
    const response = await post(face, '{"jsonrpc":"2.0","method":"startBackup"}')
    expect([response.status, await response.text()]).toEqual([204, ''])
    expect(await total(face)).toBe(1)
    const unknown = await post(face, '{"jsonrpc":"2.0","method":"nothing"}')
    expect([unknown.status, await unknown.text()]).toEqual([204, ''])
  })

  test('a batch is answered in its order, without the notifications; a batch of one is a batch', async () => {
    await using face = await open()
    const version = (id?: number) => ({ jsonrpc: '2.0', ...(id === undefined ? {} : { id }), method: 'getVersion' })
    const batch = [version(3), 7, version(), { jsonrpc: '2.0', id: 4, method: 'no' }, version(5)]
    const replies = (await (await post(face, JSON.stringify(batch))).json()) as FaceReply[]
    expect(replies.map((r) => [r.id, r.error?.code])).toEqual([
      [3, undefined],
      [null, -32600],
      [4, -32601],
      [5, undefined],
    ])
    expect(await (await post(face, JSON.stringify([version(9)]))).json()).toMatchObject([{ id: 9, result: {} }])
    expect((await post(face, JSON.stringify([version(), version()]))).status).toBe(204)
    const most = Array.from({ length: 20 }, (_, i) => version(i))
    expect(await (await post(face, JSON.stringify(most))).json()).toHaveLength(20)
  })
}

/** Values of every JSON type, and the odd ones. */
const POOL: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  '',
  'x',
  'a\u0000b',
  '../../x',
  '20260101-000000-000001/../..',
  'x'.repeat(100_000),
  [],
  [1],
  [[[]]],
  {},
  { $ne: 1 },
  { constructor: { prototype: {} } },
]

interface Described {
  name: string
  params: { name: string; required: boolean; schema: Record<string, unknown> }[]
}

/** Valid values for the parameters a method cannot do without. */
const needed = (face: Face): Record<string, unknown> => ({
  id: 1,
  name: 'n',
  sources: [{ type: 'directory', path: face.folder }],
  output: face.folder,
  archive: 1,
  target: `${face.folder}/new`,
})

/** Every value of the pool that the parameter's own schema refuses must be refused by the server. */
function wrongParameters(open: Open): void {
  test('each parameter of each method with each wrong type; nothing happens', async () => {
    await using face = await open()
    const methods = (await describeMethods(face)).filter((m) => m.name !== 'rpc.discover')
    const ajv = new Ajv({ strict: false })
    let tried = 0
    for (const { name, params } of methods) {
      const base = Object.fromEntries(params.filter((p) => p.required).map((p) => [p.name, needed(face)[p.name]]))
      for (const { name: key, schema } of params) {
        const accepts = ajv.compile(schema)
        for (const value of POOL.filter((v) => !accepts(v))) {
          const reply = await rpc(face, name, { ...base, [key]: value })
          expect(reply.error, `${name}.${key} = ${JSON.stringify(value).slice(0, 60)}`).toMatchObject({
            code: -32602,
            data: { code: 'BAD_REQUEST', hint: expect.any(String) },
          })
          expect(JSON.stringify(reply).length).toBeLessThan(2_000)
          tried++
        }
      }
      expect((await rpc(face, name, { ...base, unheardOf: 1 })).error?.code).toBe(-32602)
    }
    expect(tried).toBeGreaterThan(400)
    expect(await total(face)).toBe(0)
  })

  test('numbers that are none', async () => {
    await using face = await open()
    for (const value of ['1e400', '-0', '1.0e-1', '9007199254740993', '1e21']) {
      const body = `{"jsonrpc":"2.0","id":1,"method":"getBackupInfo","params":{"backupid":${value}}}`
      expect(((await (await post(face, body)).json()) as FaceReply).error?.code).toBe(-32602)
    }
  })
}

async function describeMethods(face: Face): Promise<Described[]> {
  const response = await fetch(`${face.url}/openrpc.json`, { headers: { authorization: `Bearer ${face.token}` } })
  return ((await response.json()) as { methods: Described[] }).methods
}
