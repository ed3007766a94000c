import zlib from 'node:zlib'
import type { ReaderLimits } from '../../src/archive/reader.ts'
import { buildParts, buildZip, sample, type Item } from './build.ts'
import { A, appendRecord, B, base, crafted, insert, L, recordAt, u16, u32, withEnd64, type Edit } from './craft.ts'

/** Crafted archives (S-RES-3, S-RATE-4) and the error each must meet. */

export const DAMAGED = 'ARCHIVE_DAMAGED'
export const UNSUPPORTED = 'ARCHIVE_UNSUPPORTED'
export const REFUSED = 'ENTRY_REFUSED'
export const LIMIT = 'LIMIT_EXCEEDED'

export interface Sample {
  readonly bytes: Buffer | Buffer[]
  readonly code: string
  readonly limits?: Partial<ReaderLimits>
}
const s = (edit: Edit, code: string = DAMAGED): Sample => ({ bytes: crafted(edit), code })

export const localVersusCentral: Record<string, Sample> = {
  'another name': s((b, { l }) => void b.write('b.txt', l(1) + 30)),
  'a longer local name': s((b, { l }) => u16(6)(b, l(1) + 26)),
  'another method': s((b, { l }) => u16(0)(b, l(1) + 8)),
  'another central method': s((b, { c }) => u16(8)(b, c(2) + 10)),
  'another stored size': s((b, { l }) => u32(3)(b, l(1) + 18)),
  'another plain size': s((b, { l }) => u32(3)(b, l(1) + 22)),
  'another CRC': s((b, { l }) => u32(3)(b, l(1) + 14)),
  'encrypted in the local header only': s((b, { l }) => u16(0x801)(b, l(1) + 6)),
  'descriptor in the local header only': s((b, { l }) => u16(0x808)(b, l(1) + 6)),
  'no local header': s((b, { l }) => u32(0)(b, l(1))),
  'local sizes in a ZIP64 field that is not there': s((b, { l }) => u32(0xffffffff)(b, l(1) + 18)),
  'a local extra field that swallows the data': s((b, { l }) => u16(200)(b, l(1) + 28)),
  'a wrong CRC on both sides': s((b, { l, c }) => (u32(3)(b, l(1) + 14), u32(3)(b, c(1) + 16))),
  'wrong data': s((b, { l }) => void b.write('XX', l(2) + 30 + 7 + 9 + 100)),
}

export const directory: Record<string, Sample> = {
  'one entry too few': s((b, { e }) => (u16(3)(b, e + 8), u16(3)(b, e + 10))),
  'one entry too many': s((b, { e }) => (u16(5)(b, e + 8), u16(5)(b, e + 10))),
  'a count that no directory of this length can hold': s((b, { e }) => (u16(60_000)(b, e + 8), u16(60_000)(b, e + 10))),
  'counts that differ': s((b, { e }) => u16(3)(b, e + 8)),
  'too short': s((b, { e }) => u32(b.readUInt32LE(e + 12) - 10)(b, e + 12)),
  'too long': s((b, { e }) => u32(b.readUInt32LE(e + 12) + 10)(b, e + 12)),
  'longer than the file': s((b, { e }) => u32(0xfffffff0)(b, e + 12)),
  'an offset beyond itself': s((b, { e }) => u32(b.length)(b, e + 16)),
  'a record without its signature': s((b, { c }) => u32(0)(b, c(2))),
  'a name longer than the directory': s((b, { c }) => u16(60_000)(b, c(3) + 28)),
  'a comment longer than the directory': s((b, { c }) => u16(60_000)(b, c(3) + 32)),
  'a local header beyond the data': s((b, { c }) => u32(b.length)(b, c(1) + 42)),
  'a local header at 4 GiB without ZIP64': s((b, { c }) => u32(0xffffffff)(b, c(1) + 42)),
  'data larger than the file': s((b, { c }) => (u32(1 << 30)(b, c(2) + 20), u32(1 << 30)(b, c(2) + 24))),
  'a size of 4 GiB - 1 without ZIP64': s((b, { c }) => u32(0xffffffff)(b, c(1) + 24)),
  'a stored entry with two sizes': s((b, { c }) => u32(1)(b, c(2) + 24)),
  'another disk': s((b, { c }) => u16(1)(b, c(1) + 34)),
  'duplicate names': { bytes: buildZip([A, B, A]), code: DAMAGED },
  'a file and a folder of one name': { bytes: buildZip([A, { name: 'a.txt', kind: 'dir' }]), code: DAMAGED },
  'a name and its twin through the escape': {
    bytes: buildZip([{ name: Buffer.from([0x61, 0xff]) }, { name: 'x' }, { name: 'a\uFFFDFF' }]),
    code: DAMAGED,
  },
  'a record twice': s((b, { c, e }) => appendRecord(b, e, recordAt(b, c(1)))),
}

