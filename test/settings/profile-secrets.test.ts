import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { documentOf, importable, readDocument } from '../../src/engine/profile-document.ts'
import type { Profile, Profiles } from '../../src/engine/services.ts'
import type { ServerDatabaseSpec } from '../../src/engine/spec.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { targetOf } from '../../src/settings/database-target.ts'
import { Keys } from '../../src/settings/keys.ts'
import { createProfiles } from '../../src/settings/profiles.ts'
import { failure, temporary } from './temporary.ts'

const CANARY = 'canary "of" ä password'
const OTHER = 'quite another one'
const shop = { type: 'mysql', host: 'db.example', user: 'backup', database: 'shop' } as const
const site = { name: 'Site', output: '/backups' }

class Place {
  readonly folder = temporary()
  readonly env: Record<string, string> = {}
  readonly file = path.join(this.folder, 'profiles.json')

  profiles(disk: Disk = realDisk): Profiles {
    return createProfiles({ disk, clock: systemClock, folder: this.folder, host: 'box', env: this.env })
  }
  save(databases: readonly object[], more: object = {}): Profile {
    return this.profiles().save({ ...site, databases, ...more })
  }
  text(): string {
    return fs.readFileSync(this.file, 'utf8')
  }
  /** As somebody edits it. */
  edit(change: (databases: Record<string, unknown>[], profile: Record<string, unknown>) => void, id = 2): void {
    const data = JSON.parse(this.text()) as { profiles: { id: number; databases: Record<string, unknown>[] }[] }
    for (const profile of data.profiles) if (profile.id === id) change(profile.databases, profile)
    fs.writeFileSync(this.file, JSON.stringify(data))
  }
  /** The password that a connection would be made with. */
  password(database: unknown): string {
    const keys = new Keys(realDisk, this.folder, this.env)
    return targetOf(realDisk, database as ServerDatabaseSpec, {}, { env: {}, keys }).password
  }
  passwords(id = 2): string[] {
    return this.profiles()
      .databases(id)
      .map((one) => this.password(one))
  }
  /** Everything in the folder, whatever it is called. */
  everything(): string {
    const files = fs.readdirSync(this.folder, { recursive: true }).map((name) => path.join(this.folder, String(name)))
    return files
      .filter((file) => fs.statSync(file).isFile())
      .map((file) => fs.readFileSync(file, 'latin1'))
      .join('\n')
  }
}

const latin = (text: string): string => Buffer.from(text).toString('latin1')

