import zlib from 'node:zlib'
import type { ReaderLimits } from '../../src/archive/reader.ts'
import { entityBytes, extra, headerBytes, jpaBytes, wideSizes, type Spec, type Whole } from '../helpers/jpa-text.ts'
import { sample } from './build.ts'

/** Crafted JPA archives and the error each must meet: at opening, for its last entry, or when its content is read. */

const DAMAGED = 'ARCHIVE_DAMAGED'
const UNSUPPORTED = 'ARCHIVE_UNSUPPORTED'
const REFUSED = 'ENTRY_REFUSED'
const LIMIT = 'LIMIT_EXCEEDED'

export interface Sample {
  readonly bytes: Buffer | readonly Buffer[]
  readonly code: string
  readonly limits?: Partial<ReaderLimits>
}

const A: Spec = { name: 'a.txt', data: Buffer.from('the first file, '.repeat(20)), time: 1_700_000_000 }
const B: Spec = { name: 'd/b.bin', data: sample(600, 'noise') }
const packed = (data: Buffer): Pick<Spec, 'data' | 'compression'> => ({
  data: zlib.deflateRawSync(data),
  compression: 1,
})
const C: Spec = { name: 'c', ...packed(sample(500)) }
const GOOD = [A, B, C]

const whole = (changes: Whole, code = DAMAGED): Sample => ({ bytes: jpaBytes(GOOD, changes), code })
/** One odd entity among good ones. */
const odd = (spec: Spec, code: string, minor = 3): Sample => ({ bytes: jpaBytes([A, spec], { minor }), code })
const edited = (edit: (bytes: Buffer) => Buffer | void, code = DAMAGED): Sample => {
  const bytes = jpaBytes(GOOD)
  return { bytes: edit(bytes) ?? bytes, code }
}
const without = (bytes: Buffer, from: number, length: number): Buffer =>
  Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + length)])

const u16 = (value: number): Buffer => Buffer.from([value & 0xff, value >> 8])
const LENGTHS = [A, B, C].map((spec) => entityBytes(spec).length)
const HEADER = headerBytes(GOOD).length

export const header: Record<string, Sample> = {
  'nothing at all': { bytes: Buffer.alloc(0), code: DAMAGED },
  'one byte': { bytes: Buffer.from('J'), code: DAMAGED },
  'a header cut off': { bytes: jpaBytes(GOOD).subarray(0, 18), code: DAMAGED },
  'another signature': whole({ signature: 'JPB' }),
  'another major version': whole({ major: 2 }, UNSUPPORTED),
  'a length below its fields': whole({ length: 18 }),
  'a length within its extras': whole({ length: 30 }),
  'a length beyond the archive': whole({ length: 0xffff }),
  'a length into the first entity': whole({ length: HEADER + 3 }),
  'an extra longer than the header': whole({ extras: Buffer.from('4a500102ff00', 'hex') }),
  'an extra of no length': whole({ extras: Buffer.from('4a5001020000', 'hex') }),
  'totals that no number holds': edited((bytes) => void bytes.writeUInt32LE(0xffffffff, 19 + 10)),
  'no entry counted': whole({ entries: 0, plain: 0, stored: 0 }),
  'a header alone': { bytes: jpaBytes([]), code: DAMAGED },
  'one entry too few': whole({ entries: 2 }),
  'one entry too many': whole({ entries: 4 }),
  'four thousand million entries': whole({ entries: 0xffffffff }),
  'another plain total': whole({ plain: 1 }),
  'another stored total': whole({ stored: 1 }),
  'totals of zero': whole({ plain: 0, stored: 0 }),
  'another 32-bit total only': edited((bytes) => void bytes.writeUInt32LE(7, 11)),
  'another 64-bit total only': edited((bytes) => void bytes.writeUInt32LE(7, 19 + 6)),
  'parts that are not there': whole({ parts: 3 }),
  'one part said, two there': {
    bytes: [jpaBytes(GOOD, { parts: 1 }).subarray(0, 300), Buffer.alloc(9)],
    code: DAMAGED,
  },
  'more entries than the limit': { ...whole({}, LIMIT), limits: { entries: 2 } },
  'more bytes than the limit': { ...whole({}, LIMIT), limits: { bytes: 1000 } },
}

