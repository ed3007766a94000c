import zlib from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { findManifest } from '../../src/archive/find-manifest.ts'
import { MANIFEST_NAME, SEAL_NAME } from '../../src/archive/manifest.ts'
import { EntryText } from '../../src/contents/text.ts'
import { Random } from '../../bench/random.ts'
import { jpa } from '../../src/archive/jpa.ts'
import { zip } from '../../src/archive/zip.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { buildParts, memorySource, type Item } from '../archive/build.ts'

/** Where the manifest of an archive lies, and any piece of it, without going through the rest. */

const MIB = 1 << 20
const FORMATS = { zip, jpa }

/** Lines whose bytes are half noise, so that blocks end anywhere. */
function manifest(size: number): Buffer {
  const bytes = Buffer.alloc(size, 'some text that compresses well ')
  const random = new Random(`manifest ${size}`)
  for (let at = 0; at + 64 < size; at += 4096) random.fill(bytes.subarray(at, at + 64))
  return bytes
}

const decoys: Item[] = [
  { name: 'a.txt', data: Buffer.from('a') },
  { name: `${MANIFEST_NAME}.old`, data: Buffer.from(`JPF${MANIFEST_NAME}`) },
  { name: `x/${MANIFEST_NAME}`, data: Buffer.from('not this one') },
]

describe.each(['zip', 'jpa'] as const)('%s', (format) => {
  test.each([0, 1, 1000, MIB, MIB + 1, 5 * MIB + 77])('a manifest of %i bytes: every piece of it', (size) => {
    for (const how of ['store', size > MIB ? 'blocks' : 'whole'] as const) {
      for (const partSize of [0, 200_000]) {
        const data = manifest(size)
        const seal = format === 'jpa' ? [{ name: SEAL_NAME, data: Buffer.from(`{"p":"${MANIFEST_NAME}"}`) }] : []
        const source = memorySource(
          ...buildParts([...decoys, { name: MANIFEST_NAME, data, how }, ...seal], partSize, FORMATS[format]),
        )
        const located = findManifest(source)
        if (located === null) throw new Error('not found')
        expect(located.entry.size).toBe(size)
        using text = new EntryText(located)
        const random = new Random('places')
        for (let n = 0; n < 50; n++) {
          const at = random.below(size + 1)
          const length = random.below(3 * MIB)
          expect(text.read(at, length).equals(data.subarray(at, at + length))).toBe(true)
        }
      }
    }
  })

  test('not in its place: none', () => {
    const data = manifest(100)
    for (const items of [decoys, [{ name: MANIFEST_NAME, data }, ...decoys], [...decoys, { name: SEAL_NAME, data }]])
      expect(findManifest(memorySource(...buildParts(items, 0, FORMATS[format])))).toBeNull()
  })
})

test('what looks like the end of a block inside one is not taken for it', () => {
  const data = manifest(3 * MIB)
  new Random('noise').fill(data.subarray(1000, MIB))
  Buffer.from('0000ffff', 'hex').copy(data, 500_000)
  const flush = { finishFlush: zlib.constants.Z_SYNC_FLUSH }
  const pack = (from: number, to: number, level: number): Buffer =>
    zlib.deflateRawSync(data.subarray(from, to), { ...flush, level })
  // Bytes that are stored within deflate stand there as they are: the mark of an end among them.
  const blocks = [pack(0, 1000, 6), pack(1000, MIB, 0), pack(MIB, 2 * MIB, 6), pack(2 * MIB, 3 * MIB, 6)]
  const stream = Buffer.concat([...blocks, Buffer.from('0300', 'hex')])
  expect(zlib.inflateRawSync(stream).equals(data)).toBe(true)
  const whole = openZip(memorySource(...buildParts([{ name: 'a', data: Buffer.from('a') }])))
  for (const plain of whole.entries()) {
    const entry = { ...plain, size: data.length, stored: stream.length, method: 'deflate' } as const
    using text = new EntryText({ source: memorySource(stream), entry, start: 0 })
    expect(text.read(2 * MIB, 1000).equals(data.subarray(2 * MIB, 2 * MIB + 1000))).toBe(true)
    expect(text.read(0, 3 * MIB).equals(data)).toBe(true)
  }
})
