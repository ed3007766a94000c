import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decide, totalsOf, type Candidate, type Decision } from '../../src/engine/retention.ts'
import type { RetentionPolicy } from '../../src/engine/spec.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const YEAR = 365.25 * DAY

const at = (iso: string): number => Date.parse(iso.length === 10 ? `${iso}T12:00:00Z` : `${iso}Z`)

/** Numbered from 1 in the order given. */
function backups(times: readonly (string | number)[], changes: Record<number, Partial<Candidate>> = {}): Candidate[] {
  return times.map((time, i) => ({
    number: i + 1,
    time: typeof time === 'string' ? at(time) : time,
    bytes: 100,
    complete: true,
    frozen: false,
    going: false,
    ...changes[i + 1],
  }))
}

const kept = ({ verdicts }: Decision): number[] =>
  verdicts.flatMap(({ keep, candidate }) => (keep ? [candidate.number] : [])).toReversed()
const why = ({ verdicts }: Decision, number: number): readonly string[] =>
  verdicts.find(({ candidate }) => candidate.number === number)?.reasons ?? []
const removed = ({ verdicts }: Decision): number[] =>
  verdicts.flatMap(({ keep, candidate }) => (keep ? [] : [candidate.number])).toReversed()

const NOW = at('2026-06-29')
const on = (candidates: readonly Candidate[], policy: RetentionPolicy, now = NOW, current?: number): Decision =>
  decide(candidates, policy, current === undefined ? { now } : { now, current })

