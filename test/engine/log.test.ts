import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { JobLog, type JobLogOptions } from '../../src/engine/log.ts'
import { LogReader } from '../../src/engine/log-read.ts'
import type { LogLine } from '../../src/engine/services.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { FakeClock } from '../helpers/fake-clock.ts'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-log-'))
afterAll(() => fs.rmSync(folder, { recursive: true }))

let count = 0
const fresh = (): string => path.join(folder, `${++count}.txt`)

function logTo(file: string, more: Partial<JobLogOptions> = {}): JobLog {
  const where = (): { step: number; stage: string; domain: string } => ({ step: 3, stage: 'pack', domain: 'pack' })
  return new JobLog({ disk: realDisk, clock: new FakeClock(), path: file, job: 12, where, ...more })
}

const rawLines = (file: string): Record<string, unknown>[] =>
  fs
    .readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

const allOf = (file: string): LogLine[] => new LogReader(realDisk).page(file, {}).lines

describe('writing', () => {
  it('appends lines in the shape of pino, with what everybody asks for first', () => {
    const file = fresh()
    const log = logTo(file)
    log.add('info', 'one')
    log.add('warn', 'a/b: left out', { path: 'a/b', code: 'omitted' })
    expect(fs.existsSync(file)).toBe(false)
    log.flush()
    log.add('error', 'password=hunter2Canary', { code: 'INTERNAL', stack: 'Error: x\n    at y' })
    log.flush()
    log.flush()
    const facts = { job: 12, step: 3, stage: 'pack', domain: 'pack', time: expect.any(Number) as number }
    expect(rawLines(file)).toEqual([
      { level: 30, ...facts, msg: 'one' },
      { level: 40, ...facts, msg: 'a/b: left out', path: 'a/b', code: 'omitted' },
      { level: 50, ...facts, msg: 'password=[redacted]', code: 'INTERNAL', stack: 'Error: x\n    at y' },
    ])
    expect(fs.statSync(file).mode & 0o777).toBe(0o600)
    const { job: _, ...shown } = {
      ...facts,
      line: 2,
      level: 'warn',
      message: 'a/b: left out',
      path: 'a/b',
      code: 'omitted',
    }
    expect(allOf(file)[1]).toEqual(shown)
  })

  it('goes on after a torn line, which stays the only one that is lost', () => {
    const file = fresh()
    for (const text of ['one', 'two']) {
      const log = logTo(file)
      log.add('info', text)
      log.flush()
    }
    fs.truncateSync(file, fs.statSync(file).size - 5)
    expect(allOf(file).map(({ message }) => message)).toEqual(['one'])
    const log = logTo(file)
    log.add('info', 'three')
    log.flush()
    log.add('info', 'four')
    log.flush()
    const lines = allOf(file)
    expect(lines.map(({ line, damaged = false }) => [line, damaged])).toEqual([
      [1, false],
      [2, true],
      [3, false],
      [4, false],
    ])
    expect(lines.map(({ message }) => message).filter((_, i) => i !== 1)).toEqual(['one', 'three', 'four'])
  })

  it('never fills the disk: at its limit it says so, then tells of errors only, then of nothing', () => {
    const file = fresh()
    const limit = 4_000
    for (let run = 0; run < 3; run++) {
      const log = logTo(file, { limit })
      for (let i = 0; i < 40; i++) log.add('info', `line ${i}`)
      log.flush()
    }
    const lines = rawLines(file)
    expect(fs.statSync(file).size).toBeLessThan(limit + 500)
    expect(lines.at(-1)?.['msg']).toBe('the log has reached 4000 bytes: from here on it tells of errors only')
    expect(lines.filter(({ msg }) => String(msg).startsWith('the log has reached'))).toHaveLength(1)
    const log = logTo(file, { limit })
    log.add('warn', 'not told')
    log.add('error', 'told')
    log.flush()
    expect(
      rawLines(file)
        .slice(lines.length)
        .map(({ msg }) => msg),
    ).toEqual(['told'])
    for (let i = 0; i < 2_000; i++) log.add('error', 'x'.repeat(2_000))
    log.flush()
    expect(fs.statSync(file).size).toBeLessThan(limit + (1 << 20) + 5_000)
  })

  it('never stops a backup: a log that cannot be written is done without, other faults are not hidden', () => {
    const refuse = (error: Error): Disk => ({
      ...realDisk,
      open: () => {
        throw error
      },
    })
    const full = logTo(fresh(), { disk: refuse(Object.assign(new Error('full'), { code: 'ENOSPC' })) })
    full.add('info', 'x')
    expect(() => full.flush()).not.toThrow()
    const broken = logTo(fresh(), { disk: refuse(new TypeError('a fault of ours')) })
    broken.add('info', 'x')
    expect(() => broken.flush()).toThrow('a fault of ours')
  })
})

