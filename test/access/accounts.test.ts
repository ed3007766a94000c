import { describe, expect, test } from 'vitest'
import { AccountsFile } from '../../src/access/accounts-file.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { readFileIfThere } from '../../src/lib/durable-file.ts'
import { enumerateFaults, type World } from '../faults/enumerate.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import {
  codeOf,
  emptyDisk,
  from,
  HOME,
  HOST_TOKEN,
  loggedIn,
  openOn,
  OTHER,
  PASSWORD,
  sessionOf,
  world,
} from './access-world.ts'

const MINUTE = 60_000

describe('setup (S-AUTH-1)', () => {
  test('one token, an hour, one use; private file; nothing of it once there is a user', async () => {
    const w = world()
    const setup = w.setup()
    const setupToken = setup?.token ?? ''
    expect(setupToken).toMatch(/^ratchet_setup_[a-z0-9]{12}_[\w-]{43}$/)
    expect(readFileIfThere(w.disk, '/data/setup-token')?.toString().trim()).toBe(setupToken)
    expect(w.disk.lstat('/data/setup-token').mode & 0o077).toBe(0)
    expect(w.setup()).toEqual({ ...setup, token: null }) // shown once; the file names it
    expect(w.access.enter(setupToken, HOME)).toBeNull()
    const input = { setupToken, name: 'anna', password: PASSWORD }
    expect(await codeOf(() => w.accounts.setUp(HOME, { ...input, setupToken: `${setupToken.slice(0, -1)}!` }))).toBe(
      'FORBIDDEN',
    )
    expect(await codeOf(() => w.accounts.setUp(HOME, { ...input, password: 'short' }))).toBe('PASSWORD_REFUSED')
    const race = await Promise.allSettled([
      w.accounts.setUp(HOME, input),
      w.accounts.setUp(HOME, { ...input, name: 'otto' }),
      openOn(w.disk.process(), w.clock).accounts.setUp(HOME, { ...input, name: 'ida' }),
    ])
    expect(race.filter((one) => one.status === 'fulfilled')).toHaveLength(1)
    expect(w.accounts.listUsers()).toMatchObject([{ role: 'admin', profiles: null }])
    expect(await codeOf(() => w.accounts.setUp(HOME, { ...input, name: 'late' }))).toBe('FORBIDDEN')
    expect(readFileIfThere(w.disk, '/data/setup-token')).toBeNull()
    expect(w.setup()).toBeNull()
  })

  test('nothing once the command line has made a user', async () => {
    const w = world()
    const setupToken = w.setup()?.token ?? ''
    await openOn(w.disk.process(), w.clock).accounts.saveUser({ name: 'anna', role: 'viewer', password: PASSWORD })
    expect(await codeOf(() => w.accounts.setUp(HOME, { setupToken, name: 'x', password: PASSWORD }))).toBe('FORBIDDEN')
    expect(w.setup()).toBeNull()
  })

  test('too late; the next start makes another', async () => {
    const w = world()
    const setupToken = w.setup()?.token ?? ''
    w.clock.advance(60 * MINUTE)
    const input = { setupToken, name: 'anna', password: PASSWORD }
    expect(await codeOf(() => w.accounts.setUp(HOME, input))).toBe('FORBIDDEN')
    const next = w.setup()?.token ?? ''
    expect(next).not.toBe(setupToken)
    expect(await codeOf(() => w.accounts.setUp(HOME, { ...input, setupToken: next }))).toBe('ok')
  })
})

test('the last admin stays one while there are other users', async () => {
  const w = world()
  await loggedIn(w, 'anna', 'admin')
  await loggedIn(w, 'otto', 'viewer')
  expect(await codeOf(() => w.accounts.deleteUser('anna'))).toBe('FORBIDDEN')
  expect(await codeOf(() => w.accounts.saveUser({ name: 'anna', role: 'operator' }))).toBe('FORBIDDEN')
  expect(await codeOf(() => w.accounts.saveUser({ name: 'otto', role: 'admin' }))).toBe('ok')
  expect(await codeOf(() => w.accounts.deleteUser('anna'))).toBe('ok')
  expect(await codeOf(() => w.accounts.deleteUser('otto'))).toBe('ok')
})

