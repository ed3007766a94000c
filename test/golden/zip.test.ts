import { describe, expect, it } from 'vitest'
import type { ArchiveTotals, EntryHead, EntryTotals } from '../../src/archive/format.ts'
import { zip } from '../../src/archive/zip.ts'
import { fromDosTime, toDosTime } from '../../src/archive/zip-records.ts'

/** Every record byte by byte, and every threshold of ZIP64 at n−1, n, n+1. */

const FOUR_GIB = 0xffffffff
const RESERVE = FOUR_GIB - (64 << 20)
const w = zip.writer

const head = (part: Partial<EntryHead> = {}): EntryHead => ({
  name: Buffer.from('d/a.txt'),
  kind: 'file',
  mode: 0o100644,
  mtime: 1_700_000_000.9,
  uid: 0,
  gid: 0,
  size: 6,
  method: 'deflate',
  ...part,
})
const entry = (part: Partial<EntryTotals> = {}): EntryTotals => ({
  ...head(part),
  crc: 0x363a3020,
  stored: 8,
  part: 0,
  offset: 0x1234,
  ...part,
})
const totals = (part: Partial<ArchiveTotals> = {}): ArchiveTotals => ({
  entries: 3,
  parts: 1,
  uncompressed: 0,
  stored: 0,
  directoryPart: 0,
  directoryOffset: 0x100,
  directoryLength: 0xa0,
  lastPartRecords: 3,
  epilogueOffset: 0x1a0,
  split: false,
  ...part,
})
const hex = (bytes: Buffer): string => bytes.toString('hex')
/** Fields joined as written below: spaces are for the reader. */
const bytes = (...fields: string[]): string => fields.join('').replaceAll(' ', '')

// 2023-11-14 22:13:20 UTC
const DOS = 'aab1 6e57'
const UT = '5554 0500 01 00f15365'

describe('local header', () => {
  it('of a deflated file', () => {
    expect(hex(w.head(entry()))).toBe(
      bytes('504b0304 1400 0008 0800', DOS, '20303a36 08000000 06000000 0700 0900', hex(head().name), UT),
    )
  })
  it('of a folder ends in a slash', () => {
    const e = entry({ kind: 'dir', name: Buffer.from('d'), method: 'store', size: 0, stored: 0, crc: 0, mode: 0o40755 })
    expect(hex(w.head(e))).toBe(bytes('504b0304 1400 0008 0000', DOS, '00000000 00000000 00000000 0200 0900 642f', UT))
  })
  it('of a link carries 0A 03', () => {
    const e = entry({ kind: 'symlink', name: Buffer.from('l'), method: 'store', size: 7, stored: 7, mode: 0o120777 })
    expect(hex(w.head(e))).toBe(bytes('504b0304 0a03 0008 0000', DOS, '20303a36 07000000 07000000 0100 0900 6c', UT))
  })
  it('leaves out a time that 32 bits cannot hold', () => {
    const e = entry({ mtime: 2 ** 31 })
    expect(w.head(e).readUInt16LE(28)).toBe(0)
    expect(w.head(entry({ mtime: 2 ** 31 - 1 })).length - w.head(e).length).toBe(9)
    expect(w.head(entry({ mtime: -(2 ** 31) })).length - w.head(e).length).toBe(9)
    expect(w.head(entry({ mtime: -(2 ** 31) - 1 })).length - w.head(e).length).toBe(0)
  })
  it('reserves 64-bit sizes from the threshold on', () => {
    const e = entry({ size: FOUR_GIB, stored: 5, method: 'deflate' })
    expect(hex(w.head(e))).toBe(
      bytes('504b0304 2d00 0008 0800', DOS, '20303a36 ffffffff ffffffff 0700 1d00', hex(e.name)) +
        bytes('0100 1000 ffffffff00000000 0500000000000000', UT),
    )
  })
})

describe('DOS time', () => {
  it.each([
    [0, '0000 2100'],
    [315_532_799, '0000 2100'],
    [315_532_800, '0000 2100'],
    [315_532_803, '0100 2100'],
    [951_782_400, '0000 5d28'],
    [4_354_819_199, '7dbf 9fff'],
    [4_354_819_200, '7dbf 9fff'],
    [Number.NaN, '0000 2100'],
  ])('%d', (mtime, expected) => {
    expect(hex(w.head(entry({ mtime }))).slice(20, 28)).toBe(bytes(expected))
  })
})

