import { expect, test } from 'vitest'
import { listen } from '../../src/facade/listen.ts'

const handler = (): void => undefined

test('beyond loopback only behind a proxy with TLS', async () => {
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.org', '127.0.0.1.example'])
    await expect(listen(handler, { host, port: 0 })).rejects.toMatchObject({ code: 'BAD_REQUEST', hint: /TLS/ })
  const server = await listen(handler, { host: '0.0.0.0', port: 0, behindTlsProxy: true })
  await server.close()
})

test('a port in use is said so', async () => {
  const first = await listen(handler, { host: '127.0.0.1', port: 0 })
  await expect(listen(handler, { host: '127.0.0.1', port: first.port })).rejects.toMatchObject({
    code: 'BAD_REQUEST',
    hint: expect.stringContaining('port'),
  })
  expect(first.url).toBe(`http://127.0.0.1:${first.port}`)
  await first.close()
})
