import type { AddressInfo } from 'node:net'
import http from 'node:http'
import { createHttpApp } from '../../src/facade/http.ts'
import { listen, type Listening } from '../../src/facade/listen.ts'
import type { App } from '../../src/app.ts'
import type { Role, Session } from '../../src/engine/services.ts'
import type { BackupSpec } from '../../src/engine/spec.ts'
import { fillSource } from '../contents/world.ts'
import { SpineWorld } from '../engine/spine-world.ts'

/** The real program with a finished backup, behind a listening server. */
export interface DownloadWorld extends AsyncDisposable {
  readonly spine: SpineWorld
  readonly app: App
  readonly server: Listening
  readonly backup: number
  /** Content of `source/big.bin`. */
  readonly big: Buffer
  readonly token: string
  /** A user with a login. */
  user(name: string, role: Role, profiles?: number[]): Promise<{ token: string; session: Session }>
  rpc(method: string, params: object, token?: string): Promise<Record<string, unknown>>
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Response>
}

export const PASSWORD = 'correct horse battery'
const ORIGIN = { face: 'test', address: '127.0.0.1' }

export async function openDownloads(change: Partial<BackupSpec> = {}, size = 3 << 20): Promise<DownloadWorld> {
  const spine = new SpineWorld()
  const { big } = fillSource(spine, size)
  const app = await spine.app({ passwordCost: { memory: 64, passes: 1 } })
  const { number } = await spine.backup(app, change)
  const { services } = app
  const server = await listen(createHttpApp({ services }), { host: '127.0.0.1', port: 0 })
  const { token } = app.token()
  return {
    spine,
    app,
    server,
    backup: number,
    big,
    token,
    async user(name, role, profiles) {
      await services.accounts.saveUser({ name, role, password: PASSWORD, ...(profiles ? { profiles } : {}) })
      const login = await services.accounts.login(ORIGIN, { user: name, password: PASSWORD })
      const session = services.access.enter(login.token, ORIGIN)
      if (session === null) throw new Error('the login is not known')
      return { token: login.token, session }
    },
    async rpc(method, params, bearer = token) {
      const response = await fetch(`${server.url}/rpc`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      })
      const reply = (await response.json()) as { result?: Record<string, unknown>; error?: Record<string, unknown> }
      return reply.result ?? { error: reply.error }
    },
    get: (path, headers = { authorization: `Bearer ${token}` }, method = 'GET') =>
      fetch(`${server.url}${path}`, { headers, method }),
    async [Symbol.asyncDispose]() {
      await server.close(0)
      await spine[Symbol.asyncDispose]()
    },
  }
}

/** A server that answers from another address than it is asked at: what comes before it is cut after some bytes. */
export async function cutting(url: string, after: number): Promise<{ url: string; close(): void }> {
  const target = new URL(url)
  let times = 0
  const proxy = http.createServer((request, response) => {
    const { method, url: path, headers } = request
    const options = { hostname: target.hostname, port: target.port, method, path, headers }
    const outgoing = http.request(options, (incoming) => {
      response.writeHead(incoming.statusCode ?? 500, incoming.headers)
      let left = path?.startsWith('/download') === true && times++ < 3 ? after : Infinity
      incoming.on('data', (chunk: Buffer) => {
        response.write(chunk.subarray(0, Math.min(chunk.length, left)))
        left -= chunk.length
        if (left > 0) return
        incoming.destroy()
        setTimeout(() => response.destroy(), 20)
      })
      incoming.on('end', () => response.end())
      incoming.on('error', () => response.destroy())
    })
    outgoing.on('error', () => response.destroy())
    request.pipe(outgoing)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const { port } = proxy.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close: () => proxy.close() }
}
