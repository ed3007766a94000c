import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { readNewPassword } from '../../src/cli/secret-input.ts'
import { localAccounts } from '../../src/cli/backend/accounts.ts'
import { UsageError } from '../../src/cli/failure.ts'
import { HOME, HOST_TOKEN, PASSWORD, world } from '../access/access-world.ts'
import { cli, FakeBackend } from './helpers/fake.ts'

function fixture() {
  const w = world()
  const backend = new FakeBackend()
  backend.accounts = localAccounts(w)
  const run = (argv: string[], input = '') => cli(argv, { backend, input })
  return { w, run }
}

describe('ratchet user', () => {
  test('add, list, role, passwd, remove; each stands in the trail, no password anywhere', async () => {
    const { w, run } = fixture()
    const added = await run(['user', 'add', 'Anna', '--role', 'operator', '--profile', '2'], `${PASSWORD}\n`)
    expect([added.code, added.out]).toEqual([0, 'user anna is added with the role operator\n'])
    expect((await run(['user', 'list', '--json'])).lines).toMatchObject([
      { name: 'anna', role: 'operator', profiles: [2] },
    ])
    expect((await run(['user'])).out).toContain('anna  operator  2')
    expect((await run(['user', 'add', 'anna', '--role', 'viewer'], PASSWORD)).err).toContain('already')
    expect((await run(['user', 'role', 'anna', 'restorer'])).code).toBe(0)
    const login = await w.accounts.login(HOME, { user: 'anna', password: PASSWORD })
    expect((await run(['user', 'passwd', 'anna'], 'an entirely new one\r\n')).code).toBe(0)
    expect(w.access.enter(login.token, HOME)).toBeNull()
    expect((await w.accounts.login(HOME, { user: 'anna', password: 'an entirely new one' })).role).toBe('restorer')
    expect((await run(['user', 'remove', 'anna'])).code).toBe(0)
    const gone = await run(['user', 'passwd', 'anna'], PASSWORD)
    expect([gone.code, gone.err]).toEqual([1, expect.stringContaining('USER_NOT_FOUND')])
    const { entries } = w.audit.read(1, 100)
    expect(
      entries.filter((e) => e.face === 'cli' && e.result === 'ok').map((e) => [e.event, e.actor, e.object]),
    ).toEqual([
      ['user.save', '@local', 'user:anna'],
      ['user.save', '@local', 'user:anna'],
      ['user.save', '@local', 'user:anna'],
      ['user.delete', '@local', 'user:anna'],
    ])
    const begun = entries.filter((e) => e.result === 'begun')
    expect(begun.map((e) => [e.event, e.object])).toEqual([
      ['user.save', 'user'],
      ['user.save', 'user'],
      ['user.save', 'user'],
      ['user.delete', 'user'],
    ])
    expect(JSON.stringify(entries)).not.toMatch(/correct|entirely/)
  })

  test('a trail that was removed as a whole is missed', async () => {
    const { w, run } = fixture()
    expect((await run(['audit', 'verify'])).code).toBe(0)
    await run(['user', 'add', 'anna', '--role', 'viewer'], PASSWORD)
    expect((await run(['audit', 'verify'])).code).toBe(0)
    for (const name of w.disk.readdir('/data/audit')) w.disk.unlink(`/data/audit/${name.toString()}`)
    const { code, out } = await run(['audit', 'verify'])
    expect([code, out]).toEqual([1, expect.stringContaining('NOT whole: there are users')])
  })

  test('a password as an argument is refused, as is none, a short one, a role that is none', async () => {
    const { w, run } = fixture()
    expect((await run(['user', 'add', 'anna', PASSWORD, '--role', 'viewer'])).code).toBe(2)
    expect((await run(['user', 'add', 'anna', '--role', 'viewer', '--password', PASSWORD])).code).toBe(2)
    expect((await run(['user', 'add', 'anna', '--role', 'viewer'])).code).toBe(2)
    expect((await run(['user', 'add', 'anna', '--role', 'root'], PASSWORD)).code).toBe(2)
    expect((await run(['user', 'add', 'anna', '--role', 'viewer'], 'short\n')).err).toContain('PASSWORD_REFUSED')
    expect(w.accounts.listUsers()).toEqual([])
  })
})