it('DOS dates are those of the calendar, every day of the range', () => {
  for (let day = 3652; day < 50_400; day++) {
    const d = new Date(day * 86_400_000)
    const expected = ((d.getUTCFullYear() - 1980) << 9) | ((d.getUTCMonth() + 1) << 5) | d.getUTCDate()
    const found = toDosTime(day * 86_400 + 43_261)
    if (found.date !== expected || found.time !== (12 << 11) + (1 << 5))
      expect([day, found.date]).toEqual([day, expected])
    expect(fromDosTime(found)).toBe(day * 86_400 + 43_260)
  }
})

describe('patches make the open header the final one', () => {
  const sizes = [0, 6, RESERVE - 1, RESERVE, RESERVE + 1, FOUR_GIB - 1, FOUR_GIB, FOUR_GIB + 1, 2 ** 45]
  for (const method of ['store', 'deflate'] as const) {
    it.each(sizes)(`${method} %d`, (size) => {
      const e = entry({ size, method, stored: method === 'store' ? size : Math.floor(size / 2) })
      const open = w.openHead(e)
      for (const { at, bytes: patch } of w.patches(e)) patch.copy(open, at)
      expect(hex(open)).toBe(hex(w.head(e)))
      const zip64 = size >= (method === 'store' ? FOUR_GIB : RESERVE)
      expect(open.readUInt16LE(4)).toBe(zip64 ? 45 : 20)
      expect(open.readUInt32LE(18)).toBe(zip64 ? FOUR_GIB : e.stored)
    })
  }
  it('touches nothing but CRC and sizes', () => {
    const e = entry()
    expect(hex(w.openHead(e)).slice(28, 52)).toBe('00000000 00000000 06000000'.replaceAll(' ', ''))
    expect(w.patches(e).map(({ at, bytes: b }) => [at, hex(b)])).toEqual([[14, '20303a360800000006000000']])
    expect(w.patches(entry({ method: 'store' })).map(({ at, bytes: b }) => [at, b.length])).toEqual([[14, 4]])
  })
})

describe('central record', () => {
  it('of a file', () => {
    expect(hex(w.record(entry({ part: 2 })))).toBe(
      bytes('504b0102 1e03 1400 0008 0800', DOS, '20303a36 08000000 06000000 0700 0900 0000') +
        bytes('0200 0000 0000a481 34120000', hex(head().name), UT),
    )
  })
  it('of a folder and of a link', () => {
    const dir = w.record(entry({ kind: 'dir', mode: 0o40755, name: Buffer.from('d') }))
    expect(dir.readUInt32LE(38)).toBe(((0o40755 << 16) | 0x10) >>> 0)
    expect(dir.subarray(46, 48).toString()).toBe('d/')
    expect(w.record(entry({ kind: 'symlink', mode: 0o120777 })).readUInt32LE(38)).toBe((0o120777 << 16) >>> 0)
    expect(w.record(entry({ kind: 'symlink', mode: 0o777 })).readUInt32LE(38)).toBe((0o120777 << 16) >>> 0)
  })
  it.each([
    ['size', { size: FOUR_GIB - 1 }, '', 45],
    ['size', { size: RESERVE - 1 }, '', 20],
    ['size', { size: FOUR_GIB }, '0100 0800 ffffffff00000000', 45],
    ['size', { size: FOUR_GIB + 1 }, '0100 0800 0000000001000000', 45],
    ['stored', { stored: FOUR_GIB - 1 }, '', 20],
    ['stored', { stored: FOUR_GIB }, '0100 0800 ffffffff00000000', 45],
    ['offset', { offset: FOUR_GIB - 1 }, '', 20],
    ['offset', { offset: FOUR_GIB }, '0100 0800 ffffffff00000000', 45],
    ['offset', { offset: FOUR_GIB + 1 }, '0100 0800 0000000001000000', 45],
    ['part', { part: 0xfffe }, '', 20],
    ['part', { part: 0xffff }, '0100 0400 ffff0000', 45],
    ['part', { part: 0x10000 }, '0100 0400 00000100', 45],
    [
      'all',
      { size: 2 ** 40, stored: 2 ** 39, offset: 2 ** 38, part: 70_000 },
      '0100 1c00 0000000000010000 0000000080000000 0000000040000000 70110100',
      45,
    ],
  ])('ZIP64 only for what needs it: %s %o', (_field, part, extra, needed) => {
    const record = w.record(entry(part))
    expect(hex(record.subarray(46 + 7, record.length - 9))).toBe(bytes(extra))
    expect(record.readUInt16LE(6)).toBe(needed)
  })
})