describe('a password in a profile', () => {
  test('is stored sealed, shown as ***, and opens for its server', () => {
    const place = new Place()
    const shown = { ...shop, password: '***' }
    expect(place.save([{ ...shop, password: CANARY }]).databases).toEqual([shown])
    expect(place.profiles().get(2).databases).toEqual([shown])
    expect(place.profiles().list()[1]?.databases).toEqual([shown])
    for (const form of [CANARY, JSON.stringify(CANARY).slice(1, -1), 'canary'])
      expect(place.everything()).not.toContain(latin(form))
    const stored = JSON.parse(place.text()).profiles[1].databases[0]
    expect(stored).toEqual({ ...shop, passwordSealed: expect.stringMatching(/^sealed:v1:[\w-]+$/) })
    expect(place.passwords()).toEqual([CANARY])
    expect(fs.statSync(path.join(place.folder, 'key')).mode & 0o777).toBe(0o600)
    const spec = place.profiles().plan(2)
    expect(spec.databases).toEqual([stored])
  })

  test('sent back as *** stays as it is, whatever else is changed', () => {
    const place = new Place()
    place.save([{ ...shop, password: CANARY }])
    const before = JSON.parse(place.text()).profiles[1].databases[0].passwordSealed
    const { id, ...rest } = place.profiles().get(2)
    place.profiles().save({ ...rest, id, level: 1 })
    const [database] = rest.databases
    const renamed = { ...database, database: 'wiki', name: 'docs', port: 3306, tls: {}, restarts: 1 }
    place.save([renamed, { ...shop, database: 'more', password: '***' }], { id })
    const { databases } = JSON.parse(place.text()).profiles[1]
    expect(databases.map((one: ServerDatabaseSpec) => one.passwordSealed)).toEqual([before, before])
    expect(place.passwords()).toEqual([CANARY, CANARY])
  })

  test('given anew takes the place of the old one; left out, it is gone', () => {
    const place = new Place()
    place.save([{ ...shop, password: CANARY }])
    place.save([{ ...shop, password: OTHER }], { id: 2 })
    expect(place.passwords()).toEqual([OTHER])
    expect(place.save([shop], { id: 2 }).databases).toEqual([shop])
    expect(place.text()).not.toContain('passwordSealed')
    expect(failure(() => place.save([{ ...shop, password: '***' }], { id: 2 }))).toEqual({
      code: 'PROFILE_INVALID',
      message: 'the database shop: no password is stored that "***" could stand for',
    })
  })

  test('of two accounts of one server: each keeps its own', () => {
    const place = new Place()
    const two = { ...shop, user: 'other', database: 'wiki' }
    const written = [
      { ...shop, password: CANARY },
      { ...two, password: OTHER },
      { type: 'sqlite', path: '/d' },
    ]
    const { databases } = place.save(written)
    place.save(databases.toReversed(), { id: 2 })
    const servers = place.profiles().databases(2).slice(1)
    expect(servers.map((one) => place.password(one))).toEqual([OTHER, CANARY])
  })

  const moves: [string, object][] = [
    ['another host', { host: 'evil.example' }],
    ['another port', { port: 3307 }],
    ['another user', { user: 'root' }],
    ['another kind', { type: 'postgresql' }],
    ['another name of the certificate', { tls: { name: 'evil.example' } }],
    ['other authorities', { tls: { ca: '/tmp/evil.pem' } }],
    ['this machine', { host: 'localhost' }],
  ]
  const MOVED = 'the password was stored for another server or account; give it again'

  test.each(moves)('does not go to %s: not by saving, not by a run, not by an editor', (_, move) => {
    const place = new Place()
    place.save([{ ...shop, password: CANARY }])
    const moved = { ...shop, ...move, password: '***' }
    const said = { code: 'PROFILE_INVALID', message: `the database shop: ${MOVED}` }
    const before = place.text()
    expect(failure(() => place.save([moved], { id: 2 }))).toEqual(said)
    const overrides = { databases: [moved] } as never
    expect(failure(() => place.profiles().plan(2, { overrides }))).toEqual(said)
    expect(place.text()).toBe(before)
    place.edit(([database]) => Object.assign(database ?? {}, move))
    const error = failure(() => place.passwords())
    expect(error.code).toBe('PROFILE_INVALID')
    expect(error.message).toBe(`the database shop cannot be reached: ${MOVED}`)
  })

  test.each([
    ['beside a variable', { password: 'x', passwordEnv: 'E' }],
    ['beside a file', { password: 'x', passwordFile: '/f' }],
    ['beside a server of the settings', { server: 'main', host: undefined, user: undefined, password: 'x' }],
    ['empty', { password: '' }],
    ['that is no text', { password: 12_345 }],
    ['with a zero byte', { password: `${CANARY}\0` }],
    ['too long', { password: CANARY.repeat(100) }],
    ['sealed by the caller', { passwordSealed: 'sealed:v1:AAAA' }],
  ])('%s is refused without being told, and makes no key', (_, more) => {
    const place = new Place()
    const error = failure(() => place.save([JSON.parse(JSON.stringify({ ...shop, ...more }))]))
    expect(error.code).toBe('PROFILE_INVALID')
    expect(error.message).not.toMatch(/canary|12345|AAAA/)
    expect(fs.readdirSync(place.folder)).toEqual([])
  })

  test('none of a profile is sealed if one of them cannot be', () => {
    const place = new Place()
    const written = [
      { ...shop, password: CANARY },
      { ...shop, user: 'other', password: '***' },
    ]
    expect(failure(() => place.save(written)).code).toBe('PROFILE_INVALID')
    expect(fs.readdirSync(place.folder)).toEqual([])
  })
})

