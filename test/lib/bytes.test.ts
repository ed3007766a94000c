import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../src/lib/bytes.ts'

describe('bytes', () => {
  it('are little-endian, in the order written', () => {
    const done = new ByteWriter().u8(1).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d).raw(Buffer.from('hi')).done()
    expect(done.toString('hex')).toBe('01' + '0302' + '07060504' + '0d0c0b0a09080000' + '6869')
  })
  it('refuse what does not fit, rather than cut it', () => {
    expect(() => new ByteWriter().u8(256)).toThrow(RangeError)
    expect(() => new ByteWriter().u16(65536)).toThrow(RangeError)
    expect(() => new ByteWriter().u32(2 ** 32)).toThrow(RangeError)
    expect(() => new ByteWriter().u32(-1)).toThrow(RangeError)
    expect(() => new ByteWriter().u64(-1)).toThrow(RangeError)
    expect(() => new ByteWriter().u64(0.5)).toThrow(RangeError)
    expect(new ByteWriter().u64(Number.MAX_SAFE_INTEGER).done().toString('hex')).toBe('ffffffffffff1f00')
  })
})
