import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { realDisk } from '../../src/lib/disk.ts'
import { createRoots, isBelow } from '../../src/settings/roots.ts'
import { failure, temporary } from './temporary.ts'

function world() {
  const folder = temporary()
  const at = (...names: string[]): string => path.join(folder, ...names)
  for (const name of ['data/sub', 'data-evil', 'outside']) fs.mkdirSync(at(name), { recursive: true })
  fs.writeFileSync(at('data/file'), 'x')
  fs.symlinkSync(at('outside'), at('data/out'))
  fs.symlinkSync(at('data/sub'), at('data/in'))
  fs.symlinkSync(at('outside/missing'), at('data/dangling'))
  fs.symlinkSync('loop', at('data/loop'))
  fs.symlinkSync(at('data'), at('alias'))
  const roots = createRoots(realDisk, () => ({
    sources: [at('data')],
    outputs: [at('alias')],
    restores: [],
    archives: ['/'],
  }))
  return { at, roots }
}

describe('roots', () => {
  test('below a root, also what does not exist yet, and through links that stay inside', () => {
    const { at, roots } = world()
    expect(roots.check('source', at('data'))).toBe(at('data'))
    expect(roots.check('source', at('data') + '/')).toBe(at('data'))
    expect(roots.check('source', at('data/sub/new/deep'))).toBe(at('data/sub/new/deep'))
    expect(roots.check('source', at('data/in'))).toBe(at('data/sub'))
    expect(roots.check('source', at('alias/sub'))).toBe(at('data/sub'))
    expect(roots.check('source', `${at('data')}/./sub//`)).toBe(at('data/sub'))
    expect(roots.check('output', at('data/sub'))).toBe(at('data/sub'))
    expect(roots.check('archive', '/etc/hosts')).toBe(fs.realpathSync('/etc/hosts'))
  })

  const outside: Record<string, (at: (...names: string[]) => string) => string> = {
    'a sibling that begins with the same letters': (at) => at('data-evil'),
    'dots that lead out': (at) => `${at('data')}/../outside`,
    'dots that stay inside': (at) => `${at('data')}/sub/../sub`,
    'dots after a link': (at) => `${at('data')}/in/../../outside`,
    'a link that leads out': (at) => at('data/out'),
    'below a link that leads out': (at) => at('data/out/new'),
    'a dangling link that leads out': (at) => at('data/dangling'),
    'below a dangling link': (at) => at('data/dangling/x'),
    'a loop of links': (at) => at('data/loop/x'),
    'below a file': (at) => at('data/file/x'),
    'the parent': (at) => at(),
    root: () => '/',
    relative: () => 'data/sub',
    empty: () => '',
    NUL: (at) => `${at('data')}/a\0b`,
    backslashes: () => '..\\..\\etc',
    'percent encoding is a name like any other': () => '/%2e%2e/etc',
    'very long': (at) => at('data', 'x'.repeat(5000)),
    '/proc/self/environ': () => '/proc/self/environ',
  }
  for (const [name, make] of Object.entries(outside)) {
    test(`refused: ${name}`, () => {
      const { at, roots } = world()
      expect(failure(() => roots.check('source', make(at))).code).toBe('PATH_OUTSIDE_ROOTS')
    })
  }

  test('no roots: nothing is allowed', () => {
    const { at, roots } = world()
    expect(failure(() => roots.check('restore', at('data'))).code).toBe('PATH_OUTSIDE_ROOTS')
  })

  test('names that begin with two dots are names', () => {
    const { at, roots } = world()
    fs.mkdirSync(at('data/..hidden'))
    expect(roots.check('source', at('data/..hidden'))).toBe(at('data/..hidden'))
    expect(isBelow('/a', '/a/..b')).toBe(true)
    expect(isBelow('/a/b', '/a')).toBe(false)
  })
})
