import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { RatchetClient, type ClientOptions } from '../../src/client/client.ts'
import { ConnectionError, RatchetError } from '../../src/client/errors.ts'
import type * as t from '../../src/client/types.ts'
import type * as schemas from '../../src/facade/jsonrpc/schemas.ts'
import type { StepReply } from '../../src/facade/jsonrpc/view.ts'
import { openWorld, saveStandard, type World } from '../facade/world.ts'
import { fakeClock, faultyFetch } from './fakes.ts'

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
/** A default makes its key take `undefined` too; the client need not send that. */
type Fits<A, B> = [A, keyof B] extends [B, keyof A] ? true : false
/** The client's types are written out, since it may import nothing of the server: here they are held together. */
const same: [
  Same<t.StepReply, StepReply>,
  Same<t.StepReply, z.output<typeof schemas.stepReply>>,
  Same<t.BackupInfo, z.output<typeof schemas.backupInfo>>,
  Fits<t.StartBackupParams, z.input<typeof schemas.startBackup>>,
  Same<t.StartRestoreParams, z.input<typeof schemas.startRestore>>,
  Same<t.StartVerifyParams, z.input<typeof schemas.startVerify>>,
  Fits<t.ListParams, z.input<typeof schemas.listBackups>>,
  Same<t.LogPage, z.output<typeof schemas.logPage>>,
  Same<t.Profile, z.output<typeof schemas.profileSchema>>,
] = [true, true, true, true, true, true, true, true, true]

async function started(options = {}): Promise<World> {
  const world = await openWorld(options)
  saveStandard(world)
  return world
}