describe('a password written into profiles.json', () => {
  const opened = (more: object = {}): Place => {
    const place = new Place()
    place.save([shop])
    place.edit(([database]) => Object.assign(database ?? {}, { password: CANARY, ...more }))
    return place
  }

  test('is told to nobody, and sealed by the first run', () => {
    const place = opened()
    expect(place.profiles().get(2).databases).toEqual([{ ...shop, password: '***' }])
    expect(place.everything()).toContain('canary')
    const [database] = place.profiles().plan(2).databases ?? []
    expect(database).toEqual({ ...shop, passwordSealed: expect.stringContaining('sealed:v1:') })
    expect(place.password(database)).toBe(CANARY)
    expect(place.everything()).not.toContain('canary')
    expect(JSON.parse(place.text()).profiles[1].databases).toEqual([database])
    expect(place.profiles().plan(2).databases).toEqual([database])
  })

  test('is sealed by a test of it, and by saving it as it is shown', () => {
    const tested = opened()
    expect(tested.passwords()).toEqual([CANARY])
    expect(tested.everything()).not.toContain('canary')
    const saved = opened()
    saved.profiles().save(saved.profiles().get(2))
    expect(saved.everything()).not.toContain('canary')
    expect(saved.passwords()).toEqual([CANARY])
  })

  test('takes the place of a sealed one; *** beside one, or moved with it, is what it says', () => {
    const place = opened()
    place.passwords()
    place.edit(([database]) => Object.assign(database ?? {}, { password: OTHER }))
    expect(place.passwords()).toEqual([OTHER])
    place.edit(([database]) => Object.assign(database ?? {}, { password: '***' }))
    expect(place.passwords()).toEqual([OTHER])
    expect(place.text()).not.toContain('***')
    const nothing = opened({ password: '***' })
    expect(failure(() => nothing.profiles().plan(2)).message).toContain('no password is stored')
    // To another server with the password given anew: that is how it is meant.
    place.edit(([database]) => Object.assign(database ?? {}, { host: 'new.example', password: CANARY }))
    expect(place.passwords()).toEqual([CANARY])
  })

  test('works where the file cannot be written, and stays there', () => {
    const place = opened()
    new Keys(realDisk, place.folder, {}).presentOrMade(false)
    const before = place.text()
    const readOnly: Disk = new Proxy(realDisk, {
      get: (disk, name: keyof Disk) => {
        if (name !== 'rename') return disk[name]
        return () => {
          throw Object.assign(new Error('EROFS: read-only'), { code: 'EROFS' })
        }
      },
    })
    const [database] = place.profiles(readOnly).plan(2).databases ?? []
    expect(place.password(database)).toBe(CANARY)
    expect(JSON.stringify(database)).not.toContain('canary')
    expect(place.text()).toBe(before)
  })

  test('leaves everything else in the file as it stands', () => {
    const place = opened()
    place.edit((_, profile) => delete profile['level'])
    const data = JSON.parse(place.text())
    data.profiles.push({ id: 7, name: 'Broken', sources: 'oops' })
    delete data.profiles[1].level
    data.profiles[1].level = 3
    fs.writeFileSync(place.file, JSON.stringify(data))
    place.passwords()
    const after = JSON.parse(place.text())
    expect(after.profiles[2]).toEqual(data.profiles[2])
    expect({ ...after.profiles[1], databases: [] }).toEqual({ ...data.profiles[1], databases: [] })
  })
})

describe('a run', () => {
  test('with a password of its own has it sealed, for that run alone', () => {
    const place = new Place()
    place.save([shop])
    const before = place.text()
    const databases = [{ ...shop, user: 'once', password: CANARY }]
    const spec = place.profiles().plan(2, { overrides: { databases } })
    expect(JSON.stringify(spec)).not.toContain('canary')
    expect(place.password(spec.databases?.[0])).toBe(CANARY)
    expect(place.text()).toBe(before)
    expect(place.everything()).not.toContain('canary')
    expect(spec.apart).toBe(true)
  })

  test('is of the same data as its profile, by whichever password', () => {
    const place = new Place()
    place.save([{ ...shop, password: CANARY }])
    for (const password of ['***', CANARY, OTHER]) {
      const spec = place.profiles().plan(2, { overrides: { databases: [{ ...shop, password }] } })
      expect(spec.apart).toBeUndefined()
      expect(place.password(spec.databases?.[0])).toBe(password === OTHER ? OTHER : CANARY)
    }
  })
})

