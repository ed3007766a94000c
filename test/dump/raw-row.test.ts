import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RawRow } from '../../src/dump/mysql/raw-row.ts'
import { BackupError } from '../../src/lib/errors.ts'

function packed(values: readonly (Buffer | null)[]): Buffer {
  const pieces = values.map((value) => {
    if (value === null) return Buffer.from([0xfb])
    const { length } = value
    const head = Buffer.alloc(length < 251 ? 1 : length < 1 << 16 ? 3 : length < 1 << 24 ? 4 : 9)
    head[0] = [0, length, 0, 0xfc, 0xfd, 0, 0, 0, 0, 0xfe][head.length] ?? 0
    if (head.length > 1) head.writeUIntLE(length, 1, Math.min(6, head.length - 1))
    return Buffer.concat([head, value])
  })
  return Buffer.concat(pieces)
}

const rowOf = (bytes: Buffer): RawRow => {
  const among = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('behind')])
  return new RawRow(among, 6, 6 + bytes.length)
}

test('values of every length come back as they were sent', () => {
  const lengths = [0, 1, 250, 251, 252, 65_535, 65_536, (1 << 24) - 1, 1 << 24]
  const values = [null, ...lengths.map((length) => Buffer.alloc(length, 0xfe)), null, Buffer.from('end')]
  expect(rowOf(packed(values)).values()).toEqual(values)
  expect(rowOf(Buffer.alloc(0)).values()).toEqual([])
})

test('whatever a hostile server sends is a row, or an error of the database, and nothing beyond it is read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const row = rowOf(Buffer.from(bytes))
      try {
        for (const value of row.values()) expect(value?.toString('latin1') ?? '').not.toContain('behind')
      } catch (error) {
        expect(error instanceof BackupError && error.code).toBe('DATABASE_FAILED')
      }
    }),
    { numRuns: 2000 },
  )
})
