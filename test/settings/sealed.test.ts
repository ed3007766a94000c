import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { MasterKey } from '../../src/settings/master-key.ts'
import { seal, unseal, type Bound } from '../../src/settings/sealed.ts'
import { boundTo } from '../../src/settings/server-identity.ts'
import { failure } from './temporary.ts'

const key = MasterKey.generate()
const bound: Bound = { purpose: 'database-password', to: 'here' }
const MARK = 'sealed:v1:'
const bytesOf = (sealed: string): Buffer => Buffer.from(sealed.slice(MARK.length), 'base64url')
const textOf = (bytes: Buffer): string => MARK + bytes.toString('base64url')

describe('a sealed secret', () => {
  test.each(['?', 'correct horse', 'ä€😀', '"\\\n', 'a'.repeat(1024)])('opens as what it was: %j', (secret) => {
    const sealed = seal(secret, key, bound)
    expect(sealed).toMatch(/^sealed:v1:[A-Za-z0-9_-]+$/)
    expect(sealed).not.toContain(secret)
    expect(unseal(sealed, key, bound)).toBe(secret)
    expect(unseal(sealed, reread(key), bound)).toBe(secret)
  })

  test('stays shut for anything else, and under another key, and each says why', () => {
    const sealed = seal('secret', key, bound)
    const moved = failure(() => unseal(sealed, key, { ...bound, to: 'there' }))
    expect(moved).toEqual({
      code: 'PROFILE_INVALID',
      message: 'the password was stored for another server or account; give it again',
    })
    const other = failure(() => unseal(sealed, MasterKey.generate(), bound))
    expect(other).toEqual({ code: 'PROFILE_INVALID', message: 'the password was stored with another key' })
    // Not even if somebody writes the id of the other key over that of its own.
    const stranger = MasterKey.generate()
    const forged = Buffer.concat([stranger.id, bytesOf(sealed).subarray(8)])
    expect(failure(() => unseal(textOf(forged), stranger, bound)).code).toBe('PROFILE_INVALID')
  })

  test('with any bit turned, any byte cut or added, stays shut', () => {
    const bytes = bytesOf(seal('secret', key, bound))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const turned = Buffer.from(bytes)
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(failure(() => unseal(textOf(turned), key, bound)).code, `bit ${bit}`).toBe('PROFILE_INVALID')
    }
    for (let length = 0; length < bytes.length; length++)
      expect(failure(() => unseal(textOf(bytes.subarray(0, length)), key, bound)).code).toBe('PROFILE_INVALID')
    expect(failure(() => unseal(textOf(Buffer.concat([bytes, Buffer.of(0)])), key, bound)).code).toBe('PROFILE_INVALID')
  })

  test('with any character of it another one, stays shut', () => {
    const sealed = seal('seven', key, bound)
    for (let at = 0; at < sealed.length; at++)
      for (const other of 'AQgw_9:. ') {
        if (sealed[at] === other) continue
        const changed = sealed.slice(0, at) + other + sealed.slice(at + 1)
        const { code } = failure(() => unseal(changed, key, bound))
        expect(['PROFILE_INVALID', 'STATE_TOO_NEW'], changed).toContain(code)
      }
  })

  test('in another spelling of the same bytes, stays shut', () => {
    // 41 bytes: the last character of their base64 has two bits that count for nothing.
    const sealed = seal('seven', key, bound)
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = letters.indexOf(sealed.at(-1) ?? '')
    const spelt = [1, 2, 3].map((bits) => sealed.slice(0, -1) + (letters[last + bits] ?? ''))
    for (const same of [...spelt, `${sealed}=`, `${sealed}\n`, sealed.replace('v1:', 'v1: ')]) {
      expect(bytesOf(same)).toEqual(bytesOf(sealed))
      expect(failure(() => unseal(same, key, bound)).code).toBe('PROFILE_INVALID')
    }
  })

  test('of a newer form is told as such', () => {
    for (const mark of ['sealed:v2:', 'sealed:v10:'])
      expect(failure(() => unseal(`${mark}AAAA`, key, bound)).code).toBe('STATE_TOO_NEW')
  })

  test('has a nonce of its own each time', () => {
    const seen = new Set<string>()
    for (let n = 0; n < 10_000; n++) seen.add(bytesOf(seal('x', key, bound)).toString('hex', 8, 20))
    expect(seen.size).toBe(10_000)
  })
})

