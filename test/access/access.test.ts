import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { AttemptGuard } from '../../src/access/guard.ts'
import { openToken } from '../../src/access/token.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { failure, temporary } from '../settings/temporary.ts'

describe('token', () => {
  test('made once, 256 bits, for its owner only', () => {
    const folder = path.join(temporary(), 'data')
    const first = openToken(realDisk, folder)
    expect(first.created).toBe(true)
    expect(Buffer.from(first.token, 'base64url')).toHaveLength(32)
    expect(fs.statSync(first.file).mode & 0o777).toBe(0o600)
    expect(openToken(realDisk, folder)).toEqual({ ...first, created: false })
    fs.chmodSync(first.file, 0o644)
    openToken(realDisk, folder)
    expect(fs.statSync(first.file).mode & 0o777).toBe(0o600)
  })

  for (const content of ['', 'secret', 'changeme', 'x'.repeat(42), `${'x'.repeat(43)} y`]) {
    test(`not accepted as a token: ${JSON.stringify(content.slice(0, 10))}`, () => {
      const folder = temporary()
      fs.writeFileSync(path.join(folder, 'token'), content)
      expect(failure(() => openToken(realDisk, folder)).code).toBe('STATE_DAMAGED')
      expect(fs.readFileSync(path.join(folder, 'token'), 'utf8')).toBe(content)
    })
  }

  test('a planted link is not followed', () => {
    const folder = temporary()
    fs.writeFileSync(path.join(folder, 'mine'), 'A'.repeat(43))
    fs.symlinkSync(path.join(folder, 'mine'), path.join(folder, 'token'))
    expect(failure(() => openToken(realDisk, folder)).code).toBe('STATE_DAMAGED')
  })
})

describe('guard', () => {
  function setUp(options = {}) {
    let now = 0
    const clock: Clock = { wall: () => 0, mono: () => now, sleep: async () => undefined }
    return { guard: new AttemptGuard({ clock, ...options }), pass: (ms: number) => void (now += ms) }
  }

  test('ten minutes of guessing let fewer than 50 tokens through', () => {
    for (const address of ['192.0.2.1', '127.0.0.1']) {
      const { guard, pass } = setUp()
      let seen = 0
      for (let ms = 0; ms < 600_000; ms += 10) {
        if (guard.waitMs(address) === 0) {
          seen++
          guard.failed(address)
        }
        pass(10)
      }
      expect(seen).toBeGreaterThan(5)
      expect(seen).toBeLessThan(50)
    }
  })

  test('waits grow to the limit, shorter on loopback; other addresses are free; time heals', () => {
    const { guard, pass } = setUp({ allowance: Infinity })
    for (let i = 0; i < 40; i++) for (const a of ['192.0.2.1', '127.0.0.1', '::ffff:127.0.0.1']) guard.failed(a)
    expect(guard.waitMs('192.0.2.1')).toBe(15 * 60_000)
    expect(guard.waitMs('127.0.0.1')).toBe(60_000)
    expect(guard.waitMs('192.0.2.2')).toBe(0)
    pass(15 * 60_000)
    expect(guard.waitMs('192.0.2.1')).toBe(0)
    pass(30 * 60_000)
    guard.failed('192.0.2.1')
    expect(guard.waitMs('192.0.2.1')).toBe(0)
  })

  test('an IPv6 neighbour is the same guesser, a mapped address the same as its IPv4', () => {
    const { guard } = setUp({ free: 1 })
    guard.failed('2001:db8::1')
    expect(guard.waitMs('2001:db8:0:0:9::2')).toBeGreaterThan(0)
    expect(guard.waitMs('2001:db8:0:1::1')).toBe(0)
    guard.failed('::ffff:192.0.2.9')
    expect(guard.waitMs('192.0.2.9')).toBeGreaterThan(0)
  })

  test('memory is bounded', () => {
    const { guard } = setUp({ maxAddresses: 100 })
    for (let i = 0; i < 10_000; i++) guard.failed(`10.${i >> 8}.${i & 255}.1`)
    expect(guard.size).toBe(100)
  })
})