describe('end of the archive', () => {
  it('small', () => {
    expect(hex(w.epilogue(totals()))).toBe(bytes('504b0506 0000 0000 0300 0300 a0000000 00010000 0000'))
  })
  it('of a split set', () => {
    expect(hex(w.epilogue(totals({ parts: 3, directoryPart: 1, lastPartRecords: 2 })))).toBe(
      bytes('504b0506 0200 0100 0200 0300 a0000000 00010000 0000'),
    )
  })
  it('with ZIP64 records', () => {
    expect(hex(w.epilogue(totals({ entries: 0xffff, lastPartRecords: 0xffff })))).toBe(
      bytes('504b0606 2c00000000000000 1e03 2d00 00000000 00000000 ffff000000000000 ffff000000000000') +
        bytes('a000000000000000 0001000000000000') +
        bytes('504b0607 00000000 a001000000000000 01000000') +
        bytes('504b0506 0000 0000 ffff ffff a0000000 00010000 0000'),
    )
  })
  it.each([
    ['entries', 0xfffe, false],
    ['entries', 0xffff, true],
    ['entries', 0x10000, true],
    ['directoryLength', FOUR_GIB - 1, false],
    ['directoryLength', FOUR_GIB, true],
    ['directoryLength', FOUR_GIB + 1, true],
    ['directoryOffset', FOUR_GIB - 1, false],
    ['directoryOffset', FOUR_GIB, true],
    ['directoryOffset', FOUR_GIB + 1, true],
    ['parts', 0xffff, false],
    ['parts', 0x10000, true],
    ['parts', 0x10001, true],
  ] as const)('ZIP64 for %s %d: %s', (field, value, wide) => {
    const end = w.epilogue(totals({ [field]: value }))
    expect(end.length).toBe(wide ? 98 : 22)
    const record = end.subarray(-22)
    if (field === 'entries') expect(record.readUInt16LE(10)).toBe(Math.min(value, 0xffff))
    if (field === 'directoryLength') expect(record.readUInt32LE(12)).toBe(Math.min(value, FOUR_GIB))
    if (field === 'directoryOffset') expect(record.readUInt32LE(16)).toBe(Math.min(value, FOUR_GIB))
    if (field === 'parts') expect(record.readUInt16LE(4)).toBe(Math.min(value - 1, 0xffff))
  })
})

describe('parts', () => {
  it('marks a split set, and takes the mark back for a single part', () => {
    expect(hex(w.prologue(false))).toBe('')
    expect(hex(w.prologue(true))).toBe('504b0708')
    expect(w.finish(totals())).toEqual([])
    expect(w.finish(totals({ split: true, parts: 2 }))).toEqual([])
    expect(w.finish(totals({ split: true })).map(({ at, bytes: b }) => [at, hex(b)])).toEqual([[0, '504b3030']])
  })
  it('names them', () => {
    expect([0, 8, 98, 99, 100].map((i) => zip.partName('x', i, 101))).toEqual([
      'x.z01',
      'x.z09',
      'x.z99',
      'x.z100',
      'x.zip',
    ])
    expect(zip.partName('x', 0, 1)).toBe('x.zip')
  })
  it('refuses names that do not fit', () => {
    expect(w.head(entry({ name: Buffer.alloc(65_535, 'a') })).length).toBe(30 + 65_535 + 9)
    expect(() => w.head(entry({ name: Buffer.alloc(65_536, 'a') }))).toThrow(/does not fit/)
    expect(() => w.head(entry({ kind: 'dir', name: Buffer.alloc(65_535, 'a') }))).toThrow(/does not fit/)
  })
})