export const chain: Record<string, Sample> = {
  'bytes behind the last entity': edited((bytes) => Buffer.concat([bytes, Buffer.from('x')])),
  'an entity behind the last one counted': edited((bytes) => Buffer.concat([bytes, entityBytes(B)])),
  'a byte too few at the end': edited((bytes) => bytes.subarray(0, -1)),
  'a byte too few in the middle': edited((bytes) => without(bytes, HEADER + 100, 1)),
  'cut off between two entities': edited((bytes) => bytes.subarray(0, HEADER + (LENGTHS[0] ?? 0))),
  'cut off within a block': edited((bytes) => bytes.subarray(0, HEADER + (LENGTHS[0] ?? 0) + 20)),
  'an entity taken out': edited((bytes) => without(bytes, HEADER + (LENGTHS[0] ?? 0), LENGTHS[1] ?? 0)),
  'no signature of an entity': odd({ ...B, signature: 'JPG' }, DAMAGED),
  'a block of no length': odd({ ...B, blockLength: 0 }, DAMAGED),
  'a block shorter than any': odd({ ...B, blockLength: 20 }, DAMAGED),
  'a block shorter than its name': odd({ ...B, blockLength: 24 }, DAMAGED),
  'a block into its data': odd({ ...B, blockLength: 21 + 7 + 20 + 5 }, DAMAGED),
  'a block beyond the archive': odd({ ...B, blockLength: 0xffff }, DAMAGED),
  'a name of no length': odd({ ...B, name: '' }, DAMAGED),
  'a name longer than its block': odd({ ...B, nameLength: 0xffff }, DAMAGED),
  'a name into the fields': odd({ ...B, nameLength: 12 }, DAMAGED),
  'an extra of no length': odd({ ...B, extras: Buffer.concat([u16(0x0200), u16(0)]) }, DAMAGED),
  'an extra beyond its block': odd({ ...B, extras: extra(0x0200, Buffer.alloc(16), 60) }, DAMAGED),
  'half an extra': odd({ ...B, extras: Buffer.concat([wideSizes(600n, 600n), u16(1)]) }, DAMAGED),
  'sizes that are too short': odd({ ...B, extras: extra(0x0200, Buffer.alloc(8)) }, DAMAGED),
  'a time that is too short': odd({ ...B, extras: extra(0x0100, Buffer.alloc(2)) }, DAMAGED),
  'sizes twice': odd({ ...B, extras: Buffer.concat([wideSizes(600n, 600n), wideSizes(600n, 600n)]) }, DAMAGED),
  'two sizes that disagree': odd({ ...B, extras: wideSizes(601n, 601n) }, DAMAGED),
  'sizes swapped': odd({ ...C, extras: wideSizes(500n, BigInt(C.data?.length ?? 0)) }, DAMAGED),
  'a size that no number holds': odd({ ...B, extras: wideSizes(2n ** 63n, 600n) }, DAMAGED),
  'data of 4 GiB that is not there': odd({ ...B, stored: 2 ** 32 + 600, size: 2 ** 32 + 600 }, DAMAGED),
  'data of almost all numbers': odd({ ...B, stored: Number.MAX_SAFE_INTEGER, size: 5, compression: 1 }, DAMAGED),
  'stored with two sizes': odd({ ...B, size: 601 }, DAMAGED),
  'duplicate names': { bytes: jpaBytes([A, B, A]), code: DAMAGED },
  'a file and a folder of one name': { bytes: jpaBytes([A, { name: 'a.txt/', type: 0 }]), code: DAMAGED },
  'a link and a folder of one name': {
    bytes: jpaBytes([{ name: 'x/', type: 2, data: Buffer.from('/etc') }, { name: 'x/', type: 0 }, A]),
    code: DAMAGED,
  },
  'a name and its twin through the escape': {
    bytes: jpaBytes([{ name: Buffer.from([0x61, 0xff]) }, { name: 'a\uFFFDFF' }]),
    code: DAMAGED,
  },
  'a block in two parts': {
    bytes: [jpaBytes(GOOD, { parts: 2 }).subarray(0, 49 + 30), jpaBytes(GOOD, { parts: 2 }).subarray(49 + 30)],
    code: DAMAGED,
  },
  'its parts in the wrong order': {
    bytes: [jpaBytes(GOOD, { parts: 2 }).subarray(400), jpaBytes(GOOD, { parts: 2 }).subarray(0, 400)],
    code: DAMAGED,
  },
}