function clientOf(world: World, options: Partial<ClientOptions> = {}): RatchetClient {
  return new RatchetClient({ url: world.server.url, token: world.token, clock: fakeClock(), ...options })
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

describe('methods', () => {
  test('each reaches its own', async () => {
    expect(same).not.toContain(false)
    await using world = await started({ steps: 2 })
    const client = clientOf(world, { url: `${world.server.url}/rpc` })
    expect(await client.getVersion()).toMatchObject({ version: '9.9.9' })
    const saved = await client.saveProfile({ name: 'n', sources: [], output: `${world.folder}/outputs` })
    expect(await client.getProfile(saved.id)).toEqual(saved)
    expect((await client.getProfiles()).map((p) => p.id)).toEqual([1, 2])
    expect(await client.deleteProfile(2)).toEqual({ removed: 2 })
    const first = await client.startBackup({ description: 'd' })
    expect((await client.stepBackup(first.backupid)).HasRun).toBe(false)
    expect((await client.getBackupInfo(1)).description).toBe('d')
    expect((await client.listBackups({ limit: 5 })).total).toBe(1)
    expect((await client.getLog(1, { from: 2 })).lines).toHaveLength(1)
    expect((await client.startVerify({ archive: 1 })).BackupID).toBe(2)
    expect((await client.stepVerify(2, 2)).HasRun).toBe(false)
    expect((await client.startRestore({ archive: 1, target: `${world.folder}/restores/x` })).BackupID).toBe(3)
    expect((await client.stepRestore(3)).HasRun).toBe(false)
    expect((await client.cancelBackup(3)).stepState).toBe('finished')
    expect(await client.deleteBackup(3)).toEqual({ removed: 3 })
  })

  test('refusals carry code, hint and facts, and are not repeated', async () => {
    await using world = await started()
    const fetch = faultyFetch('')
    const client = clientOf(world, { fetch })
    const refused = client.getProfile(9)
    await expect(refused).rejects.toBeInstanceOf(RatchetError)
    await expect(refused).rejects.toMatchObject({ code: 'PROFILE_NOT_FOUND', rpcCode: -32010, hint: /profiles/ })
    expect(fetch.calls).toBe(1)
    const stranger = clientOf(world, { token: 'wrong' }).getVersion()
    await expect(stranger).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    const lost = clientOf(world, { url: `${world.server.url}/elsewhere` }).getVersion()
    await expect(lost).rejects.toBeInstanceOf(RatchetError)
  })
})

describe('the loop', () => {
  test('steps to the end, waits as asked, shows every reply', async () => {
    await using world = await started({ steps: 4, sleepMs: 250 })
    const clock = fakeClock()
    const seen: number[] = []
    const last = await clientOf(world, { clock }).run({}, { onProgress: (r) => seen.push(r.stepNumber) })
    expect(last).toMatchObject({ HasRun: false, Progress: 100, stepNumber: 4 })
    expect(seen).toEqual([1, 2, 3, 4])
    expect(clock.slept).toEqual([250, 250, 250])
  })

  for (const keys of [true, false])
    test(`whatever goes wrong on the way, nothing is lost or doubled: ${keys ? 'keys' : 'step numbers'}`, async () => {
      const faults = fc.string({ unit: fc.constantFrom('.', 'r', 'l', 'h', 'b', 'B', 'p', 'w'), maxLength: 40 })
      await using world = await started({ steps: 6, keys })
      const property = fc.asyncProperty(faults, async (plan) => {
        const before = world.engine.count
        const seen: number[] = []
        const client = clientOf(world, { fetch: faultyFetch(plan) })
        await client.run({}, { onProgress: (r) => seen.push(r.stepNumber) })
        expect(world.engine.count).toBe(before + 1)
        expect(seen).toEqual(upTo(6))
        expect(world.engine.stepsOf(before + 1)).toEqual(upTo(6))
      })
      await fc.assert(property, {
        numRuns: 40,
        examples: [['l'], ['.l'], ['.B'], ['..h'], ['.p'], ['.w'], ['rbrb.lll']],
      })
    })

  test('restores and verifications are driven the same way', async () => {
    await using world = await started({ steps: 3 })
    await clientOf(world).startBackup() // the archive of the other two
    const client = clientOf(world, { fetch: faultyFetch('lB.hl') })
    expect((await client.runVerify({ archive: 1 })).Domain).toBe('verify')
    await client.runRestore({ archive: 1, target: `${world.folder}/restores/x` })
    expect([2, 3].map((job) => world.engine.stepsOf(job))).toEqual([upTo(3), upTo(3)])
  })

  test('an unfinished job is taken up, by number or id, of any kind; a finished one answers its end', async () => {
    await using world = await started({ steps: 5 })
    const client = clientOf(world)
    const { backupid } = await client.startBackup()
    await client.stepBackup(backupid)
    await client.startVerify({ archive: 1 })
    expect((await client.run({ backupid })).stepNumber).toBe(5)
    expect((await client.run({ backupid: 1 })).stepNumber).toBe(5)
    expect((await client.resume(2)).Domain).toBe('verify')
    expect([1, 2].map((job) => world.engine.stepsOf(job))).toEqual([upTo(5), upTo(5)])
    await expect(client.run({ backupid: 77 })).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' })
  })

  test('a stalled job is woken', async () => {
    await using world = await started({ steps: 3 })
    const client = clientOf(world)
    await client.startBackup()
    world.engine.edit(1, (job) => (job.status = 'stalled'))
    expect((await client.resume(1)).stepState).toBe('finished')
  })

  test('somebody else steps as well: both arrive, each step is done once', async () => {
    await using world = await started({ steps: 12, work: () => new Promise((resolve) => setImmediate(resolve)) })
    const { backupid } = await clientOf(world).startBackup()
    const runs = await Promise.all([1, 2, 3].map(() => clientOf(world).run({ backupid })))
    expect(runs.map((r) => r.stepNumber)).toEqual([12, 12, 12])
    expect(world.engine.stepsOf(1)).toEqual(upTo(12))
  })

  test('a failed job ends the loop with its error', async () => {
    await using world = await started({ steps: 9 })
    const client = clientOf(world)
    const last = await client.run({}, { onProgress: (r) => r.stepNumber === 3 && void world.engine.cancel(1) })
    expect(last).toMatchObject({ HasRun: false, stepState: 'error', Error: /cancelled/ })
  })
})

describe('patience', () => {
  test('waits grow with jitter up to their limit, then the last failure is told', async () => {
    const clock = fakeClock()
    const fetch = faultyFetch('r'.repeat(1000))
    const retry = { baseMs: 100, maxMs: 1000, giveUpMs: 10_000, random: () => 0.5 }
    const client = new RatchetClient({ url: 'http://127.0.0.1:1', token: 'x', fetch, clock, retry })
    const failed = client.getVersion()
    await expect(failed).rejects.toBeInstanceOf(ConnectionError)
    await expect(failed).rejects.toThrow(/ECONNREFUSED/)
    expect(clock.slept.slice(0, 6)).toEqual([75, 150, 300, 600, 750, 750])
    expect(clock.slept.reduce((a, b) => a + b)).toBeLessThanOrEqual(10_000)
  })

  test('Retry-After is kept, in seconds or as a date', async () => {
    const clock = fakeClock()
    const date = new Date(clock.wall() + 67_000).toUTCString()
    let calls = 0
    const fetch = async (_url: string, init: RequestInit): Promise<Response> => {
      calls++
      if (calls === 1) return new Response('', { status: 429, headers: { 'retry-after': '7' } })
      if (calls === 2) return new Response('', { status: 503, headers: { 'retry-after': date } })
      const { id } = JSON.parse(String(init.body)) as { id: string }
      return new Response(JSON.stringify({ jsonrpc: '2.0', id, result: { version: '1' } }))
    }
    const client = new RatchetClient({ url: 'http://127.0.0.1:1', token: 'x', fetch, clock })
    expect(await client.getVersion()).toEqual({ version: '1' })
    expect(clock.slept).toEqual([7_000, 60_000])
  })

  test('the token goes nowhere else: a redirect is no answer', async () => {
    const requests: RequestInit[] = []
    const fetch = async (_url: string, init: RequestInit): Promise<Response> => {
      requests.push(init)
      throw new TypeError('fetch failed')
    }
    const client = new RatchetClient({ url: 'http://127.0.0.1:1', token: 'x', fetch, clock: fakeClock() })
    await expect(client.getVersion({ retry: false })).rejects.toBeInstanceOf(ConnectionError)
    expect(requests.map((r) => r.redirect)).toEqual(['error'])
  })
})

describe('abort', () => {
  test('ends the loop; the job stays and can be resumed', async () => {
    await using world = await started({ steps: 9 })
    const control = new AbortController()
    const client = clientOf(world)
    const run = client.run({}, { signal: control.signal, onProgress: (r) => r.stepNumber === 3 && control.abort() })
    await expect(run).rejects.toMatchObject({ name: 'AbortError' })
    expect((await client.getBackupInfo(1)).status).toBe('running')
    expect((await client.run({ backupid: 1 })).stepNumber).toBe(9)
    expect(world.engine.stepsOf(1)).toEqual(upTo(9))
  })

  test('cancels the job as well if asked', async () => {
    await using world = await started({ steps: 9 })
    const control = new AbortController()
    const client = clientOf(world)
    const onProgress = (r: t.StepReply): void => void (r.stepNumber === 2 && control.abort())
    const run = client.run({}, { signal: control.signal, cancelOnAbort: true, onProgress })
    await expect(run).rejects.toMatchObject({ name: 'AbortError' })
    expect((await client.getBackupInfo(1)).status).toBe('cancelled')
  })

  test('reaches a call under way, and a wait', async () => {
    const control = new AbortController()
    const fetch = async (_url: string, init: RequestInit): Promise<Response> => {
      control.abort(new Error('enough'))
      init.signal?.throwIfAborted()
      throw new Error('the signal did not arrive')
    }
    const client = new RatchetClient({ url: 'http://127.0.0.1:1', token: 'x', fetch, clock: fakeClock() })
    await expect(client.run({}, { signal: control.signal })).rejects.toThrow('enough')
  })
})
