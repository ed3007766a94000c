import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasMariadb, startMariadb, type MariadbServer } from '../servers/mariadb.ts'
import { final, place, ratchet, type Place, type Ran } from './helpers.ts'

/** The password of a database, from the hand of its owner to the server: where it must never stand in between (S-CRY-1). */

let server: MariadbServer

beforeAll(async () => {
  if (!hasMariadb) return
  server = await startMariadb()
  await server.root.query(`
    CREATE DATABASE shop; USE shop;
    CREATE TABLE goods (id INT PRIMARY KEY, body TEXT NOT NULL);
    INSERT INTO goods SELECT seq, REPEAT(SHA1(seq), 20) FROM seq_1_to_9000;
    CREATE USER saver@localhost IDENTIFIED BY '${PASSWORD}';
    GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON shop.* TO saver@localhost;
    CREATE USER odd@localhost IDENTIFIED BY '${NAMESAKE}'`)
}, 120_000)
afterAll(() => server?.[Symbol.asyncDispose]())

const PASSWORD = `canary ü/${randomBytes(9).toString('base64')}`

/** A password that is the name of a database as well: what is said of that one tells it. */
const NAMESAKE = 'name_and_password'

/** As it may have been written by whoever was careless. */
const FORMS = [
  Buffer.from(PASSWORD),
  Buffer.from(encodeURIComponent(PASSWORD)),
  Buffer.from(Buffer.from(PASSWORD).toString('base64').replace(/=+$/, '')),
  Buffer.from(Buffer.from(PASSWORD).toString('base64url')),
  Buffer.from(Buffer.from(PASSWORD).toString('hex')),
]

function* filesBelow(folder: string): Generator<string> {
  for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) yield path.join(entry.parentPath, entry.name)
}

/** null: it is gone, or may not be read. */
function contentOf(file: string): Buffer | null {
  try {
    return fs.readFileSync(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && /^(ENOENT|ESRCH|EACCES|EPERM)$/.test(String(error.code)))
      return null
    throw error
  }
}

const holding = (files: Iterable<string>, secrets: readonly Buffer[]): string[] =>
  [...files].filter((file) => {
    const content = contentOf(file)
    return content !== null && secrets.some((secret) => content.includes(secret))
  })

