import { describe, expect, it } from 'vitest'
import { checkEntry, checkEntryPath } from '../../src/archive/safe-path.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { escapeName } from '../../src/lib/entry-path.ts'
import { buildZip, memorySource } from './build.ts'

const refused = { code: 'ENTRY_REFUSED' }
const thrown = (work: () => unknown): unknown => {
  try {
    work()
  } catch (error) {
    return error
  }
  return null
}

describe('S-RES-1: paths', () => {
  it.each([
    '',
    '/',
    '/x',
    '//x',
    '//server/share/x',
    '..',
    '../x',
    'a/../x',
    'a/../../x',
    'a/..',
    '.',
    './x',
    'a/./b',
    'a//b',
    'a/',
    'a/b//',
    'C:',
    'C:x',
    'c:/x',
    'x\0.txt',
    '\0',
    `a/${'b'.repeat(256)}`,
    'é'.repeat(128),
  ])('%j is refused', (path) => {
    expect(thrown(() => checkEntryPath(Buffer.from(path), 'linux'))).toMatchObject(refused)
    expect(thrown(() => checkEntryPath(Buffer.from(path), 'win32'))).toMatchObject(refused)
  })

  it.each([
    '..\\x',
    'a\\b',
    'nul',
    'NUL.txt',
    'd/Aux',
    'com1',
    'lpt9.x',
    'COM¹',
    'a.',
    'a ',
    'd /x',
    'ab:c',
    'a?',
    'a*',
    'a|b',
    '<x>',
    'x\u0001',
  ])('%j is refused on Windows only', (path) => {
    expect(thrown(() => checkEntryPath(Buffer.from(path), 'win32'))).toMatchObject(refused)
    expect(Buffer.concat(checkEntryPath(Buffer.from(path), 'linux')).length).toBeGreaterThan(0)
  })

  it('gives the segments of a good one, whatever its bytes', () => {
    const path = Buffer.from('61 2f 2e2e2e 2f ff fe 2f 2e 68'.replaceAll(' ', ''), 'hex')
    expect(checkEntryPath(path, 'linux').map((s) => s.toString('hex'))).toEqual(['61', '2e2e2e', 'fffe', '2e68'])
    expect(checkEntryPath(Buffer.alloc(255, 'a'), 'linux')).toHaveLength(1)
  })
})

describe('through the reader', () => {
  const open = (name: string | Buffer) => {
    for (const entry of openZip(memorySource(buildZip([{ name }]))).entries()) return entry
    throw new Error('no entry')
  }

  it('our own escape of a backslash is a name on POSIX; a raw one in stored text is not', () => {
    const own = open(escapeName(Buffer.from('a\\b')))
    expect(own.path.toString()).toBe('a\\b')
    expect(checkEntry(own, 'linux').map(String)).toEqual(['a\\b'])
    expect(thrown(() => checkEntry(own, 'win32'))).toMatchObject(refused)
    for (const raw of ['a\\b', '..\\x', '\\\\server\\share', 'C:\\x', 'ü\\b']) {
      expect(thrown(() => checkEntry(open(raw), 'linux'))).toMatchObject(refused)
    }
  })

  it.each([
    ['a slash', '\uFFFD2Fetc'],
    ['dots', '\uFFFD2E\uFFFD2E/x'],
    ['a NUL', 'x\uFFFD00'],
    ['plain letters', '\uFFFD41'],
  ])('an escape that ours never writes is taken as it stands: %s', (_what, name) => {
    expect(open(name).path.toString('utf8')).toBe(name)
  })

  it('overlong UTF-8 of ../ is no UTF-8', () => {
    expect(thrown(() => checkEntry(open(Buffer.from('c0aec0ae2f78', 'hex')), 'linux'))).toMatchObject(refused)
  })

  it('a name of 65,535 bytes is refused, not cut', () => {
    expect(thrown(() => checkEntry(open('a'.repeat(65_535)), 'linux'))).toMatchObject(refused)
  })
})
