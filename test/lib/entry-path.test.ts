import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { displayName, escapeName, nameFromJson, nameToJson, unescapeName } from '../../src/lib/entry-path.ts'

const NASTY = 'a é € 😀 \\ / \uFFFD \uFFFD41 \uFFFD5C b64: \n \u202e \u2028 \ufeff'.split(' ')
const BROKEN = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x9f], [0xf5, 0x80], [0xe2, 0x82], [0x80]]

/** Any bytes, and such as are nearly UTF-8, nearly escaped, or nasty to show. */
const names = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => Buffer.from(text)),
  fc
    .array(fc.constantFrom(...[...NASTY, ...BROKEN].map((piece) => Buffer.from(piece as string))), { maxLength: 12 })
    .map((pieces) => Buffer.concat(pieces)),
)

describe('escaping names', () => {
  it('leaves ordinary names as they are', () => {
    for (const name of ['', 'plain', 'Grüße €5 😀', 'a/b c', '.hidden', '\ufeffbom']) {
      expect(escapeName(Buffer.from(name))).toBe(name)
    }
  })
  it('escapes what is not UTF-8, backslashes, and the mark itself, byte by byte', () => {
    expect(escapeName(Buffer.from([0x61, 0xff, 0x62]))).toBe('a\uFFFDFFb')
    expect(escapeName(Buffer.from('a\\b'))).toBe('a\uFFFD5Cb')
    expect(escapeName(Buffer.from('é€😀\\'))).toBe('é€😀\uFFFD5C')
    expect(escapeName(Buffer.from('\uFFFD'))).toBe('\uFFFDEF\uFFFDBF\uFFFDBD')
    expect(escapeName(Buffer.from([0xed, 0xa0, 0x80]))).toBe('\uFFFDED\uFFFDA0\uFFFD80') // a surrogate
    expect(escapeName(Buffer.from([0xc0, 0xaf]))).toBe('\uFFFDC0\uFFFDAF') // an overlong slash
    expect(escapeName(Buffer.from([0xf0, 0x9f, 0x98]))).toBe('\uFFFDF0\uFFFD9F\uFFFD98') // cut short
  })
  it('gives back every name, whatever its bytes', () => {
    fc.assert(fc.property(names, (name) => void expect(unescapeName(escapeName(name))).toEqual(name)))
  })
  it('gives different names different texts, all of them valid UTF-8 without a backslash', () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        const text = escapeName(a)
        expect(text === escapeName(b)).toBe(a.equals(b))
        expect(text.isWellFormed()).toBe(true)
        expect(text).not.toContain('\\')
      }),
    )
  })
  it('never makes a separator or a NUL out of something else', () => {
    const count = (text: string): number => text.split(/[/\0]/).length
    fc.assert(fc.property(names, (name) => void expect(count(escapeName(name))).toBe(count(name.toString('latin1')))))
  })
  it('takes text as it is that it would not have written itself', () => {
    for (const text of [
      '\uFFFD',
      '\uFFFD4',
      '\uFFFDzz',
      '\uFFFDff',
      '\uFFFD41',
      '\uFFFD2E\uFFFD2E\uFFFD2Fetc',
      '\uFFFDFF\\',
    ]) {
      expect(unescapeName(text)).toEqual(Buffer.from(text))
    }
  })
})

describe('names in JSON', () => {
  it('keeps every name, and readable ones readable', () => {
    expect(nameToJson(Buffer.from('grüße'))).toBe('grüße')
    expect(nameToJson(Buffer.from('b64:x'))).toMatch(/^b64:/)
    expect(nameToJson(Buffer.from('a\nb'))).toMatch(/^b64:/)
    fc.assert(
      fc.property(names, (name) => {
        const sent = JSON.parse(JSON.stringify(nameToJson(name))) as string
        expect(nameFromJson(sent)).toEqual(name)
      }),
    )
  })
})

describe('names for people', () => {
  it('shows what cannot be seen or turns text around', () => {
    expect(displayName(Buffer.from('a\nb\tc\x1b[31m'))).toBe('a\\u000ab\\u0009c\\u001b[31m')
    expect(displayName(Buffer.from('x\u202egpj.exe'))).toBe('x\\u202egpj.exe')
    expect(displayName(Buffer.from('x\u061cy\ufeffz'))).toBe('x\\u061cy\\ufeffz')
    expect(displayName(Buffer.from([0x9b, 0x41]))).toBe('\uFFFD9BA')
  })
  it('is one line of bounded length without control characters, whatever the name', () => {
    fc.assert(
      fc.property(names, fc.integer({ min: 2, max: 60 }), (name, max) => {
        const shown = displayName(name, max)
        expect(shown.length).toBeLessThanOrEqual(max)
        expect(shown).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u)
        expect(shown.isWellFormed()).toBe(true)
      }),
    )
  })
  it('keeps the end of a long path, where the name is', () => {
    expect(displayName(Buffer.from('/a/long/path/to/file.txt'), 10)).toBe('…/file.txt')
    expect(displayName(Buffer.from('exactly-10'), 10)).toBe('exactly-10')
  })
})