describe('sessions', () => {
  test('idle and absolute ends; used ones live on; a clock set back frees nobody', async () => {
    const w = world()
    const { token } = await loggedIn(w, 'anna', 'operator')
    expect(sessionOf(w, token)).toMatchObject({ name: 'anna', role: 'operator', kind: 'session', profiles: null })
    for (let i = 0; i < 28; i++) {
      w.clock.advance(25 * MINUTE)
      expect(w.access.enter(token, HOME)?.name).toBe('anna')
    }
    w.clock.advance(25 * MINUTE) // 12 hours and 5 minutes
    expect(w.access.enter(token, HOME)).toBeNull()
    const idle = (await w.accounts.login(HOME, { user: 'anna', password: PASSWORD })).token
    w.clock.advance(31 * MINUTE)
    expect(w.access.enter(idle, HOME)).toBeNull()
    const back = (await w.accounts.login(HOME, { user: 'anna', password: PASSWORD })).token
    w.clock.setWall(w.clock.wall() - 60 * MINUTE)
    expect(w.access.enter(back, HOME)).toBeNull()
  })

  test('end with logout, password, role and user (S-AUTH-8), also in other processes at once', async () => {
    const w = world()
    const other = openOn(w.disk.process(), w.clock)
    const fresh = async (): Promise<string> => (await loggedIn(w, 'anna', 'operator')).token
    const ends: ((token: string) => unknown)[] = [
      (token) => w.accounts.logout(sessionOf(w, token)),
      (token) => w.accounts.changePassword(HOME, sessionOf(w, token), { old: PASSWORD, password: OTHER }),
      () => w.accounts.saveUser({ name: 'anna', password: OTHER }),
      () => w.accounts.saveUser({ name: 'anna', role: 'viewer' }),
      () => w.accounts.deleteUser('anna'),
    ]
    for (const end of ends) {
      const token = await fresh()
      expect(other.access.enter(token, HOME)?.name).toBe('anna')
      await end(token)
      expect(other.access.enter(token, HOME)).toBeNull()
      expect(w.access.enter(token, HOME)).toBeNull()
    }
  })

  test('fresh for ten minutes; a token never, but one that may restore counts for a restore', async () => {
    const w = world()
    const { session } = await loggedIn(w, 'anna', 'admin')
    expect([w.access.isFresh(session, 'login'), w.access.isFresh(session, 'restore')]).toEqual([true, true])
    const made = w.accounts.createToken(session, { name: 'r', role: 'restorer' })
    const plain = w.accounts.createToken(session, { name: 'o', role: 'operator' })
    w.clock.advance(10 * MINUTE + 1)
    expect([w.access.isFresh(session, 'login'), w.access.isFresh(session, 'restore')]).toEqual([false, false])
    const [restorer, operator] = [sessionOf(w, made.secret), sessionOf(w, plain.secret)]
    expect([w.access.isFresh(restorer, 'login'), w.access.isFresh(restorer, 'restore')]).toEqual([false, true])
    expect([w.access.isFresh(operator, 'login'), w.access.isFresh(operator, 'restore')]).toEqual([false, false])
    expect(w.access.isFresh(sessionOf(w, HOST_TOKEN), 'login')).toBe(true)
  })

  test('twenty of one user; the oldest goes', async () => {
    const w = world({ traffic: { loginsPerMinute: 100 } })
    const { token } = await loggedIn(w, 'anna', 'viewer')
    for (let i = 0; i < 20; i++) {
      w.clock.advance(1000)
      await w.accounts.login(HOME, { user: 'ANNA', password: PASSWORD })
    }
    expect(w.access.enter(token, HOME)).toBeNull()
  })
})

