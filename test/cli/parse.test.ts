import { describe, expect, it } from 'vitest'
import * as format from '../../src/cli/format.ts'
import * as parse from '../../src/cli/parse.ts'
import { isLoopback } from '../../src/cli/commands/serve.ts'

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['4096', 4096],
    ['100M', 100 * 1024 ** 2],
    ['100m', 100 * 1024 ** 2],
    ['1.5G', 1.5 * 1024 ** 3],
    ['64KiB', 64 * 1024],
    ['64 kib', 64 * 1024],
    ['500MB', 500_000_000],
    ['2kB', 2000],
    ['1T', 1024 ** 4],
  ])('%s', (text, bytes) => expect(parse.parseSize(text)).toBe(bytes))

  it.each(['', 'M', '-1M', '1e3', '1,5G', '10X', '0x10', '1..5G', 'NaN', '10MiBs', '99999999T', '1 0M'])(
    'refuses %j',
    (text) => expect(() => parse.parseSize(text)).toThrow(/size/),
  )
})

describe('durations', () => {
  it.each([
    ['2s', 2000],
    ['500ms', 500],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
  ])('%s', (text, ms) => expect(parse.parseDuration(text)).toBe(ms))

  it.each(['', '2', 's', '-1s', '2 days', '1e3ms'])('refuses %j', (text) =>
    expect(() => parse.parseDuration(text)).toThrow(/unit/),
  )

  it.each(['5ms', '2h', '0s'])('a slice of %s is out of bounds', (text) =>
    expect(() => parse.parseSlice(text)).toThrow(/between/),
  )
})

describe('times', () => {
  it.each([
    ['2026-06-29T12:10:45Z', Date.UTC(2026, 5, 29, 12, 10, 45)],
    ['2026-06-29T12:10+02:00', Date.UTC(2026, 5, 29, 10, 10)],
    ['2026-06-29', new Date(2026, 5, 29).getTime()],
    ['2026-06-29T12:10', new Date(2026, 5, 29, 12, 10).getTime()],
  ])('%s', (text, ms) => expect(parse.parseTime(text)).toBe(ms))

  it.each(['', 'yesterday', '2026', '29.6.2026', '2026-13-01', '1782727845000', '2026-06-29 12:00'])(
    'refuses %j',
    (text) => expect(() => parse.parseTime(text)).toThrow(/Not a time/),
  )
})

describe('jobs and archives', () => {
  it('takes digits as numbers and the rest as ids', () => {
    expect(parse.parseRef('12')).toBe(12)
    expect(parse.parseRef('20260629-121045-000001')).toBe('20260629-121045-000001')
    expect(() => parse.parseRef('../x')).toThrow(/ratchet list/)
    expect(() => parse.parseRef('')).toThrow()
  })

  it('takes everything else as the path of an archive', () => {
    expect(parse.parseArchive('12')).toEqual({ ref: 12 })
    expect(parse.parseArchive('20260629-121045-000001')).toEqual({ ref: '20260629-121045-000001' })
    expect(parse.parseArchive('./12')).toEqual({ path: './12' })
    expect(parse.parseArchive('site.zip')).toEqual({ path: 'site.zip' })
  })

  it('refuses numbers out of bounds', () => {
    expect(parse.parseInteger(0, 9)('9')).toBe(9)
    for (const text of ['10', '-1', '1.5', '', ' 1', '1e0']) expect(() => parse.parseInteger(0, 9)(text)).toThrow()
  })
})

describe('loopback', () => {
  it.each(['127.0.0.1', '127.9.9.9', '::1', 'localhost'])('%s is', (host) => expect(isLoopback(host)).toBe(true))
  it.each(['0.0.0.0', '::', '192.168.1.1', 'localhost.evil', '127.0.0.1.evil', ''])('%s is not', (host) =>
    expect(isLoopback(host)).toBe(false),
  )
})

describe('text', () => {
  it('shows control and bidirectional characters instead of obeying them', () => {
    expect(format.printable('a\u001b[31mb\r\n\u202ec\u009b')).toBe('a\\u001b[31mb\\u000d\\u000a\\u202ec\\u009b')
    expect(format.printable('grün 日本')).toBe('grün 日本')
  })

  it('writes numbers for people', () => {
    expect(format.size(0)).toBe('0 B')
    expect(format.size(1023)).toBe('1023 B')
    expect(format.size(1024)).toBe('1.0 KiB')
    expect(format.size(1024 ** 2 - 1)).toBe('1.0 MiB')
    expect(format.count(1234567, 'file')).toBe('1,234,567 files')
    expect(format.count(1, 'file')).toBe('1 file')
    expect(format.duration(400)).toBe('0.4 s')
    expect(format.duration(59_700)).toBe('1:00 min')
    expect(format.duration(3_723_000)).toBe('1:02:03 h')
  })

  it('quotes what a shell would take apart', () => {
    expect(format.shellWord('/srv/www')).toBe('/srv/www')
    expect(format.shellWord("it's $HOME")).toBe(`'it'\\''s $HOME'`)
  })
})
