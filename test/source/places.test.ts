import fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DirectorySource } from '../../src/engine/spec.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { openDirectory, type DirectoryEnv } from '../../src/source/directory.ts'
import { breakDisk } from '../helpers/break-disk.ts'
import { envFor } from '../helpers/source-env.ts'
import { makeTree, temporaryFolder } from '../helpers/tree.ts'
import { collect, content, lines } from '../suites/source.ts'

let folder: ReturnType<typeof temporaryFolder>
let root: string
beforeEach(() => {
  folder = temporaryFolder()
  root = path.join(folder.path, 'src')
})
afterEach(() => folder[Symbol.dispose]())

const open = (rules: Partial<DirectorySource> = {}, env: Partial<DirectoryEnv> = {}) =>
  openDirectory({ type: 'directory', path: root, label: 'src', xattrs: false, ...rules }, { ...envFor(), ...env })

test('our own places are left out by device and inode, under whatever name, and quietly', async () => {
  makeTree(root, { a: '1', output: { part: 'x' }, data: { state: 'y' }, door: { type: 'link', to: 'output' } })
  const own = [realDisk.stat(path.join(root, 'output')), realDisk.stat(path.join(root, 'data'))]
  expect(await lines(open({ symlinks: 'follow' }, { own }))).toEqual([
    'dir src',
    'file src/a',
    'omission src/data own_place quiet',
    'omission src/door own_place quiet',
    'omission src/output own_place quiet',
  ])
})

test('a source that is one of our own places gives nothing but its omission', async () => {
  makeTree(root, { a: '1' })
  expect(await lines(open({}, { own: [realDisk.stat(root)] }))).toEqual(['omission src own_place quiet'])
})

/** Shows a folder under another device or inode, as a mount does. */
function mounted(name: string, as: { dev?: bigint; ino?: bigint }): Disk {
  const disk = breakDisk({ lstat: { [name]: (stat) => ({ ...stat, ...as }) } })
  const inode = realDisk.lstat(path.join(root, name)).ino
  return { ...disk, fstat: (fd) => ((stat) => (stat.ino === inode ? { ...stat, ...as } : stat))(realDisk.fstat(fd)) }
}

test('other file systems are named, not entered, unless asked for', async () => {
  makeTree(root, { mount: { x: '1' }, z: '2' })
  const disk = mounted('mount', { dev: 4711n })
  expect(await lines(open({}, { disk }))).toEqual([
    'dir src',
    'omission src/mount other_file_system quiet',
    'file src/z',
  ])
  expect(await lines(open({ oneFileSystem: false }, { disk }))).toContain('file src/mount/x')
})

test('a folder mounted inside itself is a loop', async () => {
  makeTree(root, { a: { mirror: { x: '1' } } })
  const { dev, ino } = realDisk.lstat(path.join(root, 'a'))
  expect(await lines(open({}, { disk: breakDisk({ lstat: { mirror: (stat) => ({ ...stat, dev, ino }) } }) }))).toEqual([
    'dir src',
    'dir src/a',
    'omission src/a/mirror loop',
  ])
})

test('links are followed where asked, loops are cut, and what cannot be followed stays a link', async () => {
  makeTree(path.join(folder.path, 'outside'), { f: 'far', sub: { g: 'farther', back: { type: 'link', to: '..' } } })
  makeTree(root, {
    dangling: { type: 'link', to: 'nowhere' },
    file: { type: 'link', to: '../outside/f' },
    folder: { type: 'link', to: '../outside/sub' },
    inner: { near: '1', self: { type: 'link', to: '.' } },
    itself: { type: 'link', to: 'itself' },
    parent: { type: 'link', to: '..' },
    slash: { type: 'link', to: '/' },
  })
  const found = await collect(open({ symlinks: 'follow' }))
  expect(await lines(open({ symlinks: 'follow' }))).toEqual([
    'dir src',
    'symlink src/dangling',
    'file src/file',
    'dir src/folder',
    'dir src/folder/back',
    'file src/folder/back/f',
    'omission src/folder/back/sub loop',
    'file src/folder/g',
    'dir src/inner',
    'file src/inner/near',
    'omission src/inner/self loop',
    'symlink src/itself',
    'omission src/parent loop',
    'omission src/slash loop',
  ])
  const file = found.find((item) => item.path.toString() === 'src/file')
  expect(file?.type === 'entry' && content(file).toString()).toBe('far')
})

test('a link that leads where it may not be followed to is stored as a link', async () => {
  makeTree(path.join(folder.path, 'outside'), { f: 'far' })
  makeTree(root, { in: 'x', far: { type: 'link', to: '../outside' }, near: { type: 'link', to: 'in' } })
  const below = Buffer.from(root + '/')
  const mayFollow = (real: Buffer): boolean => real.subarray(0, below.length).equals(below)
  expect(await lines(open({ symlinks: 'follow' }, { mayFollow }))).toEqual([
    'dir src',
    'symlink src/far',
    'file src/in',
    'file src/near',
  ])
})

test('the path of a source may itself be a link', async () => {
  makeTree(path.join(folder.path, 'real'), { a: '1' })
  fs.symlinkSync('real', root)
  expect(await lines(open())).toEqual(['dir src', 'file src/a'])
})

test('a tree can be walked where the system has no folder of handles', async () => {
  makeTree(root, { a: { b: { c: 'x' } }, d: 'y' })
  const hidden = (at: string | Buffer): void => {
    if (at.toString().startsWith('/proc/'))
      throw Object.assign(new Error('ENOENT'), { code: 'ENOENT', syscall: 'lstat' })
  }
  const disk: Disk = {
    ...realDisk,
    lstat: (at) => (hidden(at), realDisk.lstat(at)),
    open: (at, mode) => (hidden(at), realDisk.open(at, mode)),
    opendir: (at) => (hidden(at), realDisk.opendir(at)),
  }
  const found = await collect(open({}, { disk }))
  expect(found.map((item) => item.path.toString())).toEqual(['src', 'src/a', 'src/a/b', 'src/a/b/c', 'src/d'])
  const last = found[3]
  expect(last?.type === 'entry' && content(last).toString()).toBe('x')
})
