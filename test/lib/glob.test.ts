import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compileGlobs, MAX_PATTERNS } from '../../src/lib/glob.ts'

function matches(pattern: string, path: string, folder = false): boolean {
  return compileGlobs([pattern], 'exclude').some((glob) =>
    glob.matches(path, path.slice(path.lastIndexOf('/') + 1), folder),
  )
}

test.each([
  ['*.log', 'a.log', true],
  ['*.log', 'x/y/a.log', true],
  ['*.log', '.log', true],
  ['*.log', 'a.logs', false],
  ['node_modules', 'a/node_modules', true],
  ['/build', 'build', true],
  ['/build', 'a/build', false],
  ['a/*.txt', 'a/b.txt', true],
  ['a/*.txt', 'a/.hidden.txt', true],
  ['a/*.txt', 'x/a/b.txt', false],
  ['a/*.txt', 'a/b/c.txt', false],
  ['a/**', 'a/b/c', true],
  ['**/cache/**', 'x/cache/y/z', true],
  ['**/*.o', '.git/x.o', true],
  ['a/**/z', 'a/new\nline/z', true],
  ['file?', 'file1', true],
  ['file?', 'file12', false],
  ['[ab]*', 'bcd', true],
  ['[!ab]*', 'bcd', false],
  ['[!ab]*', 'xcd', true],
  ['*.{jpg,png}', 'x.png', true],
  ['*.{jpg,png}', 'x.gif', false],
  ['a{b,c{d,e}}f', 'acef', true],
  ['\\*', '*', true],
  ['\\*', 'x', false],
  ['qu"ote', 'qu"ote', true],
  ['a+b', 'a+b', true],
  ['[a]+', 'aaa', false],
  ['$HOME^', '$HOME^', true],
  ['a.b', 'axb', false],
  ['\uFFFDFF*', '\uFFFDFFname', true],
])('%j on %j: %j', (pattern, path, expected) => {
  expect(matches(pattern, path)).toBe(expected)
})

test('a trailing slash means folders only', () => {
  expect(matches('build/', 'a/build', true)).toBe(true)
  expect(matches('build/', 'a/build', false)).toBe(false)
})

const BOMBS: readonly (readonly [string, string])[] = [
  ['{a,b}'.repeat(30), 'braces'],
  [`{${'a,'.repeat(300)}a}`, 'braces'],
  ['{a,{b,{c,d}}}', 'braces'],
  ['+(a|a)+(a|a)+(a|a)b', '"("'],
  ['(a+)+$', '"("'],
  ['!(!(!(a)))', '"!"'],
  ['*(a|*(a|*(a)))', '"("'],
  ['*a*a*a*a*a*a*a*a*b', 'wildcards'],
  ['**/'.repeat(20) + 'x', 'wildcards'],
  ['a**a**a**a**b', 'wildcards'],
  ['x'.repeat(4097), 'bytes'],
  ['[a', 'closed'],
  ['{a,b', 'closed'],
  ['a|b', '"|"'],
  ['{1..1000000}', 'ranges'],
  ['!keep', '"!"'],
  ['a/../b', '".."'],
  ['', 'empty'],
  ['///', 'empty'],
  ['a\0b', 'NUL'],
]

test.each(BOMBS)('%j is refused by name', (pattern, why) => {
  const refused = expect.objectContaining({ code: 'PROFILE_INVALID', message: expect.stringContaining(why) })
  expect(() => compileGlobs([pattern], 'exclude')).toThrow(refused)
})

test('patterns are counted', () => {
  expect(() => compileGlobs(Array<string>(MAX_PATTERNS + 1).fill('a'), 'include')).toThrow(/include has 1001 patterns/)
  expect(compileGlobs(Array<string>(MAX_PATTERNS).fill('a'), 'include')).toHaveLength(MAX_PATTERNS)
})

test('the worst patterns that are taken end on the worst names', () => {
  const name = 'a'.repeat(255)
  const deep = Array<string>(100).fill('a').join('/')
  for (const pattern of ['*a*a*b', '{a,aa}{a,aa}{a,aa}{a,aa}*b', '[a]*[a]*[a]b'])
    expect(matches(pattern, name)).toBe(false)
  for (const pattern of ['**/a/**/a/**/b', '**/*a*a*b', '**/[a]*/**/*b']) expect(matches(pattern, deep)).toBe(false)
})

test('whatever is written as a pattern is taken or refused, and a match ends', () => {
  const symbols = fc.constantFrom(
    '*',
    '**',
    '?',
    '[',
    ']',
    '{',
    '}',
    ',',
    '(',
    ')',
    '|',
    '!',
    '+',
    '@',
    '\\',
    '/',
    '.',
    '^',
    '$',
    '-',
    '"',
    'a',
    'b',
  )
  fc.assert(
    fc.property(fc.array(symbols, { minLength: 1, maxLength: 24 }), (parts) => {
      try {
        matches(parts.join(''), 'ab/aabbaabb/aaaaaaaabaaaaaaaaaaaaaac')
      } catch (error) {
        expect(error).toMatchObject({ code: 'PROFILE_INVALID' })
      }
    }),
    { numRuns: 3000 },
  )
})

test('a name without special characters matches itself and nothing else', () => {
  const plain = fc.stringMatching(/^[a-zA-Z0-9_.~#%&=;:'<> -]{1,20}$/).filter((text) => text !== '.' && text !== '..')
  fc.assert(
    fc.property(plain, plain, (a, b) => {
      expect(matches(a, a)).toBe(true)
      expect(matches(a, b)).toBe(a === b)
    }),
  )
})