describe('the key', () => {
  const saved = (): Place => {
    const place = new Place()
    place.save([{ ...shop, password: CANARY }])
    return place
  }
  const key = (place: Place): string => path.join(place.folder, 'key')

  test.each<[string, (file: string) => void, RegExp]>([
    ['gone', (file) => fs.rmSync(file), /the key .* is gone/],
    ['empty', (file) => fs.truncateSync(file), /key file .* is empty/],
    ['cut', (file) => fs.truncateSync(file, 40), /does not hold a whole key/],
    ['readable by others', (file) => fs.chmodSync(file, 0o640), /may be read by other accounts/],
  ])('%s: nothing is opened, nothing new is sealed, nothing is written', (_, harm, said) => {
    const place = saved()
    harm(key(place))
    const before = [place.text(), fs.readdirSync(place.folder)]
    for (const attempt of [
      () => place.passwords(),
      () => place.save([{ ...shop, user: 'new', password: OTHER }]),
      () => place.profiles().plan(2, { overrides: { databases: [{ ...shop, password: OTHER }] } }),
    ]) {
      const error = failure(attempt)
      expect(error.code).toBe('STATE_DAMAGED')
      expect(error.message).toMatch(said)
      expect(error.message).not.toContain(OTHER)
    }
    expect([place.text(), fs.readdirSync(place.folder)]).toEqual(before)
    // What needs no key goes on.
    expect(place.save([], { sources: [{ type: 'directory', path: '/srv' }] }).id).toBe(3)
    expect(place.profiles().get(2).databases).toEqual([{ ...shop, password: '***' }])
  })

  test('lost for good: as its help says, the passwords are given again', () => {
    const place = saved()
    fs.rmSync(key(place))
    place.edit(([database]) => {
      delete database?.['passwordSealed']
      Object.assign(database ?? {}, { password: OTHER })
    })
    expect(place.passwords()).toEqual([OTHER])
    // Or by saving the only profile that had one.
    fs.rmSync(key(place))
    place.save([{ ...shop, password: CANARY }], { id: 2 })
    expect(place.passwords()).toEqual([CANARY])
  })

  test('of somebody else does not open it, and says so', () => {
    const [place, stranger] = [saved(), saved()]
    fs.copyFileSync(key(stranger), key(place))
    expect(failure(() => place.passwords()).message).toMatch(/shop cannot be reached: .* stored with another key$/)
    fs.rmSync(key(place))
    place.env['RATCHET_KEY'] = '00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f'
    expect(failure(() => place.passwords()).message).toMatch(/another key/)
    place.save([{ ...shop, password: OTHER }], { id: 2 })
    expect(place.passwords()).toEqual([OTHER])
    expect(fs.existsSync(key(place))).toBe(false)
  })
})

describe('an exported profile', () => {
  test('holds *** in place of the password, and wants it again where none is stored', () => {
    const [here, there] = [new Place(), new Place()]
    here.save([{ ...shop, password: CANARY }])
    const document = JSON.parse(JSON.stringify(documentOf(here.profiles().get(2))))
    expect(document.profile.databases).toEqual([{ ...shop, password: '***' }])
    expect(JSON.stringify(document)).not.toMatch(/sealed|canary/)
    const take = (place: Place, choice: object, raw: unknown = document): Profile =>
      place.profiles().save(importable(readDocument(raw), choice, place.profiles()))
    expect(failure(() => take(there, {})).message).toContain('no password is stored')
    expect(fs.existsSync(there.file)).toBe(false)
    expect(failure(() => take(here, { as: 'new' })).message).toContain('no password is stored')
    take(here, { replace: true })
    expect(here.passwords()).toEqual([CANARY])
    document.profile.databases[0].password = OTHER
    take(there, {})
    expect(there.passwords()).toEqual([OTHER])
    expect(there.everything()).not.toContain(OTHER)
  })
})