describe('what a policy keeps', () => {
  it('everything, where it has no rule', () => {
    const all = backups(['2001-01-01', '2020-01-01', '2026-06-28'])
    expect(kept(on(all, {}))).toEqual([1, 2, 3])
    expect(why(on(all, {}), 1)).toEqual(['unruled'])
  })

  it('the newest so many, whatever their order and numbers', () => {
    const all = backups(['2026-06-20', '2026-06-23', '2026-06-21', '2026-06-22'])
    expect(kept(on(all, { keepLast: 2 })).toSorted()).toEqual([2, 4])
    expect(kept(on(all.toReversed(), { keepLast: 2 })).toSorted()).toEqual([2, 4])
    expect(kept(on(all, { keepLast: 99 }))).toHaveLength(4)
  })

  it('of the same moment the one with the higher number', () => {
    expect(kept(on(backups(['2026-06-20', '2026-06-20', '2026-06-20']), { keepLast: 1 }))).toEqual([3])
  })

  it('the newest of each hour and day, in UTC', () => {
    const all = backups(['2026-06-27T23:59:59', '2026-06-28T00:00:00', '2026-06-28T00:59:59', '2026-06-28T01:00:00'])
    expect(kept(on(all, { keepHourly: 2 }))).toEqual([3, 4])
    expect(kept(on(all, { keepHourly: 3 }))).toEqual([1, 3, 4])
    expect(kept(on(all, { keepDaily: 2 }))).toEqual([1, 4])
  })

  it('hours that a clock of daylight saving time has twice, or not at all, one by one', () => {
    for (const day of ['2026-03-29', '2026-10-25', '2026-03-08', '2026-11-01']) {
      const hours = Array.from({ length: 24 }, (_, i) => `${day}T${String(i).padStart(2, '0')}:30:00`)
      const late = at('2026-12-01')
      expect(kept(on(backups(hours), { keepHourly: 24 }, late))).toHaveLength(24)
      expect(kept(on(backups(hours), { keepDaily: 24 }, late))).toEqual([24])
    }
  })

  it('buckets that are empty are not counted', () => {
    const all = backups(['2020-02-01', '2021-05-01', '2026-01-01', '2026-06-01'])
    expect(kept(on(all, { keepDaily: 3 }))).toEqual([2, 3, 4])
    expect(kept(on(all, { keepYearly: 2 }))).toEqual([2, 4])
  })

  it('one of each ISO week, also where weeks and years do not end together', () => {
    // 2020 has 53 weeks: its last one ends on Sunday, 3 January 2021; 2024-12-30 belongs to week 1 of 2025.
    const all = backups(['2020-12-27', '2020-12-28', '2020-12-31', '2021-01-03', '2021-01-04'])
    expect(kept(on(all, { keepWeekly: 3 }))).toEqual([1, 4, 5])
    const turn = backups(['2024-12-29', '2024-12-30', '2025-01-05', '2025-01-06'])
    expect(kept(on(turn, { keepWeekly: 9 }))).toEqual([1, 3, 4])
  })

  it('agrees with the calendar about weeks, months and years of a century', () => {
    const weekOf = (time: number): string => {
      const day = new Date(time)
      day.setUTCDate(day.getUTCDate() + 4 - (day.getUTCDay() || 7)) // the Thursday of its week
      const first = Date.UTC(day.getUTCFullYear(), 0, 1)
      return `${day.getUTCFullYear()}-${Math.ceil(((day.getTime() - first) / DAY + 1) / 7)}`
    }
    for (const [policy, bucket] of [
      [{ keepWeekly: 1_000_000 }, weekOf],
      [{ keepMonthly: 1_000_000 }, (time: number) => new Date(time).toISOString().slice(0, 7)],
      [{ keepYearly: 1_000_000 }, (time: number) => new Date(time).toISOString().slice(0, 4)],
      [{ keepDaily: 1_000_000 }, (time: number) => new Date(time).toISOString().slice(0, 10)],
    ] as const) {
      const days = Array.from({ length: 36_525 }, (_, i) => at('1960-01-01T05:00:00') + i * DAY)
      const last = new Map(days.map((time, i) => [bucket(time), i + 1]))
      expect(kept(on(backups(days), policy, at('2100-01-01')))).toEqual([...last.values()])
    }
  })

  it('29 February like any other day', () => {
    const all = backups(['2024-02-28', '2024-02-29', '2024-03-01', '2025-02-28'])
    expect(kept(on(all, { keepDaily: 4 }))).toEqual([1, 2, 3, 4])
    expect(kept(on(all, { keepMonthly: 3 }))).toEqual([2, 3, 4])
    expect(kept(on(all, { keepYearly: 2 }))).toEqual([3, 4])
    // 366 days lie between 29 February and the last of February, a year later, and one more.
    expect(kept(on(all, { keepWithinDays: 365 }))).toEqual([2, 3, 4])
    expect(kept(on(all, { keepWithinDays: 364 }))).toEqual([3, 4])
  })

  it('what any rule keeps, and says which', () => {
    const all = backups(['2025-12-31', '2026-05-31', '2026-06-27', '2026-06-28T08:00:00', '2026-06-28T09:00:00'])
    const decision = on(all, { keepLast: 1, keepDaily: 2, keepMonthly: 2, keepYearly: 2, keepWithinDays: 1 })
    expect(why(decision, 1)).toEqual(['yearly'])
    expect(why(decision, 2)).toEqual(['monthly'])
    expect(why(decision, 3)).toEqual(['daily', 'within'])
    expect(why(decision, 4)).toEqual(['within'])
    expect(why(decision, 5)).toEqual(['newest', 'last', 'daily', 'monthly', 'yearly', 'within'])
    expect(why(on(all, { keepLast: 1 }), 1)).toEqual(['superseded'])
  })

  it('a complete one rather than one with failed parts, in the same bucket only', () => {
    const times = ['2026-06-26T08:00:00', '2026-06-27T08:00:00', '2026-06-27T09:00:00', '2026-06-28T08:00:00']
    const all = backups(times, { 3: { complete: false }, 4: { complete: false } })
    // The newest complete one stays in any case; day by day the complete one is chosen, if there is any.
    expect(kept(on(all, { keepDaily: 3 }))).toEqual([1, 2, 4])
    expect(kept(on(all, { keepLast: 1 }))).toEqual([2, 4])
  })
})

