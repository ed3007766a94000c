import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeMark, encodeMark, fitsMark, type Phase } from '../../src/source/mark.ts'

const name = fc
  .uint8Array({ minLength: 1, maxLength: 255 })
  .map((bytes) => Buffer.from(bytes.map((b) => (b === 0x2f || b === 0 ? 1 : b))))
const phase = fc.constantFrom<Phase>('before', 'told', 'inside', 'listed', 'done')
const join = (names: readonly Buffer[]): Buffer =>
  Buffer.from(names.map((n) => n.toString('latin1')).join('/'), 'latin1')

test('any path comes back byte for byte, from a mark that fits into a record', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 70 }), phase, (names, which) => {
      const path = join(names)
      fc.pre(fitsMark(path) || (names.length > 1 && fitsMark(join(names.slice(0, -1)))))
      const mark = encodeMark(which, path)
      expect(Buffer.byteLength(JSON.stringify(mark))).toBeLessThanOrEqual(6000)
      expect(decodeMark(mark)).toEqual({ phase: which, path })
    }),
  )
})

test.each(['a', 'with space', 'é', '', 'b"q', 'back\\slash', 'tab\t', '\ufeffbom', 's x', 'u', '\u2028'])(
  '%j comes back',
  (text) => {
    const path = Buffer.from(text)
    expect(decodeMark(encodeMark('done', path))).toEqual({ phase: 'done', path })
  },
)

test('every path that a program can name fits; a long one fits if it repeats itself', () => {
  expect(fitsMark(Buffer.alloc(4096, 0xff))).toBe(true)
  expect(fitsMark(Buffer.from('d/'.repeat(8000) + 'd'))).toBe(true)
  expect(fitsMark(Buffer.from('d/'.repeat(8193)))).toBe(false)
})

test.each(['', 'x', '?ua', '=', '=qa', '=z!!!!', '=s'])('%j is no mark', (text) => {
  expect(() => decodeMark(text)).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }))
})
