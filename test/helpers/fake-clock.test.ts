import { describe, expect, it } from 'vitest'
import { Budget } from '../../src/lib/budget.ts'
import { FakeClock } from './fake-clock.ts'

describe('fake clock', () => {
  it('stands still, advances, and lets the wall jump alone', () => {
    const clock = new FakeClock({ wall: 5000, mono: 100 })
    expect([clock.wall(), clock.mono(), clock.mono()]).toEqual([5000, 100, 100])
    clock.advance(50)
    expect([clock.wall(), clock.mono()]).toEqual([5050, 150])
    clock.setWall(0)
    expect([clock.wall(), clock.mono()]).toEqual([0, 150])
  })
  it('passes with every look, so that a budget is spent after a known number of looks', () => {
    const budget = new Budget(new FakeClock({ perLook: 1 }), 10, 0)
    let looks = 0
    while (!budget.spent) looks++
    expect(looks).toBe(9)
  })
  it('sleeps in no time', async () => {
    const clock = new FakeClock({ wall: 0, mono: 0 })
    await clock.sleep(250)
    expect([clock.wall(), clock.mono(), clock.slept]).toEqual([250, 250, [250]])
  })
  it('holds sleepers until it is time, or they are called off', async () => {
    const clock = new FakeClock({ sleep: 'hold' })
    const woken: string[] = []
    const abort = new AbortController()
    const all = [
      clock.sleep(10).then(() => woken.push('short')),
      clock.sleep(20).then(() => woken.push('long')),
      clock.sleep(1000, abort.signal).then(() => woken.push('called off')),
    ]
    clock.advance(9)
    await Promise.resolve()
    expect(woken).toEqual([])
    clock.advance(1)
    await all[0]
    expect(woken).toEqual(['short'])
    abort.abort()
    clock.advance(10)
    await Promise.all(all)
    expect(woken.sort()).toEqual(['called off', 'long', 'short'])
    await clock.sleep(5, abort.signal)
  })
})