describe('size', () => {
  const all = backups(['2026-06-24', '2026-06-25', '2026-06-26', '2026-06-27', '2026-06-28'])

  it('lets the oldest go until the rest fits', () => {
    expect(kept(on(all, { maxBytes: 500 }))).toEqual([1, 2, 3, 4, 5])
    expect(kept(on(all, { maxBytes: 499 }))).toEqual([2, 3, 4, 5])
    expect(kept(on(all, { maxBytes: 200 }))).toEqual([4, 5])
    expect(why(on(all, { maxBytes: 200 }), 1)).toEqual(['size'])
  })

  it('counts what the rules keep, and nothing else', () => {
    expect(kept(on(all, { keepLast: 3, maxBytes: 300 }))).toEqual([3, 4, 5])
    expect(kept(on(all, { keepLast: 3, maxBytes: 250 }))).toEqual([4, 5])
  })

  it('never takes the newest complete one, nor the present one', () => {
    expect(kept(on(all, { maxBytes: 1 }))).toEqual([5])
    const partial = backups(['2026-06-24', '2026-06-25', '2026-06-26', '2026-06-27'], {
      2: { bytes: 1e12 },
      3: { complete: false },
      4: { complete: false },
    })
    expect(kept(on(partial, { maxBytes: 1 }, NOW, 4))).toEqual([2, 4])
    expect(kept(on(partial, { maxBytes: 1 }))).toEqual([2])
  })

  it('does not count what is frozen, but tells of it', () => {
    const frozen = backups(['2026-06-24', '2026-06-25', '2026-06-26', '2026-06-27'], {
      1: { frozen: true, bytes: 1e9 },
      3: { frozen: true },
    })
    const decision = on(frozen, { keepLast: 2, maxBytes: 200 })
    expect(kept(decision)).toEqual([1, 2, 3, 4])
    expect(why(decision, 1)).toEqual(['frozen'])
    expect(totalsOf(decision.verdicts)).toEqual({
      kept: { count: 4, bytes: 1e9 + 300 },
      removed: { count: 0, bytes: 0 },
      frozen: { count: 2, bytes: 1e9 + 100 },
    })
    expect(removed(on(frozen, { keepLast: 1 }))).toEqual([2])
  })
})

describe('a removal that was cut short', () => {
  it('is ended, and counts as nothing', () => {
    const all = backups(['2026-06-26', '2026-06-27', '2026-06-28'], { 3: { going: true } })
    const decision = on(all, { keepLast: 2 })
    expect(kept(decision)).toEqual([1, 2])
    expect(why(decision, 3)).toEqual(['begun'])
  })
})

describe('clocks that are wrong (R34)', () => {
  const days = Array.from({ length: 30 }, (_, i) => at('2026-05-30') + i * DAY)
  const policy: RetentionPolicy = { keepWithinDays: 7, maxBytes: 10_000 }

  it('removes nothing when any backup lies in the future', () => {
    for (const now of [NOW - 10 * YEAR, NOW - 2 * DAY, days[29]! - 1]) {
      const decision = on(backups(days), policy, now)
      expect(removed(decision)).toEqual([])
      expect(decision.refused).toEqual({ why: 'clock', number: 30 })
      expect(why(decision, 1)).toEqual(['clock'])
    }
    expect(removed(on(backups(days), policy, days[29]))).toHaveLength(22)
    const ahead = backups(days, { 4: { time: NOW + 10 * YEAR, complete: false } })
    expect(on(ahead, policy).refused).toEqual({ why: 'clock', number: 4 })
  })

  it('counts ages from the last complete backup before this one: a jump of ten years ahead makes none older', () => {
    const jumped = backups([...days, days[29]! + 10 * YEAR])
    const decision = on(jumped, policy, days[29]! + 10 * YEAR + 5, 31)
    expect(removed(decision)).toEqual(removed(on(backups(days), policy, days[29])))
    expect(kept(decision)).toHaveLength(9)
    // One with failed parts says nothing about the time.
    const partial = backups([...days, days[29]! + 10 * YEAR, days[29]! + 11 * YEAR], { 31: { complete: false } })
    expect(kept(on(partial, policy, days[29]! + 12 * YEAR, 32))).toHaveLength(10)
    const nothingElse = backups([days[0]!, days[1]!, days[29]! + 10 * YEAR], {
      1: { complete: false },
      2: { complete: false },
    })
    expect(removed(on(nothingElse, policy, days[29]! + 10 * YEAR, 3))).toEqual([])
  })

  it('is the same however far the clock is ahead', () => {
    const expected = kept(on(backups(days), { keepWithinDays: 3, keepWeekly: 2 }, days[29]))
    for (const years of [0, 1, 10, 1000]) {
      expect(kept(on(backups(days), { keepWithinDays: 3, keepWeekly: 2 }, days[29]! + years * YEAR))).toEqual(expected)
    }
  })
})

