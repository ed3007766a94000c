import { expect, test } from 'vitest'
import { remoteErrors } from '../../src/cli/backend/remote-errors.ts'
import { openDownload } from '../../src/client/download.ts'
import { exchange } from '../../src/client/transport.ts'
import { fakeClock } from '../client/fakes.ts'

test('a server that wants to be left alone for a while is not called unreachable', async () => {
  const busy = (): Promise<Response> =>
    Promise.resolve(new Response('{}', { status: 429, headers: { 'retry-after': '32' } }))
  const target = { url: 'http://127.0.0.1:1/rpc', token: 't', fetch: busy, clock: fakeClock() }
  for (const call of [
    () => exchange(target, { id: '1', method: 'listBackups' }),
    () => openDownload(target, 'http://127.0.0.1:1/download/1/1', {}),
  ]) {
    await expect(remoteErrors(call)).rejects.toMatchObject({
      code: 'TOO_MANY_REQUESTS',
      message: expect.stringMatching(/too many calls.*wait 32 s/),
    })
  }
})

test('one that is not there, or broken, is', async () => {
  const broken = (): Promise<Response> => Promise.resolve(new Response('', { status: 503 }))
  const target = { url: 'http://127.0.0.1:1/rpc', token: 't', fetch: broken, clock: fakeClock() }
  await expect(remoteErrors(() => exchange(target, { id: '1', method: 'x' }))).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: expect.stringContaining('HTTP 503'),
  })
})
