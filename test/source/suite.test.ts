import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { DirectorySource } from '../../src/engine/spec.ts'
import { openDirectory } from '../../src/source/directory.ts'
import type { Source } from '../../src/source/source.ts'
import { envFor } from '../helpers/source-env.ts'
import { makeTree, temporaryFolder, type Tree } from '../helpers/tree.ts'
import { SOURCE_SUITE } from '../suites/source.ts'
import { fakeTools } from '../helpers/fake-getfattr.ts'

const TREE: Tree = {
  'a.txt': 'first',
  'a-b': { inner: 'x', deep: { deeper: { deepest: 'y'.repeat(5000) } } },
  a: { z: '1', '0': '2' },
  empty: {},
  '-rf': 'dash',
  'new\nline': 'n',
  '\uFFFDFF\uFFFDFE': { 'inner\uFFFD80': 'bytes' },
  'back\uFFFD5Cslash': 'b',
  'qu"ote': 'q',
  '..b': { '...': 'dots' },
  pipe: { type: 'fifo' },
  link: { type: 'link', to: '../nowhere' },
  tolink: { type: 'link', to: 'a' },
  hole: { type: 'sparse', size: 1 << 20, data: { 8192: 'data' } },
  hard: { type: 'hard', of: 'a.txt' },
  'db.sqlite': Buffer.from('SQLite format 3\0 and more'),
  'db.sqlite-wal': 'pages',
}

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())
const root = path.join(folder.path, 'tree')

beforeAll(() => {
  makeTree(root, TREE)
  fs.mkdirSync(path.join(folder.path, 'bin'))
})

type Rules = Partial<DirectorySource>
const FLAVOURS: readonly (readonly [string, Rules])[] = [
  ['as it is', { xattrs: false }],
  ['with attributes', {}],
  ['following links', { symlinks: 'follow', xattrs: false }],
  ['with rules', { exclude: ['z', '*.txt'], excludeContent: ['a-b/deep'], include: ['**/*'], xattrs: false }],
]

for (const [name, rules] of FLAVOURS) {
  describe(`a folder ${name}`, () => {
    const make = (): Source =>
      openDirectory(
        { type: 'directory', path: root, label: 'src', ...rules },
        { ...envFor(), tools: fakeTools(folder.path) },
      )
    test.each(SOURCE_SUITE)('%s', async (_, holds) => holds(make))
  })
}

describe('a folder without the programs for attributes', () => {
  const make = (): Source =>
    openDirectory({ type: 'directory', path: root, label: 'src' }, { ...envFor(), tools: null })
  test.each(SOURCE_SUITE)('%s', async (_, holds) => holds(make))
})

describe('a single file with the programs for attributes', () => {
  const make = (): Source =>
    openDirectory(
      { type: 'directory', path: path.join(root, 'a.txt'), label: 'one' },
      { ...envFor(), tools: fakeTools(folder.path) },
    )
  test.each(SOURCE_SUITE)('%s', async (_, holds) => holds(make))
})

describe('a single file', () => {
  const make = (): Source =>
    openDirectory({ type: 'directory', path: path.join(root, 'a.txt'), label: 'one', xattrs: false }, envFor())
  test.each(SOURCE_SUITE)('%s', async (_, holds) => holds(make))
})