describe('a terminal', () => {
  /** What is typed, as a terminal in raw mode sends it. */
  function terminal(...typed: string[]) {
    const modes: boolean[] = []
    const shown: string[] = []
    const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (raw: boolean) => modes.push(raw) })
    const stderr = { write: (text: string) => (shown.push(text), typed.length > 0 && stdin.write(typed.shift())) }
    const exits: number[] = []
    const io = { stdin, stderr, exit: (code: number) => void exits.push(code) }
    return { io: io as unknown as Parameters<typeof readNewPassword>[0], modes, shown, exits }
  }

  test('shows nothing of what is typed, asks twice, knows backspace', async () => {
    const { io, modes, shown } = terminal('secrex\u007ft one\r', 'x', 'secret one\r')
    // The newline that ends the first prompt makes the fake terminal send a stray key first.
    expect(await readNewPassword(io, 'Password').catch((error: unknown) => error)).toBeInstanceOf(UsageError)
    expect(modes).toEqual([true, false, true, false])
    expect(shown.join('')).not.toContain('secret')
    const same = terminal('a fine one\r', '', 'a fine one\r')
    expect(await readNewPassword(same.io, 'Password')).toBe('a fine one')
  })

  test('Ctrl-C leaves, and the terminal is as it was', async () => {
    const { io, modes, exits } = terminal('abc\u0003')
    void readNewPassword(io, 'Password')
    await new Promise((resolve) => setImmediate(resolve))
    expect([exits, modes]).toEqual([[130], [true, false]])
  })
})

describe('ratchet token', () => {
  test('create prints the secret alone on standard output, once; list and revoke', async () => {
    const { w, run } = fixture()
    await run(['user', 'add', 'anna', '--role', 'operator'], PASSWORD)
    const made = await run(['token', 'create', 'nightly', '--user', 'anna', '--role', 'operator', '--expires', '90d'])
    const secret = made.out.trim()
    expect(secret).toMatch(/^ratchet_token_[a-z0-9]{12}_[\w-]{43}$/)
    expect(made.err).not.toContain(secret)
    expect(w.access.enter(secret, HOME)).toMatchObject({ name: 'anna', role: 'operator' })
    const listed = await run(['token', 'list', '--json'])
    expect(listed.out).not.toContain(secret.slice(-43))
    const [token] = listed.lines
    expect(token).toMatchObject({ name: 'nightly', user: 'anna', expiresAt: w.clock.wall() + 90 * 86_400_000 })
    expect((await run(['token'])).out).toContain('nightly')
    expect((await run(['token', 'create', 'x', '--user', 'anna', '--role', 'admin'])).err).toContain('FORBIDDEN')
    expect((await run(['token', 'create', 'x', '--role', 'viewer'])).err).toContain('USER_NOT_FOUND')
    expect((await run(['token', 'create', 'x', '--user', 'anna', '--role', 'viewer', '--expires', '0d'])).code).toBe(2)
    expect((await run(['token', 'revoke', String(token?.['id'])])).code).toBe(0)
    expect(w.access.enter(secret, HOME)).toBeNull()
    expect((await run(['token', 'revoke', String(token?.['id'])])).err).toContain('TOKEN_NOT_FOUND')
  })
})

describe('ratchet audit', () => {
  test('lists, verifies, and says by its exit code that somebody was at it', async () => {
    const { w, run } = fixture()
    await run(['user', 'add', 'anna', '--role', 'operator'], PASSWORD)
    await run(['user', 'role', 'anna', 'viewer'])
    w.access.enter(HOST_TOKEN, HOME)
    expect((await run(['audit'])).out).toMatch(/\n2 {2}\S+ \S+ {2}user\.save {2}@local {2}cli {2}user:anna {2}ok\n3 /)
    expect((await run(['audit', 'list', '--from', '4', '--json'])).lines).toMatchObject([
      { seq: 4, event: 'user.save' },
    ])
    const whole = await run(['audit', 'verify', '--json'])
    expect([whole.code, whole.lines[0]]).toMatchObject([0, { ok: true, entries: 4 }])
    const fd = w.disk.open('/data/audit/audit.jsonl', 'update')
    w.disk.write(fd, Buffer.from('X'), 0, 1, 40)
    w.disk.close(fd)
    const changed = await run(['audit', 'verify'])
    expect([changed.code, changed.out]).toEqual([1, expect.stringContaining('NOT whole: line 1')])
  })
})