export const overlaps: Record<string, Sample> = {
  'two names for one header': s((b, { c, e }) => {
    const record = recordAt(b, c(2))
    record.write('d/c.bin', 46)
    return appendRecord(b, e, record)
  }),
  'a header inside the data of another': s((b, { c, l }) => u32(l(2) + 100)(b, c(3) + 42)),
  'data that runs into the next header': s((b, { c, l }) => {
    for (const at of [l(2) + 18, l(2) + 22, c(2) + 20, c(2) + 24]) u32(612)(b, at)
  }),
  'data that runs into the next header by less than its own extra field': s((b, { c, l }) => {
    for (const at of [l(2) + 18, l(2) + 22, c(2) + 20, c(2) + 24]) u32(605)(b, at)
  }),
  'a kernel shared by 500 entries': { bytes: quoted(500), code: DAMAGED },
  'out of order, overlapping': s((b, { c, e }) => {
    const record = recordAt(b, c(1))
    record.write('z.txt', 46)
    return appendRecord(b, e, record)
  }),
  'local headers hidden in an extra field': { bytes: extraQuoted(), code: DAMAGED },
}

/** Fifield's kernel: every directory record points at the same data. */
function quoted(count: number): Buffer {
  return crafted((b, { c, e }) => {
    const records: Buffer[] = []
    for (let i = 0; i < count; i++) {
      const record = recordAt(b, c(1))
      record.write(`${String(i).padStart(5, '0')}`, 46)
      records.push(record)
    }
    return appendRecord(b, e, Buffer.concat(records), count)
  })
}

/** The first header claims the second one as its extra field, so that both use the same data. */
function extraQuoted(): Buffer {
  return crafted(
    (b, { l, c }) => {
      const between = l(1) - l(0) - 30 - 1
      u16(between + 30 + 1 + 9)(b, l(0) + 28)
      for (const at of [l(0) + 14, c(0) + 16]) b.copy(b, at, l(1) + 14, l(1) + 26)
    },
    [
      { name: 'x', data: Buffer.alloc(0), how: 'store' },
      { name: 'y', data: sample(500, 'noise'), how: 'store' },
    ],
  )
}

export const ends: Record<string, Sample> = {
  'empty file': { bytes: Buffer.alloc(0), code: DAMAGED },
  'no archive': { bytes: sample(100_000), code: DAMAGED },
  'only an end signature': { bytes: Buffer.from('504b0506', 'hex'), code: DAMAGED },
  'bytes behind the end record': s((b) => Buffer.concat([b, Buffer.from('x')])),
  'a comment shorter than announced': s((b, { e }) => u16(5)(b, e + 20)),
  'an end record in the comment of another': s((b, { e }) => {
    const inner = Buffer.from(b.subarray(e))
    u16(0)(inner, 8)
    u16(inner.length)(b, e + 20)
    return Buffer.concat([b, inner])
  }),
  'two archives joined': { bytes: Buffer.concat([base(), buildZip([B])]), code: DAMAGED },
  'two archives joined, offsets corrected': s((b, { c, e }) => {
    const before = buildZip([B])
    for (let i = 0; i < 4; i++) u32(b.readUInt32LE(c(i) + 42) + before.length)(b, c(i) + 42)
    u32(b.readUInt32LE(e + 16) + before.length)(b, e + 16)
    return Buffer.concat([before, b])
  }),
  'a gap before the end record': s((b, { e }) => insert(b, e, Buffer.alloc(7))),
  'the last part of two': s((b, { e }) => u16(1)(b, e + 4)),
  'a directory in a part that does not exist': s((b, { e }) => u16(7)(b, e + 6)),
  'cut in the middle': { bytes: base().subarray(0, 500), code: DAMAGED },
  'a part too many': { bytes: [Buffer.alloc(10), base()], code: DAMAGED },
  'a part missing in the middle': { bytes: [0, 2, 3].map((i) => splitSet()[i] ?? Buffer.alloc(0)), code: DAMAGED },
  'parts in the wrong order': { bytes: [1, 0, 2, 3].map((i) => splitSet()[i] ?? Buffer.alloc(0)), code: DAMAGED },
}