describe('tokens', () => {
  test('not above the user when made, nor when used; profiles likewise', async () => {
    const w = world()
    const { session } = await loggedIn(w, 'anna', 'operator')
    for (const role of ['restorer', 'admin'] as const)
      expect(await codeOf(() => w.accounts.createToken(session, { name: 'x', role }))).toBe('FORBIDDEN')
    const { secret } = w.accounts.createToken(session, { name: 'cron', role: 'operator', profiles: [1, 2] })
    expect(sessionOf(w, secret)).toMatchObject({ name: 'anna', role: 'operator', kind: 'token', profiles: [1, 2] })
    await w.accounts.saveUser({ name: 'anna', role: 'restorer', profiles: [2, 3] })
    expect(sessionOf(w, secret)).toMatchObject({ role: 'viewer', profiles: [2] })
    await w.accounts.saveUser({ name: 'anna', role: 'admin', profiles: null })
    expect(sessionOf(w, secret)).toMatchObject({ role: 'operator', profiles: [1, 2] })
    await w.accounts.saveUser({ name: 'otto', role: 'viewer', password: PASSWORD, profiles: [4] })
    const otto = sessionOf(w, (await w.accounts.login(HOME, { user: 'otto', password: PASSWORD })).token)
    expect(await codeOf(() => w.accounts.createToken(otto, { name: 'x', role: 'viewer', profiles: [5] }))).toBe(
      'FORBIDDEN',
    )
    expect(await codeOf(() => w.accounts.createToken(otto, { name: 'x', role: 'viewer', user: 'anna' }))).toBe(
      'FORBIDDEN',
    )
    expect(sessionOf(w, w.accounts.createToken(otto, { name: 'x', role: 'viewer' }).secret).profiles).toEqual([4])
  })

  test('revoked by its user or an admin, at once, in every process; others do not learn that it is there', async () => {
    const w = world()
    const other = openOn(w.disk.process(), w.clock)
    const anna = (await loggedIn(w, 'anna', 'operator')).session
    const otto = (await loggedIn(w, 'otto', 'operator')).session
    const { id, secret } = w.accounts.createToken(anna, { name: 'cron', role: 'viewer' })
    expect(w.accounts.listTokens(otto)).toEqual([])
    expect(await codeOf(() => w.accounts.revokeToken(otto, id))).toBe('TOKEN_NOT_FOUND')
    expect(JSON.stringify(w.accounts.listTokens(anna))).not.toContain(secret)
    other.access.enter(secret, HOME)
    other.accounts.revokeToken(anna, id)
    expect(w.access.enter(secret, HOME)).toBeNull()
    expect(await codeOf(() => w.accounts.revokeToken(anna, id))).toBe('TOKEN_NOT_FOUND')
  })

  test('expiry; last use is noted without a write for each call', async () => {
    const w = world()
    const anna = (await loggedIn(w, 'anna', 'viewer')).session
    const { secret } = w.accounts.createToken(anna, { name: 'x', role: 'viewer', expiresInMs: 60 * MINUTE })
    const revision = (): number =>
      Math.max(...w.disk.readdir('/data/access').map((name) => Number(/\d+/.exec(name.toString())?.[0] ?? 0)))
    sessionOf(w, secret)
    const before = revision()
    for (let i = 0; i < 1000; i++) sessionOf(w, secret)
    expect(revision()).toBe(before)
    expect(w.accounts.listTokens(anna)[0]?.lastUsedAt).toBe(w.clock.wall())
    w.clock.advance(6 * MINUTE)
    sessionOf(w, secret)
    expect(revision()).toBe(before + 1)
    w.clock.advance(54 * MINUTE)
    expect(w.access.enter(secret, HOME)).toBeNull()
  })

  test('no secret and no password lies on the disk', async () => {
    const w = world()
    const { token, session } = await loggedIn(w, 'anna', 'operator')
    const { secret } = w.accounts.createToken(session, { name: 'x', role: 'viewer' })
    const all = ['access', 'audit'].flatMap((folder) =>
      w.disk
        .readdir(`/data/${folder}`)
        .map((name) => readFileIfThere(w.disk, `/data/${folder}/${name}`)?.toString() ?? ''),
    )
    for (const canary of [token, secret, PASSWORD, token.slice(-43), secret.slice(-43)])
      expect(all.join('\n')).not.toContain(canary)
  })
})

test('who is nobody: malformed, unknown, other kinds, too long', async () => {
  const w = world({ guard: { free: 1000, allowance: 1000 } })
  const { token } = await loggedIn(w, 'anna', 'viewer')
  const [, , id = '', secret = ''] = token.split('_')
  for (const wrong of [
    '',
    'a',
    token.slice(0, -1),
    `${token}a`,
    token.toUpperCase(),
    token.replace('session', 'token').replace(id, 'aaaaaaaaaaaa'),
    `ratchet_session_${id}_${'A'.repeat(43)}`,
    secret,
    HOST_TOKEN.slice(1),
    `${HOST_TOKEN}h`,
    'é'.repeat(43),
    'a'.repeat(10_000_000),
  ])
    expect([wrong.slice(0, 80), w.access.enter(wrong, HOME)]).toEqual([wrong.slice(0, 80), null])
  expect(w.access.enter(undefined, HOME)).toBeNull()
  expect(w.access.enter(HOST_TOKEN, HOME)).toMatchObject({ name: '@host', role: 'admin' })
})

