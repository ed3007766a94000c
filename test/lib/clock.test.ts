import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'

describe('system clock', () => {
  it('never goes back, and finer than a millisecond', () => {
    const looks = Array.from({ length: 1000 }, () => systemClock.mono())
    for (let i = 1; i < looks.length; i++) expect(looks[i]).toBeGreaterThanOrEqual(looks[i - 1] ?? 0)
    expect(looks.some((ms) => ms !== Math.floor(ms))).toBe(true)
    expect(systemClock.wall()).toBeGreaterThan(Date.UTC(2026, 0, 1))
  })
  it('sleeps at least as long as asked, or until called off', async () => {
    const begun = systemClock.mono()
    await systemClock.sleep(20)
    expect(systemClock.mono() - begun).toBeGreaterThan(18)
    const abort = new AbortController()
    const asleep = systemClock.sleep(3_600_000, abort.signal)
    abort.abort()
    await asleep
    await systemClock.sleep(3_600_000, abort.signal)
  })
})