export function splitSet(): Buffer[] {
  const parts = buildParts([A, B, L, { name: 'more', data: sample(900, 'noise'), how: 'store' }], 600)
  if (parts.length !== 4) throw new Error(`the set has ${parts.length} parts`)
  return parts
}

export const zip64: Record<string, Sample> = {
  'a locator without its record': s((b, { e }) => withEnd64(b, e, (record) => void record.fill(0))),
  'a record elsewhere': s((b, { e }) => withEnd64(b, e, (_, locator) => locator.writeBigUInt64LE(5n, 8))),
  'a record of impossible length': s((b, { e }) => withEnd64(b, e, (record) => record.writeBigUInt64LE(1n << 60n, 4))),
  'another count': s((b, { e }) => withEnd64(b, e, (record) => record.writeBigUInt64LE(3n, 32))),
  'another offset': s((b, { e }) => withEnd64(b, e, (record) => record.writeBigUInt64LE(7n, 48))),
  'another length': s((b, { e }) => withEnd64(b, e, (record) => record.writeBigUInt64LE(7n, 40))),
  'a count of ten million': s((b, { e }) =>
    withEnd64(b, e, (record, _, narrow) => {
      record.writeBigUInt64LE(10_000_000n, 24)
      record.writeBigUInt64LE(10_000_000n, 32)
      u16(0xffff)(narrow, 8)
      u16(0xffff)(narrow, 10)
    }),
  ),
  'a count of 2^63': s((b, { e }) => withEnd64(b, e, (record) => record.writeBigUInt64LE(1n << 63n, 32))),
  'a negative offset': s((b, { e }) =>
    withEnd64(b, e, (record, _, narrow) => (record.writeBigInt64LE(-1n, 48), u32(0xffffffff)(narrow, 16))),
  ),
  'a disk that does not exist': s((b, { e }) => withEnd64(b, e, (_, locator) => locator.writeUInt32LE(3, 4))),
  'two disks': s((b, { e }) => withEnd64(b, e, (_, locator) => locator.writeUInt32LE(2, 16))),
  'a size of 1 EiB': s((b, { c, e }) => appendRecord(b, e, wideRecord(recordAt(b, c(1)), 24, 1n << 60n))),
  'a size of 1 PiB': s((b, { c, e }) => appendRecord(b, e, wideRecord(recordAt(b, c(1)), 24, 1n << 50n)), LIMIT),
  'a stored size of 1 PiB': s((b, { c, e }) => appendRecord(b, e, wideRecord(recordAt(b, c(1)), 20, 1n << 50n))),
  'an offset of 1 PiB': s((b, { c, e }) => appendRecord(b, e, wideRecord(recordAt(b, c(1)), 42, 1n << 50n))),
}

function wideRecord(record: Buffer, field: number, value: bigint): Buffer {
  const extra = Buffer.from('010008000000000000000000', 'hex')
  extra.writeBigUInt64LE(value, 4)
  record.writeUInt32LE(0xffffffff, field)
  record.write('other', 46)
  record.writeUInt16LE(record.readUInt16LE(30) + extra.length, 30)
  return Buffer.concat([record, extra])
}