/** What every process of this machine shows of itself. */
const shownByProcesses = (): string[] =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`])

function profileFor(p: Place, more: object = {}): string {
  const file = p.at('profile.json')
  const database = { type: 'mysql', socket: server.socket, user: 'saver', password: PASSWORD, database: 'shop' }
  const sources = [{ type: 'directory', path: p.folder, label: 'all', xattrs: false }]
  const profile = { name: 'Shop', output: p.out, sources, databases: [database], archive: 'shop', ...more }
  fs.writeFileSync(file, JSON.stringify(profile))
  return file
}

describe.skipIf(!hasMariadb)('a password in a profile', () => {
  /** Saves the profile, tries it out, backs up in small steps, and looks everywhere at every step. */
  async function backedUp(p: Place, env: Record<string, string>): Promise<void> {
    const run = (argv: string[], more: object = {}): Promise<Ran> =>
      ratchet([...argv, '--data', p.data], { env, ...more })
    const file = profileFor(p)
    const saved = await run(['profiles', 'save', file, '--json'])
    fs.rmSync(file) // this one is his own
    expect([saved.code, final(saved)['databases']]).toEqual([0, [expect.objectContaining({ password: '***' })]])
    const said = [saved]
    for (const argv of [['profiles', 'show', '2'], ['profiles', 'export', '2'], ['profiles'], ['db', 'test', '2']]) {
      const one = await run(argv)
      expect([argv, one.code, one.err]).toEqual([argv, 0, ''])
      said.push(one)
    }
    const seen = new Set<string>()
    let looks = 0
    const look = (): void => {
      looks++
      for (const found of holding([...filesBelow(p.folder), ...shownByProcesses()], FORMS)) seen.add(found)
    }
    const made = await run(['backup', '--profile', '2', '--slice', '100ms', '--json'], { onLine: look })
    look()
    expect([made.code, final(made).error]).toEqual([0, null])
    expect(looks).toBeGreaterThan(3)
    expect([...seen]).toEqual([])
    for (const { out, err } of [...said, made])
      expect(FORMS.filter((form) => `${out}${err}`.includes(String(form)))).toEqual([])
    const spec = JSON.parse(fs.readFileSync(path.join(p.data, 'jobs/1/spec.json'), 'utf8'))
    expect(spec.databases[0].passwordSealed).toMatch(/^sealed:v1:/)
  }

  it('stands nowhere in the open: not on disk, not in a process, not in what is said; nor does the key in the backup', async () => {
    const p = place()
    await backedUp(p, {})
    const key = fs.readFileSync(path.join(p.data, 'key')).subarray(0, 60)
    const restored = await ratchet([
      'restore',
      path.join(p.out, 'shop.zip'),
      '--to',
      p.at('back'),
      '--data',
      p.at('data2'),
    ])
    expect(restored.code).toBe(0)
    expect(fs.existsSync(p.at('back/all/site'))).toBe(true)
    expect(fs.existsSync(p.at('back/all/data'))).toBe(false)
    expect(holding(filesBelow(p.at('back')), [key, ...FORMS])).toEqual([])
    expect(fs.readFileSync(p.at('back/databases/shop/load.sql'), 'utf8')).toMatch(/^source 000001-/)
  }, 120_000)

  it('the same with a key from elsewhere, even where that lies within what is backed up', async () => {
    const p = place()
    const file = p.at('site/mounted-key')
    fs.writeFileSync(file, randomBytes(32).toString('hex'), { mode: 0o600 })
    await backedUp(p, { RATCHET_KEY_FILE: file })
    expect(fs.existsSync(path.join(p.data, 'key'))).toBe(false)
    const restored = await ratchet([
      'restore',
      path.join(p.out, 'shop.zip'),
      '--to',
      p.at('back'),
      '--data',
      p.at('data2'),
    ])
    expect(restored.code).toBe(0)
    expect(fs.existsSync(p.at('back/all/site/link'))).toBe(true)
    expect(holding(filesBelow(p.at('back')), [fs.readFileSync(file), ...FORMS])).toEqual([])
    // Nor is it written over (S-RES-7).
    const over = ['restore', path.join(p.out, 'shop.zip'), '--to', p.site, '--in-place', '--data', p.at('data2')]
    const refused = await ratchet(over, { env: { RATCHET_KEY_FILE: file } })
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/FORBIDDEN/)])
  }, 120_000)

  it('is not sent to another server that an editor put there, and without its key nowhere', async () => {
    const p = place()
    const data = ['--data', p.data]
    await ratchet(['profiles', 'save', profileFor(p, { sources: [] }), ...data])
    const file = path.join(p.data, 'profiles.json')
    const before = fs.readFileSync(file, 'utf8')
    fs.writeFileSync(file, before.replace('"saver"', '"root"'))
    const moved = await ratchet(['backup', '--profile', '2', '--json', ...data])
    expect(moved.code).toBe(1)
    expect(final(moved).error).toMatchObject({
      code: 'PROFILE_INVALID',
      message: expect.stringMatching(/stored for another server or account; give it again$/),
    })
    fs.writeFileSync(file, before)
    expect((await ratchet(['db', 'test', '2', ...data])).code).toBe(0)
    const refused = await ratchet(['list', ...data], { env: { RATCHET_KEY: 'changeme' } })
    expect([refused.code === 0, refused.err]).toEqual([false, expect.stringMatching(/RATCHET_KEY does not hold a key/)])
    fs.rmSync(path.join(p.data, 'key'))
    const keyless = await ratchet(['db', 'test', '2', ...data])
    expect([keyless.code, keyless.out]).toEqual([
      1,
      expect.stringMatching(/the key .* is gone.*hint: Put the key back/s),
    ])
    expect(fs.existsSync(path.join(p.data, 'key'))).toBe(false)
  }, 120_000)

  it('is known to what writes the log, once it was opened', async () => {
    const p = place()
    const database = { type: 'mysql', socket: server.socket, user: 'odd', password: NAMESAKE, database: NAMESAKE }
    await ratchet(['profiles', 'save', profileFor(p, { sources: [], databases: [database] }), '--data', p.data])
    expect((await ratchet(['backup', '--profile', '2', '--data', p.data])).code).toBe(1)
    const log = fs.readFileSync(path.join(p.data, 'jobs/1/log.txt'), 'utf8')
    expect(log).toMatch(/database.*\[redacted\]/)
    expect(log).not.toContain(NAMESAKE)
    const tested = await ratchet(['db', 'test', '2', '--data', p.data])
    expect([tested.code, tested.out]).toEqual([1, expect.stringMatching(/: .*\[redacted\].* \[DATABASE_/)])
  }, 60_000)
})