describe('what cannot be read', () => {
  it('keeps everything', () => {
    const all = backups(['2026-06-26', '2026-06-27', '2026-06-28'])
    const decision = decide(all, { keepLast: 1 }, { now: NOW, unreadable: 7 })
    expect(removed(decision)).toEqual([])
    expect(decision.refused).toEqual({ why: 'unreadable', number: 7 })
    expect(why(decision, 1)).toEqual(['unreadable'])
  })
})

const count = fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined })
const policies = fc
  .record({
    keepLast: count,
    keepHourly: count,
    keepDaily: count,
    keepWeekly: count,
    keepMonthly: count,
    keepYearly: count,
    keepWithinDays: fc.option(fc.integer({ min: 1, max: 4000 }), { nil: undefined }),
    maxBytes: fc.option(fc.integer({ min: 1, max: 3000 }), { nil: undefined }),
  })
  .map((keys): RetentionPolicy => Object.fromEntries(Object.entries(keys).filter(([, v]) => v !== undefined)))
const candidates = fc
  .array(
    fc.record({
      time: fc.oneof(
        fc.integer({ min: NOW - 12 * YEAR, max: NOW }),
        fc.integer({ min: 0, max: 400 }).map((hours) => NOW - hours * HOUR),
      ),
      bytes: fc.integer({ min: 0, max: 500 }),
      complete: fc.boolean(),
      frozen: fc.boolean(),
      going: fc.boolean(),
    }),
    { maxLength: 40 },
  )
  .map((all) => all.map((one, i): Candidate => ({ number: i + 1, ...one, going: one.going && !one.frozen })))
const RUNS = { numRuns: 1500 }
const includes = (all: readonly number[], some: readonly number[]): boolean => some.every((n) => all.includes(n))

