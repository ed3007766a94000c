import { describe, expect, test } from 'vitest'
import { localAccounts } from '../../src/cli/backend/accounts.ts'
import type { AuditEvent } from '../../src/engine/services.ts'
import { enumerateFaults, type World } from '../faults/enumerate.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { quotaDisk, type QuotaDisk } from '../helpers/quota-disk.ts'
import { codeOf, emptyDisk, from, HOME, HOST_TOKEN, loggedIn, openOn, OTHER, PASSWORD } from './access-world.ts'

/** What goes on, and what is refused, when the disk is full and the audit trail has to be written. */

const AMPLE = 64 << 20
const event = (name: string): AuditEvent => {
  const place = { actor: 'anna', face: 'http', address: '192.0.2.1', object: 'job:1', request: '' }
  return { event: name, ...place, result: 'begun' }
}

async function prepared() {
  const disk = quotaDisk(emptyDisk(), '/data', AMPLE)
  const w = openOn(disk, new FakeClock(), { traffic: { loginsPerMinute: 1e6 } })
  const { session } = await loggedIn(w, 'anna', 'admin')
  const token = w.accounts.createToken(session, { name: 'cron', role: 'viewer' })
  return { disk, w, session, token }
}

const fill = (disk: QuotaDisk): number => (disk.quota = disk.used)

describe('on a full disk', () => {
  test('whoever comes to make room gets in, is written down, and may delete', async () => {
    const { disk, w, token } = await prepared()
    fill(disk)
    expect(w.access.enter(token.secret, HOME)?.name).toBe('anna')
    expect(w.access.enter(HOST_TOKEN, HOME)?.name).toBe('@host')
    expect(await codeOf(() => w.accounts.login(HOME, { user: 'anna', password: PASSWORD }))).toBe('ok')
    for (let i = 0; i < 5; i++) w.audit.note(event('backup.delete'))
    expect(w.audit.read(undefined, 7).entries.map((entry) => entry.event)).toContain('login')
    expect(w.audit.verify().ok).toBe(true)
  })

  test('once the reserve is spent too: nothing happens that must be written; tokens still count; strangers learn nothing', async () => {
    const { disk, w, session, token } = await prepared()
    fill(disk)
    let noted = 0
    for (; noted < 100_000; noted++) if ((await codeOf(() => w.audit.note(event('x')))) === 'DISK_FULL') break
    expect(noted).toBeGreaterThan(20)
    expect(noted).toBeLessThan(100_000)
    while ((await codeOf(() => w.accounts.login(HOME, { user: 'anna', password: PASSWORD }))) === 'ok') noted++
    const users = w.accounts.listUsers()
    const otto = { name: 'otto', role: 'admin', password: OTHER } as const
    expect(await codeOf(() => localAccounts(w).saveUser(otto))).toBe('DISK_FULL')
    expect(await codeOf(() => localAccounts(w).removeUser('anna'))).toBe('DISK_FULL')
    expect(await codeOf(() => w.accounts.changePassword(HOME, session, { old: PASSWORD, password: OTHER }))).toBe(
      'DISK_FULL',
    )
    expect(w.accounts.listUsers()).toEqual(users)
    expect(w.access.enter(token.secret, from('203.0.113.9'))?.name).toBe('anna')
    expect(w.access.enter(`${token.secret.slice(0, -2)}AA`, from('203.0.113.9'))).toBeNull()
    expect(w.access.enter('nonsense', from('203.0.113.10'))).toBeNull()
    expect(w.audit.verify().ok).toBe(true)
    // Room again: everything goes on, and there is a reserve for the next time.
    disk.quota = AMPLE
    expect(await codeOf(() => w.accounts.saveUser({ name: 'otto', role: 'viewer', password: OTHER }))).toBe('ok')
    w.audit.note(event('y'))
    fill(disk)
    w.audit.note(event('z'))
    expect(w.audit.verify().ok).toBe(true)
    expect(disk.readdir('/data/audit').length + disk.readdir('/data/access').length).toBeLessThan(14)
  })
})

describe('killed while users change', () => {
  interface Change extends World {
    told: string[]
  }
  /** Users change on the host, each change written down before it is made. */
  const steps: readonly (readonly [
    says: string,
    run: (store: ReturnType<typeof localAccounts>) => Promise<unknown>,
  ])[] = [
    ['otto', (store) => store.saveUser({ name: 'otto', role: 'operator', password: PASSWORD })],
    ['admin', (store) => store.saveUser({ name: 'otto', role: 'admin' })],
    ['gone', (store) => store.removeUser('anna')],
    ['vera', (store) => store.saveUser({ name: 'vera', role: 'viewer', password: PASSWORD })],
  ]
  const run = async (disk: Parameters<typeof openOn>[0], world: Change): Promise<void> => {
    const w = openOn(disk, new FakeClock())
    const store = localAccounts(w)
    for (const [says, step] of steps) {
      if (world.told.includes(says)) continue
      const there = w.accounts.listUsers().some(({ name }) => name === 'anna')
      if (says !== 'gone' || there) await step(store)
      world.told.push(says)
    }
  }

  test('at every call: no change without an entry that it began; the chain is whole', async () => {
    const start = emptyDisk()
    const first = openOn(start, new FakeClock())
    await first.accounts.saveUser({ name: 'anna', role: 'admin', password: PASSWORD })
    first.audit.note(event('first'))
    start.settle()
    const report = await enumerateFaults({
      build: (): Change => ({ disk: start.clone(), told: [] }),
      run,
      points: 12,
      cuts: 1,
      checkCrashed(disk) {
        const w = openOn(disk, new FakeClock())
        const users = w.accounts.listUsers()
        const begun = (name: string): number =>
          w.audit.read(1, 1000).entries.filter((entry) => entry.event === name && entry.result === 'begun').length
        const otto = users.find(({ name }) => name === 'otto')
        const vera = users.some(({ name }) => name === 'vera') ? 1 : 0
        const changes = (otto === undefined ? 0 : otto.role === 'admin' ? 2 : 1) + vera
        if (begun('user.save') < changes) throw new Error(`${changes} changes, ${begun('user.save')} entries`)
        if (!users.some(({ name }) => name === 'anna') && begun('user.delete') === 0) throw new Error('gone unseen')
      },
      check(disk) {
        const w = openOn(disk, new FakeClock())
        w.audit.note(event('last'))
        expect(w.accounts.listUsers()).toMatchObject([
          { name: 'otto', role: 'admin' },
          { name: 'vera', role: 'viewer' },
        ])
        expect(w.audit.verify()).toMatchObject({ ok: true })
      },
    })
    expect(report.runs).toBeGreaterThan(50)
  })
})