test('names: no two look alike, none is ours', async () => {
  const w = world()
  for (const name of [
    '',
    ' anna',
    'аnna',
    'anna\u0000',
    '@host',
    '@local',
    '../x',
    'x'.repeat(65),
    'ANNA ',
    '__proto__',
  ])
    expect([name, await codeOf(() => w.accounts.saveUser({ name, role: 'viewer', password: PASSWORD }))]).toEqual([
      name,
      'BAD_REQUEST',
    ])
  await w.accounts.saveUser({ name: 'Anna', role: 'viewer', password: PASSWORD })
  expect(w.accounts.listUsers().map((user) => user.name)).toEqual(['anna'])
})

describe('the file', () => {
  interface Users extends World {
    told: string[]
  }
  const NAMES = ['a', 'b', 'c', 'd']
  const user = (name: string) => ({
    name,
    role: 'viewer' as const,
    profiles: null,
    password: `$argon2id$v=19$m=64,t=1,p=1$${'A'.repeat(22)}$${'B'.repeat(43)}`,
    createdAt: 1,
    passwordAt: 1,
  })
  const run = (disk: Disk, w: Users): void => {
    const file = new AccountsFile(disk, '/data')
    for (const name of NAMES) {
      file.change((data) =>
        data.users.some((one) => one.name === name) ? null : { ...data, users: [...data.users, user(name)] },
      )
      if (!w.told.includes(name)) w.told.push(name)
    }
  }
  const namesOn = (disk: Disk): string[] => new AccountsFile(disk, '/data').read().users.map((one) => one.name)

  test('killed at every call, and every call failing: what was acknowledged stays', async () => {
    const report = await enumerateFaults({
      build: (): Users => ({ disk: emptyDisk(), told: [] }),
      run,
      check: (disk) => expect(namesOn(disk)).toEqual(NAMES),
      checkCrashed(disk, w) {
        const there = namesOn(disk)
        expect(there).toEqual(NAMES.slice(0, there.length))
        for (const name of w.told) if (!there.includes(name)) throw new Error(`${name} was acknowledged and is gone`)
      },
    })
    expect(report.runs).toBeGreaterThan(300)
  })

  test('two processes that change it in turn undo nothing: a revocation stays', async () => {
    const w = world()
    const { session } = await loggedIn(w, 'anna', 'operator')
    const made = w.accounts.createToken(session, { name: 'x', role: 'viewer' })
    const file = new AccountsFile(w.disk.process(), '/data')
    let revoked = false
    file.change((data) => {
      // Somebody revokes between the reading and the writing of another change.
      if (!revoked) w.accounts.revokeToken(session, made.id)
      revoked = true
      return { ...data, users: data.users.map((one) => ({ ...one, passwordAt: 7 })) }
    })
    expect(w.access.enter(made.secret, HOME)).toBeNull()
    expect(w.accounts.listUsers()[0]?.passwordAt).toBe(7)
  })

  test('damaged or of a newer release: named, and nobody gets in by it', async () => {
    const w = world()
    await loggedIn(w, 'anna', 'viewer')
    const newest = w.disk.readdir('/data/access').map(String).toSorted().at(-1) ?? ''
    const fd = w.disk.open(`/data/access/${newest}`, 'update')
    w.disk.write(fd, Buffer.from('{"x'), 0, 3, 0)
    w.disk.close(fd)
    const again = openOn(w.disk, new FakeClock())
    expect(await codeOf(() => again.accounts.listUsers())).toBe('STATE_DAMAGED')
    expect(await codeOf(() => again.accounts.login(from('192.0.2.9'), { user: 'anna', password: PASSWORD }))).toBe(
      'STATE_DAMAGED',
    )
    expect(again.access.enter(HOST_TOKEN, HOME)?.name).toBe('@host')
  })
})

test('folders that have become open to others are closed at the next start', async () => {
  const w = world()
  await loggedIn(w, 'anna', 'viewer')
  for (const folder of ['/data/access', '/data/audit']) {
    const fd = w.disk.open(folder, 'dir')
    w.disk.fchmod(fd, 0o755)
    w.disk.close(fd)
  }
  openOn(w.disk.process(), w.clock)
  for (const folder of ['/data/access', '/data/audit']) {
    expect(w.disk.lstat(folder).mode & 0o777).toBe(0o700)
    for (const name of w.disk.readdir(folder)) expect(w.disk.lstat(`${folder}/${name.toString()}`).mode & 0o077).toBe(0)
  }
})