const name = (text: string | Buffer, code = REFUSED): Sample => odd({ ...B, name: text }, code)

export const names: Record<string, Sample> = {
  'going up': name('../b'),
  'going up in the middle': name('d/../../b'),
  'going up at the end': name('d/..'),
  'a folder above': odd({ name: '../', type: 0 }, REFUSED),
  'a folder that is the root': odd({ name: '/', type: 0 }, REFUSED),
  'a folder that is here': odd({ name: './', type: 0 }, REFUSED),
  absolute: name('/etc/passwd'),
  'two slashes': name('d//b'),
  'a slash at the end of a file': name('d/b/'),
  'two slashes at the end of a folder': odd({ name: 'd//', type: 0 }, REFUSED),
  'a link above': odd({ name: '../l/', type: 2, data: Buffer.from('x') }, REFUSED),
  'a drive': name('C:/b'),
  'a backslash': name('d\\b'),
  'a backslash going up': name('..\\..\\b'),
  'a NUL': name('b\0.txt'),
  'a part of 256 bytes': name('n'.repeat(256)),
  'an escaped slash': name('d\uFFFD2F..\uFFFD2Fb\\'),
}

const bomb = (mib: number): Buffer => Buffer.concat([zlib.deflateRawSync(Buffer.alloc(mib << 20), { level: 9 })])

export const entries: Record<string, Sample> = {
  bzip2: odd({ ...B, compression: 2, size: 900 }, UNSUPPORTED),
  'a compression nobody knows': odd({ ...B, compression: 9, size: 900 }, UNSUPPORTED),
  'a type nobody knows': odd({ ...B, type: 3 }, UNSUPPORTED),
  'a folder with data': odd({ ...B, name: 'e/', type: 0 }, REFUSED),
  'a device': odd({ ...B, mode: 0o060644 }, REFUSED),
  'a pipe': odd({ ...B, mode: 0o010644 }, REFUSED),
  'a socket': odd({ ...B, mode: 0o140644 }, REFUSED),
  'a compressed link': odd({ name: 'l', type: 2, ...packed(sample(90)) }, REFUSED),
  'a link that is far too long': odd({ name: 'l', type: 2, data: Buffer.alloc(70_000, 'x') }, REFUSED),
  'data that is no deflate': odd({ ...B, compression: 1, size: 900 }, DAMAGED),
  'data longer than announced': odd({ ...C, size: 499 }, DAMAGED),
  'data shorter than announced': odd({ ...C, size: 501 }, DAMAGED),
  'bytes behind the deflated data': odd(
    { ...C, data: Buffer.concat([C.data ?? Buffer.alloc(0), Buffer.from('x')]), size: 500 },
    DAMAGED,
  ),
  'deflated data cut off': odd({ ...C, data: C.data?.subarray(0, -3) ?? Buffer.alloc(0), size: 500 }, DAMAGED),
  'a deflated file without data': odd({ name: 'n', compression: 1, data: Buffer.alloc(0), size: 5 }, DAMAGED),
  'a bomb': {
    bytes: jpaBytes([{ name: 'z', data: bomb(20), compression: 1, size: 20 << 20 }]),
    code: LIMIT,
    limits: { ratio: 500 },
  },
  'a bomb in many pieces': {
    bytes: jpaBytes(
      Array.from({ length: 8 }, (_, i): Spec => ({ name: `z${i}`, data: bomb(4), compression: 1, size: 4 << 20 })),
    ),
    code: LIMIT,
    limits: { ratio: 500 },
  },
  'a bomb that says it is none': {
    bytes: jpaBytes([{ name: 'z', data: bomb(20), compression: 1, size: 1000 }]),
    code: DAMAGED,
  },
}
