import { describe, expect, it } from 'vitest'
import { Budget } from '../../src/lib/budget.ts'
import { FakeClock } from '../helpers/fake-clock.ts'

const MIB = 1 << 20

function begin(slice: number, reserve: number): { clock: FakeClock; budget: Budget } {
  const clock = new FakeClock()
  return { clock, budget: new Budget(clock, slice, reserve) }
}

describe('budget', () => {
  it('ends early enough to leave the reserve', () => {
    const { clock, budget } = begin(1000, 100)
    expect([budget.used, budget.left, budget.spent]).toEqual([0, 900, false])
    clock.advance(899)
    expect([budget.used, budget.left, budget.spent]).toEqual([899, 1, false])
    clock.advance(1)
    expect(budget.spent).toBe(true)
    clock.advance(500)
    expect(budget.left).toBe(-500)
  })
  it('reserves at most half, so that a tiny slice still does something', () => {
    const { clock, budget } = begin(20, 5000)
    expect([budget.left, budget.spent]).toEqual([10, false])
    clock.advance(10)
    expect(budget.spent).toBe(true)
  })
  it('wants a commit after a quarter of the slice, or 64 MiB', () => {
    const { clock, budget } = begin(1000, 0)
    expect(budget.commitDue(0)).toBe(false)
    expect(budget.commitDue(64 * MIB - 1)).toBe(false)
    expect(budget.commitDue(64 * MIB)).toBe(true)
    clock.advance(249)
    expect(budget.commitDue(0)).toBe(false)
    clock.advance(1)
    expect(budget.commitDue(0)).toBe(true)
    budget.committed()
    expect(budget.commitDue(0)).toBe(false)
    clock.advance(250)
    expect(budget.commitDue(0)).toBe(true)
  })
  it('does not care what the wall clock does', () => {
    const { clock, budget } = begin(1000, 0)
    for (const jump of [-1e12, 1e12]) {
      clock.setWall(clock.wall() + jump)
      expect([budget.left, budget.commitDue(0)]).toEqual([1000, false])
    }
  })
})