export const entries: Record<string, Sample> = {
  encrypted: s((b, { l, c }) => (u16(0x801)(b, l(1) + 6), u16(0x801)(b, c(1) + 8)), UNSUPPORTED),
  'strongly encrypted': s((b, { l, c }) => (u16(0x841)(b, l(1) + 6), u16(0x841)(b, c(1) + 8)), UNSUPPORTED),
  'masked headers': s((b, { l, c }) => (u16(0x2800)(b, l(1) + 6), u16(0x2800)(b, c(1) + 8)), UNSUPPORTED),
  'patched data': s((b, { l, c }) => (u16(0x820)(b, l(1) + 6), u16(0x820)(b, c(1) + 8)), UNSUPPORTED),
  'method 93': s((b, { l, c }) => (u16(93)(b, l(1) + 8), u16(93)(b, c(1) + 10)), UNSUPPORTED),
  'method 9': s((b, { l, c }) => (u16(9)(b, l(1) + 8), u16(9)(b, c(1) + 10)), UNSUPPORTED),
  'a device': s((b, { c }) => u32((0o020644 << 16) >>> 0)(b, c(1) + 38), REFUSED),
  'a block device': s((b, { c }) => u32((0o060644 << 16) >>> 0)(b, c(1) + 38), REFUSED),
  'a socket': s((b, { c }) => u32((0o140644 << 16) >>> 0)(b, c(1) + 38), REFUSED),
  'a folder with data': s((b, { l, c }) => {
    for (const at of [l(1) + 30, c(1) + 46]) b.write('a.tx/', at)
  }, REFUSED),
  'a folder by its mode, with data': s((b, { c }) => u32((0o040755 << 16) >>> 0)(b, c(1) + 38), REFUSED),
  'a link with a target of 100 kB': {
    bytes: buildZip([{ name: 'l', kind: 'symlink', data: Buffer.alloc(100_000, 'x') }]),
    code: REFUSED,
  },
  'not UTF-8 as it claims': { bytes: buildZip([{ name: Buffer.from([0x61, 0xff]) }]), code: REFUSED },
  'an empty name': { bytes: buildZip([{ name: '' }]), code: REFUSED },
  'a slash for a name': { bytes: buildZip([{ name: '', kind: 'dir' }]), code: REFUSED },
  ...Object.fromEntries(
    [
      '../x',
      '/x',
      'a/../../x',
      '..\\x',
      'C:x',
      'a//b',
      './x',
      'x\0.txt',
      '\\\\h\\s',
      'a/.',
      `x/${'y'.repeat(300)}`,
    ].map((name) => [`the name ${JSON.stringify(name)}`.slice(0, 40), { bytes: buildZip([{ name }]), code: REFUSED }]),
  ),
}

const bomb = zlib.deflateRawSync(Buffer.alloc(40 << 20), { level: 9 })
/** An entry that claims `size` bytes over a stream that holds 40 MiB of zeros. */
function bombOf(size: number): Buffer {
  return crafted(
    (b, { l, c }) => {
      u16(8)(b, l(0) + 8)
      u16(8)(b, c(0) + 10)
      u32(size)(b, l(0) + 22)
      u32(size)(b, c(0) + 24)
    },
    [{ name: 'bomb', data: bomb, how: 'store' }],
  )
}
export const zeros = (megabytes: number): Item => ({ name: 'z', data: Buffer.alloc(megabytes << 20), how: 'blocks' })

export const limits: Record<string, Sample> = {
  'more than 1000:1 beyond 10 MiB': { bytes: bombOf(40 << 20), code: LIMIT },
  'one entry beyond 1000:1 in an archive below it': {
    bytes: crafted(
      (b, { l, c }) => {
        for (const at of [l(0) + 8, c(0) + 10]) u16(8)(b, at)
        for (const at of [l(0) + 22, c(0) + 24]) u32(40 << 20)(b, at)
      },
      [
        { name: 'bomb', data: bomb, how: 'store' },
        { ...B, data: Buffer.alloc(50_000, 'x') },
      ],
    ),
    code: LIMIT,
  },
  'a stream longer than it says': { bytes: bombOf(1000), code: DAMAGED },
  'a stream longer than it says, below the ratio': { bytes: bombOf(9 << 20), code: DAMAGED },
  'too many entries': { bytes: base(), code: LIMIT, limits: { entries: 3 } },
  'too many bytes': { bytes: base(), code: LIMIT, limits: { bytes: 900 } },
  'a stricter ratio': { bytes: buildZip([zeros(12)]), code: LIMIT, limits: { ratio: 500 } },
}
