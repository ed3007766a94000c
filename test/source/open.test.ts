import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DirectorySource } from '../../src/engine/spec.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { openDirectory } from '../../src/source/directory.ts'
import type { Entry } from '../../src/source/source.ts'
import { envFor } from '../helpers/source-env.ts'
import { makeTree, temporaryFolder, type Tree } from '../helpers/tree.ts'
import { collect } from '../suites/source.ts'

let folder: ReturnType<typeof temporaryFolder>
let root: string
beforeEach(() => {
  folder = temporaryFolder()
  root = path.join(folder.path, 'src')
})
afterEach(() => folder[Symbol.dispose]())

function open(tree: Tree | null, rules: Partial<DirectorySource> = {}, disk: Disk = realDisk) {
  if (tree !== null) makeTree(root, tree)
  return openDirectory({ type: 'directory', path: root, label: 'src', xattrs: false, ...rules }, envFor(disk))
}

async function entry(source: ReturnType<typeof open>, name: string): Promise<Entry> {
  const found = (await collect(source)).find((item) => item.path.toString() === name)
  if (found?.type !== 'entry') throw new Error(`${name} is not there`)
  return found
}

test.each([
  ['a link', (at: string) => fs.symlinkSync('/etc/hostname', at)],
  ['a pipe', (at: string) => void execFileSync('mkfifo', [at])],
  ['a folder', (at: string) => fs.mkdirSync(at)],
])('a file replaced by %s before it is opened is refused', async (_, replace) => {
  const found = await entry(open({ a: 'mine' }), 'src/a')
  fs.rmSync(path.join(root, 'a'))
  replace(path.join(root, 'a'))
  expect(() => found.open()).toThrow(expect.objectContaining({ code: 'SOURCE_CHANGED' }))
})

test('a file that is gone when it is opened gives the error of the system', async () => {
  const found = await entry(open({ a: 'mine' }), 'src/a')
  fs.rmSync(path.join(root, 'a'))
  expect(() => found.open()).toThrow(expect.objectContaining({ code: 'ENOENT' }))
})

const CHANGES: readonly (readonly [string, (at: string) => void])[] = [
  ['grows', (at) => fs.appendFileSync(at, 'more')],
  ['shrinks', (at) => fs.truncateSync(at, 1)],
  [
    'is rewritten in place with its time set back',
    (at) => {
      const { atime, mtime } = fs.statSync(at)
      fs.writeFileSync(at, 'MINE')
      fs.utimesSync(at, atime, mtime)
    },
  ],
]

test.each(CHANGES)('a file that %s while it is read is found out', async (_, change) => {
  const at = path.join(root, 'a')
  makeTree(root, { a: { type: 'file', data: 'mine', mtime: 1_000_000 } })
  const opened = (await entry(open(null), 'src/a')).open()
  change(at)
  expect(() => opened.prove()).toThrow(expect.objectContaining({ code: 'SOURCE_CHANGED' }))
  opened.close()
})

test.each(CHANGES)('a file that %s between two steps is not continued', async (_, change) => {
  makeTree(root, { a: { type: 'file', data: 'mine', mtime: 1_000_000 } })
  const found = await entry(open(null), 'src/a')
  const first = found.open()
  first.close()
  found.open(first.identity).close()
  change(path.join(root, 'a'))
  expect(() => found.open(first.identity)).toThrow(expect.objectContaining({ code: 'SOURCE_CHANGED' }))
})

test.each([
  ['replaced', (at: string) => (fs.writeFileSync(at + '.new', 'new'), fs.renameSync(at + '.new', at))],
  ['removed', (at: string) => fs.rmSync(at)],
])('a file that is %s while it is read keeps its whole old content', async (_, change) => {
  const opened = (await entry(open({ a: 'mine' }), 'src/a')).open()
  change(path.join(root, 'a'))
  const bytes = Buffer.alloc(4)
  expect(opened.read(bytes, 4, 0)).toBe(4)
  expect(bytes.toString()).toBe('mine')
  opened.prove()
  opened.close()
})