const reread = (one: MasterKey): MasterKey => {
  const again = MasterKey.parse(one.toText(), { foreign: false })
  if (again === null) throw new Error('a key could not be read again')
  return again
}

describe('a key', () => {
  test('shows itself to nobody who looks at it', () => {
    const text = key.toText().slice('ratchet_key_'.length, -'_12345678'.length)
    expect(text).toHaveLength(43)
    for (const shown of [inspect(key, { showHidden: true, depth: 9 }), JSON.stringify(key), `${String(key)}`])
      expect(shown).not.toContain(text)
    expect(JSON.stringify(key)).toBe('{}')
  })

  test('is known again by its text alone, whole and unchanged', () => {
    const text = key.toText()
    expect(reread(key).id).toEqual(key.id)
    for (let length = 0; length < text.length; length++)
      expect(MasterKey.parse(text.slice(0, length), { foreign: true }), `${length}`).toBeNull()
    for (let at = 0; at < text.length; at++) {
      const changed = text.slice(0, at) + (text[at] === 'b' ? 'c' : 'b') + text.slice(at + 1)
      expect(MasterKey.parse(changed, { foreign: true }), `${at}`).toBeNull()
    }
  })

  test.each([
    ['nothing', ''],
    ['a word', 'changeme'],
    ['zeros', '0'.repeat(64)],
    ['a repeated pattern', 'deadbeef'.repeat(8)],
    ['one byte less', 'a1b2c3d4e5f60718293a4b5c6d7e8f9001122334455667788990a1b2c3d4e5'],
    ['half a base64', 'q83vEjRWeJCrze8SNFZ4kA=='],
  ])('is not %s', (_, text) => expect(MasterKey.parse(text, { foreign: true })).toBeNull())

  test('of somebody else may be hexadecimal or base64, where that is allowed', () => {
    const bytes = Buffer.from(Array.from({ length: 32 }, (_, i) => i * 7))
    const forms = [bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url')]
    const ids = forms.map((text) => MasterKey.parse(text, { foreign: true })?.id.toString('hex'))
    expect(new Set(ids).size).toBe(1)
    expect(ids[0]).toMatch(/^[0-9a-f]{16}$/)
    for (const text of forms) expect(MasterKey.parse(text, { foreign: false })).toBeNull()
  })
})

describe('what a password is bound to', () => {
  const base = { type: 'mysql', host: 'db.example', user: 'backup' } as const
  const to = (more: object): string => boundTo({ ...base, ...more }).to

  test.each([
    ['another host', { host: 'evil.example' }],
    ['another port', { port: 3307 }],
    ['a socket', { host: undefined, socket: '/s' }],
    ['another account', { user: 'root' }],
    ['another kind', { type: 'postgresql' }],
    ['another name in the certificate', { tls: { name: 'evil.example' } }],
    ['other authorities', { tls: { ca: '/evil.pem' } }],
  ])('changes with %s', (_, more) => expect(to(more)).not.toBe(to({})))

  test('does not change by saying what holds anyway', () => {
    for (const same of [{ port: 3306 }, { tls: {} }, { host: 'DB.Example' }]) expect(to(same)).toBe(to({}))
    const local = { type: 'postgresql', user: 'me' } as const
    expect(boundTo({ ...local, host: 'localhost', port: 5432 })).toEqual(boundTo(local))
    expect(boundTo({ ...local, tls: {} })).not.toEqual(boundTo(local))
  })

  test('holds nothing apart that would read the same', () => {
    expect(to({ host: 'a', user: 'b","tls":null' })).not.toBe(to({ host: 'a', user: 'b' }))
  })
})
