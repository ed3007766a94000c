import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { ArchiveTotals, EntryHead, EntryTotals } from '../../src/archive/format.ts'
import { jpa } from '../../src/archive/jpa.ts'
import { openJpa } from '../../src/archive/jpa-reader.ts'
import { buildJpa, memorySource, readAll } from '../archive/build.ts'
import { jpaBytes, readJpaText } from '../helpers/jpa-text.ts'

/** Every record byte by byte, and every threshold at n−1, n, n+1. */

const w = jpa.writer
const FOUR_GIB = 2 ** 32

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
  crc: 0,
  stored: 8,
  part: 0,
  offset: 41,
  ...part,
})
const totals = (part: Partial<ArchiveTotals> = {}): ArchiveTotals => ({
  entries: 3,
  parts: 1,
  uncompressed: 13,
  stored: 15,
  directoryPart: 0,
  directoryOffset: 0,
  directoryLength: 0,
  lastPartRecords: 0,
  epilogueOffset: 0,
  split: false,
  ...part,
})
const hex = (bytes: Buffer): string => bytes.toString('hex')
const bytes = (...fields: string[]): string => fields.join('').replaceAll(' ', '')

/** The description's own example: a folder, a deflated file, a link. */
const VECTOR = Buffer.from(
  bytes(
    '4a504129000103030000000d0000000f0000004a50010212000d000000000000',
    '000f000000000000004a50462b000200642f00000000000000000000ed410000',
    '00021400000000000000000000000000000000004a504638000700642f612e74',
    '787401010800000006000000a48100000001080000f153650002140008000000',
    '000000000600000000000000cb48cdc9c9e702004a50462a0001006c02000700',
    '000007000000ffa100000002140007000000000000000700000000000000642f',
    '612e747874',
  ),
  'hex',
)

describe('the example of the description', () => {
  const items = [
    { name: 'd', kind: 'dir' },
    { name: 'd/a.txt', data: Buffer.from('hello\n') },
    { name: 'l', kind: 'symlink', data: Buffer.from('d/a.txt') },
  ] as const

  it('is what it is said to be', () => {
    expect(VECTOR.length).toBe(197)
    const sha256 = createHash('sha256').update(VECTOR).digest('hex')
    expect(sha256).toBe('98770dbc0228f65bc957130f58eafbbbd88c525259c43cd2b8a67988eacbb71f')
    expect(readJpaText([VECTOR]).entities.map(({ name }) => name.toString())).toEqual(['d/', 'd/a.txt', 'l'])
  })
  it('is read', async () => {
    expect(await readAll(openJpa(memorySource(VECTOR)))).toEqual([
      { path: 'd', kind: 'dir', mode: 0o40755, mtime: null, data: Buffer.alloc(0) },
      { path: 'd/a.txt', kind: 'file', mode: 0o100644, mtime: 1_700_000_000, data: Buffer.from('hello\n') },
      { path: 'l', kind: 'symlink', mode: 0o120777, mtime: null, data: Buffer.from('d/a.txt') },
    ])
  })
  it('is what we write, byte by byte', () => {
    const folder = entry({ name: Buffer.from('d'), kind: 'dir', mode: 0o40755, method: 'store', size: 0, stored: 0 })
    const link = entry({ name: Buffer.from('l'), kind: 'symlink', mode: 0o120777, method: 'store', size: 7, stored: 7 })
    const packed = Buffer.from('cb48cdc9c9e70200', 'hex')
    const all = [w.prologue(false), w.head(folder), w.head(entry()), packed, w.head(link), Buffer.from('d/a.txt')]
    const written = Buffer.concat(all)
    for (const { at, bytes: patch } of w.finish(totals())) patch.copy(written, at)
    expect(hex(written)).toBe(hex(VECTOR))
  })
  it('is written with the file stored where deflating does not pay', () => {
    const stored = [
      { name: 'd/', type: 0, mode: 0o40755 },
      { name: 'd/a.txt', data: Buffer.from('hello\n'), time: 1_700_000_000 },
      { name: 'l', type: 2, mode: 0o120777, data: Buffer.from('d/a.txt') },
    ]
    expect(hex(buildJpa(items))).toBe(hex(jpaBytes(stored)))
  })
})

