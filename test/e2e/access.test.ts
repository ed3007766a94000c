import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { RatchetClient } from '../../src/client/client.ts'
import { RatchetError } from '../../src/client/errors.ts'
import { MAIN, place, ratchet, type Place } from './helpers.ts'

/** A server and a command line, each a process of its own, on one data folder. */

interface Running {
  url: string
  token: string
  setupToken?: string
  child: ChildProcess
}

async function serve(p: Place): Promise<Running> {
  const argv = [MAIN, 'serve', '--json', '--data', p.data, '--port', '0']
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [text] = (await once(child.stdout, 'data')) as [Buffer]
  return { ...(JSON.parse(text.toString()) as Running), child }
}

const PASSWORD = 'correct horse battery'

it('the first admin by the setup token, users by the command line while the server runs, kills between', async () => {
  const p = place()
  const first = await serve(p)
  const stranger = new RatchetClient({ url: first.url })
  const setUp = (setupToken = first.setupToken ?? '') =>
    stranger.setUp({ setupToken, name: 'anna', password: PASSWORD })
  expect(fs.readFileSync(p.at('data/setup-token'), 'utf8').trim()).toBe(first.setupToken)
  expect(await setUp()).toMatchObject({ name: 'anna', role: 'admin' })
  await expect(setUp()).rejects.toMatchObject({ code: 'FORBIDDEN' })
  const { token } = await stranger.login('anna', PASSWORD)
  const anna = new RatchetClient({ url: first.url, token })
  expect(await anna.whoAmI()).toMatchObject({ name: 'anna', kind: 'session', fresh: true })

  // Made by another process: counts in the running server at once; so does its end.
  const add = await ratchet(['user', 'add', 'otto', '--role', 'viewer', '--data', p.data], { input: PASSWORD })
  expect([add.code, add.err]).toEqual([0, ''])
  const made = await ratchet(['token', 'create', 't', '--user', 'otto', '--role', 'viewer', '--data', p.data, '--json'])
  const [{ id, secret }] = made.lines as unknown as [{ id: string; secret: string }]
  const otto = new RatchetClient({ url: first.url, token: secret })
  expect(await otto.whoAmI()).toMatchObject({ name: 'otto', role: 'viewer', kind: 'token' })
  await expect(otto.listUsers()).rejects.toThrow(RatchetError)

  // A login outlives the server: it is killed, and the next one goes on.
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  const second = await serve(p)
  expect(second.setupToken).toBeUndefined()
  expect(await new RatchetClient({ url: second.url, token }).whoAmI()).toMatchObject({ name: 'anna' })
  expect((await ratchet(['token', 'revoke', id, '--data', p.data])).code).toBe(0)
  await expect(new RatchetClient({ url: second.url, token: secret }).whoAmI()).rejects.toMatchObject({
    code: 'UNAUTHORIZED',
  })

  const env = { RATCHET_URL: second.url, RATCHET_TOKEN: token }
  expect((await ratchet(['user', 'list', '--json'], { env })).lines.map((line) => line['name'])).toEqual([
    'anna',
    'otto',
  ])
  expect((await ratchet(['user', 'role', 'otto', 'operator'], { env })).code).toBe(0)
  expect((await ratchet(['audit', 'verify'], { env })).code).toBe(2) // only on the host itself
  const events = (await ratchet(['audit', '--json', '--data', p.data])).lines.map((line) => line.event)
  expect(events).toEqual(
    expect.arrayContaining(['setUp', 'login', 'user.save', 'token.create', 'token.revoke', 'token.used']),
  )
  expect((await ratchet(['audit', 'verify', '--data', p.data])).code).toBe(0)
  fs.writeFileSync(
    p.at('data/audit/audit.jsonl'),
    fs.readFileSync(p.at('data/audit/audit.jsonl'), 'utf8').replace('anna', 'otto'),
  )
  expect((await ratchet(['audit', 'verify', '--data', p.data])).code).toBe(1)
})