describe('of any backups, under any policy', () => {
  const check = (property: (all: Candidate[], policy: RetentionPolicy) => void): void =>
    fc.assert(fc.property(candidates, policies, property), RUNS)

  it('each gets one verdict, with a reason', () =>
    check((all, policy) => {
      const { verdicts } = on(all, policy)
      expect(verdicts.map(({ candidate }) => candidate.number).toSorted((a, b) => a - b)).toEqual(
        all.map(({ number }) => number),
      )
      for (const { reasons } of verdicts) expect(reasons.length).toBeGreaterThan(0)
    }))

  it('the newest complete one stays, and if none is complete the newest', () =>
    check((all, policy) => {
      const rest = all.filter(({ frozen, going }) => !frozen && !going)
      const good = rest.filter(({ complete }) => complete)
      const [newest] = (good.length > 0 ? good : rest).toSorted((a, b) => b.time - a.time || b.number - a.number)
      if (newest !== undefined) expect(kept(on(all, policy))).toContain(newest.number)
    }))

  it('the frozen ones stay, and the present one', () =>
    check((all, policy) => {
      const [current] = all.filter(({ going }) => !going)
      const decision = on(all, policy, NOW, current?.number)
      for (const { number, frozen } of all) {
        if (frozen || number === current?.number) expect(kept(decision)).toContain(number)
      }
    }))

  it('the order in which they are told does not matter', () =>
    check((all, policy) => {
      expect(on(all.toReversed(), policy)).toEqual(on(all, policy))
    }))

  it('more of any rule keeps at least as much', () =>
    check((all, { maxBytes: _, ...policy }) => {
      const before = kept(on(all, policy))
      for (const [key, value] of Object.entries(policy)) {
        expect(includes(kept(on(all, { ...policy, [key]: value + 1 })), before)).toBe(true)
      }
    }))

  it('one more rule keeps at least as much, beside other ones', () =>
    check((all, { maxBytes: _, ...policy }) => {
      if (Object.keys(policy).length === 0) return
      const before = kept(on(all, policy))
      for (const key of ['keepLast', 'keepDaily', 'keepWeekly', 'keepYearly', 'keepWithinDays'] as const) {
        expect(includes(kept(on(all, { [key]: 3, ...policy })), before)).toBe(true)
      }
    }))

  it('more room keeps at least as much, and what stays fits, but for what must stay', () =>
    check((all, policy) => {
      const { maxBytes = 700 } = policy
      const decision = on(all, { ...policy, maxBytes })
      expect(includes(kept(on(all, { ...policy, maxBytes: maxBytes * 2 })), kept(decision))).toBe(true)
      const { verdicts } = decision
      const staying = verdicts.filter(({ keep, candidate }) => keep && !candidate.frozen)
      const bytes = staying.reduce((sum, { candidate }) => sum + candidate.bytes, 0)
      if (staying.length > 1) expect(bytes).toBeLessThanOrEqual(maxBytes + 500)
    }))

  it('a frozen one changes nothing for the others: as if it were not there', () =>
    check((all, { keepWithinDays: _, ...policy }) => {
      const others = all.filter(({ frozen }) => !frozen)
      const alone = kept(on(others, policy))
      expect(kept(on(all, policy)).filter((n) => others.some(({ number }) => number === n))).toEqual(alone)
    }))

  it('nothing goes when one of them lies in the future, or was begun after the clock says it is', () =>
    fc.assert(
      fc.property(candidates, policies, fc.integer({ min: 1, max: 10 * YEAR }), (all, policy, by) => {
        const newest = Math.max(...all.map(({ time }) => time))
        expect(removed(on(all, policy, newest - by))).toEqual([])
      }),
      RUNS,
    ))

  it('never more goes than with a clock that stands still at the newest, however far it jumps ahead', () =>
    fc.assert(
      fc.property(candidates, policies, fc.integer({ min: 0, max: 20 * YEAR }), (all, policy, by) => {
        const newest = Math.max(0, ...all.map(({ time }) => time))
        expect(kept(on(all, policy, newest + by))).toEqual(kept(on(all, policy, newest)))
        // A new backup under that clock: what it takes the place of goes, and no more.
        const next: Candidate = { number: 99, time: newest + by, bytes: 1, complete: true, frozen: false, going: false }
        const one = removed(on([...all, next], policy, newest + by, 99))
        const other = removed(on([...all, { ...next, time: newest + 1 }], policy, newest + 1, 99))
        if (policy.keepWithinDays !== undefined && Object.keys(policy).length === 1) expect(one).toEqual(other)
      }),
      RUNS,
    ))

  it('what was carried out is not undone: deciding again without what went lets nothing more go', () =>
    check((all, policy) => {
      const first = on(all, policy)
      const left = all.filter(({ number }) => kept(first).includes(number))
      const { keepWithinDays } = policy
      if (keepWithinDays === undefined) expect(removed(on(left, policy))).toEqual([])
    }))
})

it('ten thousand are decided about at once', () => {
  const all = backups(Array.from({ length: 10_000 }, (_, i) => NOW - (10_000 - i) * HOUR))
  const decision = on(all, { keepHourly: 24, keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: 3 })
  expect(totalsOf(decision.verdicts).kept.count).toBeGreaterThan(40)
  expect(totalsOf(decision.verdicts).kept.count).toBeLessThan(52)
})
