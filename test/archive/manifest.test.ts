import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { decodeManifestLine, encodeManifestLine, type ManifestLine } from '../../src/archive/manifest.ts'
import type { DatabaseFacts } from '../../src/lib/database-facts.ts'
import { BackupError } from '../../src/lib/errors.ts'

const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'))
const digest: fc.Arbitrary<string | null> = fc.oneof(
  fc.constant(null),
  hex.map((text) => `sha256:${text}`),
)
const path = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes))
const database: fc.Arbitrary<DatabaseFacts> = fc.record({
  type: fc.constant('sqlite'),
  consistency: fc.constant('snapshot'),
  integrity: fc.string(),
  rows: fc.dictionary(fc.string(), fc.option(fc.maxSafeNat()), { noNullPrototype: false }),
  tables: fc.maxSafeNat(),
  pageSize: fc.maxSafeNat(),
  pages: fc.maxSafeNat(),
  encoding: fc.string(),
  userVersion: fc.integer(),
  applicationId: fc.integer(),
  journal: fc.constantFrom('wal', 'rollback'),
})
const entry: fc.Arbitrary<ManifestLine> = fc.record(
  {
    path,
    type: fc.constantFrom('file', 'dir', 'symlink'),
    size: fc.maxSafeNat(),
    mtimeNs: fc.bigInt(-(10n ** 20n), 10n ** 20n),
    mode: fc.nat(0xffff),
    uid: fc.nat(0xffff_ffff),
    gid: fc.nat(0xffff_ffff),
    digest,
    xattrs: fc.dictionary(
      fc.string({ minLength: 1 }),
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64')),
      { noNullPrototype: false },
    ),
    group: fc.string(),
    database,
  },
  { requiredKeys: ['path', 'type', 'size', 'mtimeNs', 'mode', 'uid', 'gid', 'digest'] },
)
const omission: fc.Arbitrary<ManifestLine> = fc.record({ path, omitted: fc.string() })

describe('a line of the manifest', () => {
  test('comes back as it went in, whatever bytes the path holds', () => {
    fc.assert(
      fc.property(fc.oneof(entry, omission), (line) => {
        const text = encodeManifestLine(line)
        expect(text).not.toContain('\n')
        const back = decodeManifestLine(text)
        // Attributes are kept in an object without prototype, so that no name means anything else.
        expect({ ...back, ...('xattrs' in back ? { xattrs: { ...back.xattrs } } : {}) }).toEqual(line)
      }),
    )
  })

  test('has the documented shape', () => {
    const line: ManifestLine = {
      path: Buffer.from([0x61, 0xff]),
      type: 'file',
      size: 3,
      mtimeNs: 1_700_000_000_123_456_789n,
      mode: 0o100644,
      uid: 1,
      gid: 2,
      digest: `sha256-1m:${'ab'.repeat(32)}`,
      xattrs: { 'user.a': 'YQ==' },
      group: '5:6',
    }
    expect(encodeManifestLine(line)).toBe(
      '{"p":"b64:Yf8=","t":"file","s":3,"m":"1700000000123456789","mode":33188,"u":1,"g":2,' +
        `"d":"sha256-1m:${'ab'.repeat(32)}","x":{"user.a":"YQ=="},"i":"5:6"}`,
    )
    expect(encodeManifestLine({ path: Buffer.from('b'), omitted: 'vanished' })).toBe('{"p":"b","o":"vanished"}')
  })

  const GOOD = '"t":"file","s":1,"m":"1","mode":1,"u":0,"g":0'
  const FACTS =
    '{"type":"sqlite","consistency":"snapshot","integrity":"ok","rows":{"t":1},"tables":1,"pageSize":4096,' +
    '"pages":1,"encoding":"UTF-8","userVersion":0,"applicationId":0,"journal":"wal"}'
  test('the facts of a database are read', () => {
    expect(decodeManifestLine(`{"p":"a",${GOOD},"b":${FACTS}}`)).toMatchObject({ database: { rows: { t: 1 } } })
  })
  test.each([
    '',
    'null',
    '[]',
    '{}',
    '{"p":""}',
    `{"p":1,${GOOD}}`,
    `{"p":"a","t":"device","s":1,"m":"1","mode":1,"u":0,"g":0}`,
    `{"p":"a","t":"file","s":-1,"m":"1","mode":1,"u":0,"g":0}`,
    `{"p":"a","t":"file","s":1.5,"m":"1","mode":1,"u":0,"g":0}`,
    `{"p":"a","t":"file","s":1e999,"m":"1","mode":1,"u":0,"g":0}`,
    `{"p":"a","t":"file","s":1,"m":1,"mode":1,"u":0,"g":0}`,
    `{"p":"a","t":"file","s":1,"m":"1.5","mode":1,"u":0,"g":0}`,
    `{"p":"a","t":"file","s":1,"m":"1","mode":65536,"u":0,"g":0}`,
    `{"p":"a",${GOOD},"d":"md5:00"}`,
    `{"p":"a",${GOOD},"d":"sha256:${'0'.repeat(63)}"}`,
    `{"p":"a",${GOOD},"x":[]}`,
    `{"p":"a",${GOOD},"x":{"":"YQ=="}}`,
    `{"p":"a",${GOOD},"x":{"a":"no base64!"}}`,
    `{"p":"a",${GOOD},"i":1}`,
    `{"p":"a",${GOOD},"b":{}}`,
    `{"p":"a",${GOOD},"b":${FACTS.replace('"snapshot"', '"none"')}}`,
    `{"p":"a",${GOOD},"b":${FACTS.replace('{"t":1}', '{"t":-1}')}}`,
    `{"p":"a",${GOOD},"b":${FACTS.replace('4096', '"4096"')}}`,
  ])('is refused otherwise: %s', (text) => {
    expect(() => decodeManifestLine(text)).toThrow(BackupError)
  })

  test('never throws anything but its own error', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        try {
          decodeManifestLine(text)
        } catch (error) {
          expect(error instanceof BackupError && error.code).toBe('ARCHIVE_DAMAGED')
        }
      }),
    )
  })
})
