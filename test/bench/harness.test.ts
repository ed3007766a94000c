import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { costs, flatness, type Step } from '../../bench/flatness.ts'
import { interleave, measure, ratio } from '../../bench/measure.ts'
import { MemoryWatch } from '../../bench/process-tree.ts'
import { line, merge, type Row } from '../../bench/report.ts'
import { median, quantile, spread } from '../../bench/stats.ts'

describe('statistics', () => {
  it('interpolates between ranks', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(quantile([10, 20], 0.99)).toBeCloseTo(19.9)
    expect(quantile([], 0.5)).toBeNaN()
    expect(spread([2, 1, 4], 1)).toBe('2.0 (1.0–4.0)')
  })
})

describe('measuring whole processes', () => {
  it('counts the memory and the processor time of children, and hands the output over', async () => {
    const wait = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)'
    const hungry = `const b = Buffer.alloc(120e6, 1); ${wait}; console.log(b.length)`
    const measured = await measure({ argv: ['sh', '-c', 'echo first; "$0" -e "$1"', process.execPath, hungry] })
    expect(measured.stdout).toBe('first\n120000000\n')
    expect(measured.rss).toBeGreaterThan(120e6)
    expect(measured.cpu).toBeGreaterThan(0.01)
    expect(measured.wall).toBeGreaterThan(0)
  })

  it('refuses a run that failed', async () => {
    await expect(measure({ argv: ['sh', '-c', 'exit 7'] })).rejects.toThrow('exit code 7')
  })

  it('takes turns, and does not count the first round', async () => {
    const order: string[] = []
    const side = (name: string): Parameters<typeof interleave>[0][number] => ({
      name,
      command: { argv: ['true'] },
      prepare: () => void order.push(name),
    })
    const series = await interleave([side('a'), side('b')], 2)
    expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b'])
    expect(series.map((s) => s.wall.length)).toEqual([2, 2])
    const of = (name: string, wall: number[]) => ({ name, wall, cpu: [], rss: [] })
    expect(ratio(of('a', [1, 3, 2]), of('b', [4]))).toBe(0.5)
  })

  it('remembers a peak that is over', async () => {
    const script = 'Buffer.alloc(90e6, 1); console.log("done"); setTimeout(() => {}, 60_000)'
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    using memory = new MemoryWatch(child.pid ?? 0)
    await once(child.stdout, 'data')
    memory.look()
    child.kill()
    await once(child, 'exit')
    expect(memory.peak).toBeGreaterThan(90e6)
  })
})

describe('flatness of steps', () => {
  const step = (ms: number, entries: number, domain = 'pack'): Step => ({ ms, domain, entries, bytes: 0 })

  it('weighs each step by the work it did, and leaves out steps that packed nothing', () => {
    const list = [
      step(5, 0, 'init'),
      step(9, 10),
      step(10, 20),
      step(10, 20),
      step(30, 30),
      step(1, 35, 'finalization'),
    ]
    expect(costs(list, 'entries', 10)).toEqual([10, 30])
  })

  it('compares the last tenth with the first', () => {
    const rising = Array.from({ length: 100 }, (_, i) => (i < 90 ? 10 : 15))
    expect(flatness(rising)).toEqual({ first: 10, last: 15, ratio: 1.5 })
  })
})

describe('the table of results', () => {
  const row: Row = { bench: 'a', what: 'x | y', figures: '1', result: '2', bar: '≥ 1', met: true, command: 'zip' }
  const page = 'before\n<!-- results: begin -->\n<!-- results: end -->\nafter\n'

  it('replaces the row of the same comparison and keeps the others', () => {
    const other = line({ ...row, what: 'z' }, '2026-01-01')
    const first = merge(page, [line(row, '2026-01-01'), other])
    const second = merge(first, [line({ ...row, result: '3', met: false }, '2026-02-02')])
    const lines = second.split('\n').filter((text) => text.startsWith('| a |'))
    expect(lines).toEqual(['| a | x \\| y | 1 | 3 | ≥ 1 | **no** | 2026-02-02 | `zip` |', other])
    expect(second.startsWith('before\n')).toBe(true)
    expect(second.endsWith('\nafter\n')).toBe(true)
    expect(merge(second, [])).toBe(second)
  })

  it('does not touch a page without marks', () => {
    expect(() => merge('text', [])).toThrow('marks')
  })
})