describe('reading', () => {
  const LINES = 1_000_000
  const large = path.join(folder, 'large.txt')

  function makeLarge(): void {
    const fd = fs.openSync(large, 'w')
    for (let i = 1; i <= LINES; i += 1000) {
      const text = Array.from({ length: 1000 }, (_, k) => {
        const level = (i + k) % 100_000 === 0 ? 40 : 30
        return `{"level":${level},"time":1,"job":1,"msg":"line ${i + k}"}\n`
      })
      fs.writeSync(fd, text.join(''))
    }
    fs.closeSync(fd)
  }

  it('pages through a million lines, each page at the price of a page', () => {
    makeLarge()
    let read = 0
    const disk: Disk = {
      ...realDisk,
      read: (fd, into, offset, length, position) => {
        const got = realDisk.read(fd, into, offset, length, position)
        read += got
        return got
      },
    }
    const reader = new LogReader(disk)
    const first = reader.page(large, { limit: 3 })
    expect(first).toMatchObject({ next: 4, total: LINES, lines: [{ line: 1, message: 'line 1' }, {}, { line: 3 }] })
    for (const from of [LINES - 199, 500_000, 513, 512, 2]) {
      read = 0
      const page = reader.page(large, { from, limit: 200 })
      expect(page.lines.map(({ line }) => line)).toEqual(Array.from({ length: 200 }, (_, i) => from + i))
      expect(page.lines.every(({ line, message }) => message === `line ${line}`)).toBe(true)
      expect(page).toMatchObject({ next: from + 200, total: LINES })
      expect(read).toBeLessThan(600_000)
    }
    fs.appendFileSync(large, '{"level":50,"time":1,"msg":"new"}\n{"level":50,"time":1,"ms')
    read = 0
    expect(reader.page(large, { from: LINES + 1 })).toMatchObject({ lines: [{ message: 'new' }], total: LINES + 1 })
    expect(read).toBeLessThan(600_000)
    expect(reader.page(large, { from: LINES + 2 })).toEqual({ lines: [], next: LINES + 2, total: LINES + 1 })
    const warned: number[] = []
    for (let from = 1; from <= LINES + 1;) {
      read = 0
      const page = reader.page(large, { from, level: 'warn', limit: 4 })
      warned.push(...page.lines.map(({ line }) => line))
      expect(page.next).toBeGreaterThan(from)
      expect(read).toBeLessThan(9 << 20)
      from = page.next
    }
    expect(warned).toEqual([...Array.from({ length: 10 }, (_, i) => (i + 1) * 100_000), LINES + 1])
  })

  it('shows a damaged line as it is, without secrets, and all others', () => {
    const file = fresh()
    const bad = [
      '',
      'null',
      '{}',
      '[1]',
      '{"level":30,"time":1}',
      'x password=hunter2Canary',
      '\u0000\u0001',
      '{"level":',
    ]
    const good = '{"level":30,"time":5,"msg":"good","step":"no number","path":7,"code":"c"}'
    fs.writeFileSync(file, `${bad.flatMap((line) => [line, good]).join('\n')}\n`)
    const lines = allOf(file)
    expect(lines).toHaveLength(bad.length * 2)
    for (const [i, line] of lines.entries()) {
      const expected = { line: i + 1, time: 5, level: 'info', message: 'good', code: 'c' }
      if (i % 2 === 1) expect(line).toEqual(expected)
      else expect(line).toMatchObject({ line: i + 1, level: 'warn', damaged: true })
    }
    expect(JSON.stringify(lines)).not.toContain('hunter2')
    fs.writeFileSync(file, `${'y'.repeat(3 << 20)}\n${good}\n`)
    expect(allOf(file).map(({ message }) => message.length)).toEqual([2000, 4])
  })

  it('begins anew when the file is another one, or shorter, and answers for one that is not there', () => {
    const file = fresh()
    const reader = new LogReader(realDisk)
    expect(reader.page(file, { from: 3 })).toEqual({ lines: [], next: 3, total: 0 })
    const line = (text: string): string => `{"level":30,"time":1,"msg":"${text}"}\n`
    fs.writeFileSync(file, line('a') + line('b') + line('c'))
    expect(reader.page(file, {}).total).toBe(3)
    fs.writeFileSync(file, line('d'))
    expect(reader.page(file, {})).toMatchObject({ total: 1, lines: [{ message: 'd' }] })
  })
})
