import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { Meter } from '../../src/cli/meter.ts'
import { barLine, BarReporter } from '../../src/cli/report/bar.ts'
import { jobState } from './helpers/fake.ts'

/** A clock that stands still until told. */
function handClock(): { wall: () => number; mono: () => number; sleep: () => Promise<void>; at: number } {
  const clock = { at: 0, wall: () => 0, mono: () => clock.at, sleep: async () => undefined }
  return clock
}

describe('rate and time left', () => {
  it('are those of the last ten seconds, and of the share done', () => {
    const clock = handClock()
    const meter = new Meter(clock)
    meter.add(0, 0)
    expect([meter.rate, meter.left]).toEqual([null, null])
    for (let second = 1; second <= 20; second++) {
      clock.at = second * 1000
      meter.add(second <= 10 ? 0 : (second - 10) * 1_000_000, second * 2)
    }
    expect(meter.rate).toBeGreaterThan(900_000)
    expect(meter.rate).toBeLessThanOrEqual(1_000_000)
    expect(meter.left).toBe(30_000)
  })

  it('are unknown while nothing moves', () => {
    const clock = handClock()
    const meter = new Meter(clock)
    meter.add(5, 40)
    clock.at = 60_000
    meter.add(5, 40)
    expect([meter.rate, meter.left]).toEqual([0, null])
  })
})

describe('the bar', () => {
  const payload = { facts: '1.0 MiB of 2.0 MiB', activity: `pack: ${'x'.repeat(300)}/end` }

  it.each([20, 60, 80, 200])('never fills %i columns', (columns) => {
    const line = barLine({ progress: 0.5 }, payload, columns)
    expect(line.length).toBeLessThan(columns)
    expect(line.startsWith('█'.repeat(12))).toBe(true)
  })

  it('keeps the end of a long name', () => {
    expect(barLine({ progress: 1 }, payload, 100)).toMatch(/…x+\/end$/)
  })

  it('shows warnings in lines of their own, hides what could move the cursor, and ends clean', () => {
    const written: string[] = []
    const err = Object.assign(new PassThrough(), {
      isTTY: true,
      columns: 100,
      cursorTo: () => true,
      clearLine: () => true,
    })
    err.on('data', (chunk: Buffer) => written.push(chunk.toString()))
    const bar = new BarReporter({ write: () => true }, err, handClock())
    bar.state(jobState({ percent: 10, domain: 'pack', activity: 'a\u001b[2Jb' }))
    bar.state(jobState({ percent: 20, warnings: { total: 1, fresh: ['left out: \u001b]0;x\u0007'] } }))
    bar.close()
    bar.state(jobState({ percent: 30 }), true)
    const all = written.join('')
    expect(all).toContain('warning: left out: \\u001b]0;x\\u0007\n')
    // Taken away before, drawn again after the warning.
    const [before, after] = all.split(/warning: .*\n/)
    expect([before?.endsWith('\u001b8\u001b[1G\u001b[2K'), after?.includes('20 %')]).toEqual([true, true])
    expect(all).toContain('pack: a\\u001b[2Jb')
    expect(all).not.toContain('\u001b[2J')
    expect(all.lastIndexOf('\u001b[?25h')).toBeGreaterThan(all.lastIndexOf('\u001b[?25l'))
  })
})
