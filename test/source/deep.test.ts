import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openDirectory } from '../../src/source/directory.ts'
import type { Entry, Source } from '../../src/source/source.ts'
import { envFor } from '../helpers/source-env.ts'
import { temporaryFolder } from '../helpers/tree.ts'
import { collect, content } from '../suites/source.ts'

const folder = temporaryFolder()
afterAll(() => {
  // rm goes down by handles; Node's own removal would meet the limit of paths.
  execFileSync('rm', ['-rf', '--', folder.path])
})

/** Levels of folders `name`, each with a file `f` that says its depth, by way of handles: no path is long enough. */
function makeDeep(root: string, levels: number, name: string, files: (level: number) => boolean): void {
  fs.mkdirSync(root)
  let fd = fs.openSync(root, 'r')
  for (let level = 1; level <= levels; level++) {
    const at = `/proc/self/fd/${fd}`
    if (files(level)) fs.writeFileSync(`${at}/z`, String(level))
    fs.mkdirSync(`${at}/${name}`)
    const next = fs.openSync(`${at}/${name}`, 'r')
    fs.closeSync(fd)
    fd = next
  }
  fs.closeSync(fd)
}

const open = (root: string): Source =>
  openDirectory({ type: 'directory', path: root, label: 'deep', xattrs: false }, envFor())

test('a tree of 5,000 levels is walked whole, beyond any path the system takes', async () => {
  const root = path.join(folder.path, 'deep')
  makeDeep(root, 5000, 'd', (level) => level % 100 === 0)
  const handles = fs.readdirSync('/proc/self/fd').length
  const items = await collect(open(root))
  expect(items.filter((item) => item.type === 'omission')).toEqual([])
  expect(items).toHaveLength(1 + 5000 + 50)
  const files = items.filter((item): item is Entry => item.type === 'entry' && item.kind === 'file')
  for (const file of [files[0], files.at(-1)]) {
    if (file === undefined) throw new Error('no file')
    expect(content(file).toString()).toBe(String((file.path.length - 'deep/z'.length) / 2 + 1))
  }
  expect(fs.readdirSync('/proc/self/fd').length).toBe(handles)

  for (const at of [10, 2600, 4990, 5020]) {
    const mark = items[at]?.mark ?? ''
    expect(Buffer.byteLength(JSON.stringify(mark))).toBeLessThanOrEqual(6000)
    const rest = await collect(open(root), mark)
    expect(rest.map((item) => item.mark)).toEqual(items.slice(at + 1).map((item) => item.mark))
  }
})

test('where a path gets too long to be written down, the cut is named and the walk goes on', async () => {
  const root = path.join(folder.path, 'deeper')
  makeDeep(root, 100, 'n'.repeat(250), () => true)
  const items = await collect(open(root))
  const cut = items.filter((item) => item.type === 'omission')
  expect(cut.map((item) => item.reason)).toEqual(['path_too_long'])
  expect(cut[0]?.path.length).toBeGreaterThan(16_384)
  const rest = await collect(open(root), cut[0]?.mark)
  expect(rest.length).toBeGreaterThan(10)
  expect(rest.map((item) => item.mark)).toEqual(items.slice(items.length - rest.length).map((item) => item.mark))
})

test('at 10,000 levels nothing overflows', async () => {
  const root = path.join(folder.path, 'deepest')
  makeDeep(root, 10_000, 'd', () => false)
  const items = await collect(open(root))
  expect(items.at(-1)).toMatchObject({ type: 'omission', reason: 'path_too_long' })
  expect(items.length).toBeGreaterThan(8000)
})
