import { expect, test } from 'vitest'
import { EmbeddedBackend } from '../../src/cli/backend/embedded.ts'
import { RemoteBackend } from '../../src/cli/backend/remote.ts'
import { openDownloads, PASSWORD } from '../facade/download-world.ts'
import { cli } from './helpers/fake.ts'

test('an admin with a token of a program is told how to log in, and can', async () => {
  await using world = await openDownloads()
  const { session } = await world.user('anna', 'admin')
  const { secret } = world.app.services.accounts.createToken(session, { name: 'cron', role: 'admin' })
  const as = (token: string) => new RemoteBackend(world.server.url, token, [])
  const number = String(world.backup)
  const refused = await cli(['delete', number], { backend: as(secret) })
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('ratchet user login NAME')])
  const stale = `ratchet_session_${'0'.repeat(12)}_${'A'.repeat(43)}` // what is left of the last login hinders none
  const wrong = await cli(['user', 'login', 'anna'], { backend: as(stale), input: 'not the password\n' })
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringMatching(/password is wrong.*\n.*Check what you typed/)])
  const made = await cli(['user', 'login', 'anna'], { backend: as(stale), input: `${PASSWORD}\n` })
  expect([made.code, made.err]).toEqual([0, expect.stringMatching(/logged in as anna, role admin, until 20/)])
  expect(made.out).toMatch(/^ratchet_session_\S+\n$/)
  expect((await cli(['delete', number], { backend: as(made.out.trim()) })).code).toBe(0)
})

test('on the data folder itself there is nothing to log in to', async () => {
  await using world = await openDownloads()
  const backend = await EmbeddedBackend.open(`${world.spine.folder}/data`, [])
  const { code, err } = await cli(['user', 'login', 'anna'], { backend, input: 'x\n' })
  expect([code, err]).toEqual([2, expect.stringContaining('--url')])
})