describe('the header', () => {
  const wide = '4a500102 1200'
  it('is written with zeros, and has its length from the beginning', () => {
    expect(hex(w.prologue(false))).toBe(bytes('4a5041 2900 01 03', '00'.repeat(12), wide, '00'.repeat(16)))
    expect(hex(w.prologue(true))).toBe(
      bytes('4a5041 3100 01 03', '00'.repeat(12), '4a500101 0400 0000', wide, '00'.repeat(16)),
    )
  })
  it('is filled at the end, and never longer', () => {
    for (const split of [false, true]) {
      for (const { at, bytes: patch } of w.finish(totals({ split, parts: 7 }))) {
        expect(at + patch.length).toBeLessThanOrEqual(w.prologue(split).length)
      }
    }
  })
  it('of a split archive counts its parts, up to what the field holds', () => {
    const said = (parts: number): number => w.finish(totals({ split: true, parts }))[0]?.bytes.readUInt16LE(25) ?? -1
    expect([1, 2, 65_534, 65_535, 65_536, 100_000].map(said)).toEqual([1, 2, 65_534, 65_535, 65_535, 65_535])
  })
  it('keeps the lower half of totals beyond 4 GiB, and the whole beside it', () => {
    for (const [size, low] of [
      [FOUR_GIB - 1, 'ffffffff'],
      [FOUR_GIB, '00000000'],
      [FOUR_GIB + 5, '05000000'],
    ] as const) {
      const [{ bytes: patch } = { bytes: Buffer.alloc(0) }] = w.finish(totals({ uncompressed: size, stored: size + 1 }))
      expect(hex(patch.subarray(11, 15))).toBe(low)
      expect(Number(patch.readBigUInt64LE(25))).toBe(size)
      expect(Number(patch.readBigUInt64LE(33))).toBe(size + 1)
    }
  })
  it('cannot count more entries than 32 bits', () => {
    expect(() => w.finish(totals({ entries: FOUR_GIB - 1 }))).not.toThrow()
    expect(() => w.finish(totals({ entries: FOUR_GIB }))).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
  })
})

describe('a description block', () => {
  const sizes = '0002 1400'
  it('of a file beyond 4 GiB holds the lower half of its sizes, and the whole beside it', () => {
    const block = w.head(entry({ size: FOUR_GIB + 1, stored: FOUR_GIB + 1, method: 'store' }))
    expect(hex(block)).toBe(
      bytes('4a5046 3800 0700', hex(head().name), '01 00 01000000 01000000 a4810000', '0001 0800 00f15365') +
        bytes(sizes, '0100000001000000 0100000001000000'),
    )
  })
  it('with holes becomes the final one by its patches: the stored size in both places', () => {
    for (const stored of [0, 1, 77, FOUR_GIB - 1, FOUR_GIB, FOUR_GIB + 9]) {
      for (const method of ['store', 'deflate'] as const) {
        const e = entry({ size: method === 'store' ? stored : 500, stored, method })
        const open = w.openHead(e)
        for (const { at, bytes: patch } of w.patches(e)) patch.copy(open, at)
        expect(hex(open)).toBe(hex(w.head(e)))
        expect(w.patches(e).map(({ bytes: patch }) => patch.length)).toEqual(method === 'store' ? [] : [4, 8])
      }
    }
  })
  it.each([
    ['a time of 0', 0, false],
    ['less than a second', 0.9, false],
    ['before 1970', -5, false],
    ['the first second', 1, true],
    ['the last second of 2106', FOUR_GIB - 1, true],
    ['beyond', FOUR_GIB, false],
  ])('holds a time where 32 bits do: %s', (_, mtime, held) => {
    expect(w.head(entry({ mtime })).length).toBe(held ? 56 : 48)
  })
  it('of folders and links holds none', () => {
    for (const kind of ['dir', 'symlink'] as const) {
      const block = w.head(entry({ kind, name: Buffer.from('x'), method: 'store', size: 0, stored: 0 }))
      expect(block.length).toBe(21 + (kind === 'dir' ? 2 : 1) + 20)
    }
  })
  it('gives a mode without type the bits of its kind', () => {
    const mode = (kind: EntryHead['kind']): number =>
      w.head(entry({ kind, name: Buffer.from('x'), mode: 0o600 })).readUInt32LE(kind === 'dir' ? 19 : 18)
    expect([mode('file'), mode('dir'), mode('symlink')]).toEqual([0o100600, 0o40600, 0o120600])
  })
  it('is never longer than its length says, and names that would be are refused', () => {
    const named = (length: number): Buffer => w.head(entry({ name: Buffer.alloc(length, 'n') }))
    expect(w.maxName).toBe(65_486)
    expect(named(w.maxName).length).toBe(65_535)
    expect(named(w.maxName).readUInt16LE(3)).toBe(65_535)
    expect(() => named(w.maxName + 1)).toThrow(expect.objectContaining({ code: 'NAME_TOO_LONG' }))
  })
})

describe('names of parts', () => {
  it('count from .j01, and the last one is .jpa', () => {
    expect([0, 1, 98, 99, 100].map((index) => jpa.partName('x', index, 102))).toEqual([
      'x.j01',
      'x.j02',
      'x.j99',
      'x.j100',
      'x.j101',
    ])
    expect(jpa.partName('x', 101, 102)).toBe('x.jpa')
    expect(jpa.partName('x', 0, 1)).toBe('x.jpa')
  })
})
