import { describe, expect, it } from 'vitest'
import { BUFFER, Gathered } from '../../src/lib/gathered.ts'

const piece = Buffer.alloc(BUFFER - 10, 7)

describe('gathered bytes', () => {
  it('lie in other memory while the first is lent, and in the same again', () => {
    const gathered = new Gathered()
    gathered.add(piece)
    const first = gathered.lend()
    gathered.add(piece.subarray(0, 100))
    expect(gathered.bytes.buffer).not.toBe(first.bytes.buffer)
    expect(first.bytes.equals(piece)).toBe(true)
    gathered.clear()
    gathered.add(piece)
    const second = gathered.lend()
    first.back()
    gathered.add(Buffer.from('x'))
    expect(gathered.bytes.buffer).toBe(first.bytes.buffer)
    second.back()
    gathered.close()
  })

  it('may be closed while they are lent: the memory goes when it comes back', () => {
    const gathered = new Gathered()
    gathered.add(piece)
    const { bytes, back } = gathered.lend()
    gathered.close()
    expect(bytes.equals(piece)).toBe(true)
    back()
    expect(bytes.length).toBe(0)
  })
})
