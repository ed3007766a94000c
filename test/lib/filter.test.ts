import { expect, test } from 'vitest'
import { compileFilter, type FilterRules } from '../../src/lib/filter.ts'

const OLD = { size: 10, mtimeNs: 1_000_000_000n }

function file(rules: FilterRules, path: string | Buffer, stat = OLD): boolean {
  return compileFilter(rules).file(Buffer.from(path), stat, false)
}
const folder = (rules: FilterRules, path: string): string => compileFilter(rules).folder(Buffer.from(path))

test('without rules everything is taken', () => {
  expect(file({}, 'a')).toBe(true)
  expect(folder({}, 'a')).toBe('walk')
  expect(compileFilter({}).includes(Buffer.from('a'))).toBe(true)
})

test('include selects files, and whole folders', () => {
  expect(file({ include: ['*.txt'] }, 'a/b.txt')).toBe(true)
  expect(file({ include: ['*.txt'] }, 'a/b.log')).toBe(false)
  expect(folder({ include: ['*.txt'] }, 'a')).toBe('walk')
  const filter = compileFilter({ include: ['docs'] })
  expect(filter.includes(Buffer.from('x/docs'))).toBe(true)
  expect(filter.includes(Buffer.from('x'))).toBe(false)
  expect(filter.file(Buffer.from('x/docs/any'), OLD, true)).toBe(true)
})

test('exclude goes before include', () => {
  expect(file({ include: ['*.txt'], exclude: ['b.*'] }, 'a/b.txt')).toBe(false)
  expect(folder({ exclude: ['a'] }, 'x/a')).toBe('skip')
  expect(compileFilter({ exclude: ['b.*'] }).file(Buffer.from('b.txt'), OLD, true)).toBe(false)
})

test('paths are exact, however they are written', () => {
  expect(folder({ excludeFolders: ['a/b'] }, 'a/b')).toBe('skip')
  expect(folder({ excludeFolders: ['/a//b/'] }, 'a/b')).toBe('skip')
  expect(folder({ excludeFolders: ['a/b'] }, 'x/a/b')).toBe('walk')
  expect(folder({ excludeFolders: ['a*'] }, 'ab')).toBe('walk')
  expect(folder({ excludeContent: ['a'] }, 'a')).toBe('empty')
  expect(file({ excludeFiles: ['a/b'] }, 'a/b')).toBe(false)
  expect(folder({ excludeFiles: ['a/b'] }, 'a/b')).toBe('walk')
})

test('names that are not UTF-8 are named by their escaped text', () => {
  const name = Buffer.from([0x61, 0xff])
  expect(file({ excludeFiles: ['a\uFFFDFF'] }, name)).toBe(false)
  expect(file({ exclude: ['a\uFFFDFF'] }, name)).toBe(false)
  expect(file({ excludeFiles: ['a\\b'] }, 'a\\b')).toBe(false)
})

test('extensions in any case, of any length, not of names that begin with a dot', () => {
  expect(file({ excludeExtensions: ['LOG'] }, 'a/b.log')).toBe(false)
  expect(file({ excludeExtensions: ['.log'] }, 'b.LOG')).toBe(false)
  expect(file({ excludeExtensions: ['tar.gz'] }, 'b.tar.gz')).toBe(false)
  expect(file({ excludeExtensions: ['log'] }, '.log')).toBe(true)
  expect(file({ excludeExtensions: ['log'] }, 'blog')).toBe(true)
})

test('size and age are of files', () => {
  expect(file({ maxSize: 10 }, 'a')).toBe(true)
  expect(file({ maxSize: 9 }, 'a')).toBe(false)
  expect(compileFilter({ maxSize: 9 }).file(Buffer.from('link'), null, false)).toBe(true)
  expect(file({ olderThan: 1000 }, 'a')).toBe(true)
  expect(file({ olderThan: 1001 }, 'a')).toBe(false)
  expect(file({ newerThan: 1000 }, 'a')).toBe(true)
  expect(file({ newerThan: 1001 }, 'a')).toBe(false)
  expect(file({ newerThan: 1000, olderThan: 1001 }, 'a')).toBe(false)
})

test.each([
  [{ excludeFolders: ['..'] }],
  [{ excludeFiles: ['a/../../b'] }],
  [{ excludeContent: ['/'] }],
  [{ excludeExtensions: [''] }],
  [{ excludeExtensions: ['a/b'] }],
  [{ exclude: ['(a+)+'] }],
] as FilterRules[][])('%j is refused', (rules) => {
  expect(() => compileFilter(rules ?? {})).toThrow(expect.objectContaining({ code: 'PROFILE_INVALID' }))
})
