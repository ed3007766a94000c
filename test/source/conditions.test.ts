import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DirectorySource } from '../../src/engine/spec.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { openDirectory } from '../../src/source/directory.ts'
import type { Entry } from '../../src/source/source.ts'
import { breakDisk } from '../helpers/break-disk.ts'
import { envFor } from '../helpers/source-env.ts'
import { listTree, makeTree, temporaryFolder, type Tree } from '../helpers/tree.ts'
import { collect, content, line, lines } from '../suites/source.ts'

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

test('special files are listed and never opened: a pipe without a writer would hang', async () => {
  makeTree(root, { pipe: { type: 'fifo' }, a: '1' })
  const server = net.createServer().listen(path.join(root, 'socket'))
  await new Promise((done) => server.once('listening', done))
  try {
    const opened: string[] = []
    const disk: Disk = { ...realDisk, open: (at, mode) => (opened.push(at.toString()), realDisk.open(at, mode)) }
    expect(await lines(open(null, {}, disk))).toEqual([
      'dir src',
      'file src/a',
      'omission src/pipe special',
      'omission src/socket special',
    ])
    expect(opened.filter((at) => /pipe|socket$/.test(at))).toEqual([])
  } finally {
    server.close()
  }
})

test('devices are special files', async () => {
  const disk = breakDisk({ lstat: { device: (stat) => ({ ...stat, kind: 'char' }) } })
  expect(await lines(open({ device: '' }, {}, disk))).toEqual(['dir src', 'omission src/device special'])
})

test('what vanishes between listing and looking is reported, and is no failure', async () => {
  const disk = breakDisk({ lstat: { b: 'ENOENT' } })
  expect(await lines(open({ a: '1', b: '2', c: '3' }, {}, disk))).toEqual([
    'dir src',
    'file src/a',
    'omission src/b vanished',
    'file src/c',
  ])
})

test('what vanishes is passed over where a rule excludes it anyway', async () => {
  const disk = breakDisk({ lstat: { b: 'ENOENT' } })
  expect(await lines(open({ a: '1', b: '2' }, { exclude: ['b'] }, disk))).toEqual(['dir src', 'file src/a'])
})

test('an I/O error and a denied look are reported each by its name', async () => {
  const disk = breakDisk({ lstat: { b: 'EIO', c: 'EACCES', d: 'ESTALE' } })
  expect(await lines(open({ b: '2', c: '3', d: '4' }, {}, disk))).toEqual([
    'dir src',
    'omission src/b io_error',
    'omission src/c unreadable',
    'omission src/d io_error',
  ])
})

test('too many open files is the trouble of the process: it stops the step', async () => {
  const disk = breakDisk({ lstat: { b: 'EMFILE' } })
  await expect(collect(open({ b: '2' }, {}, disk))).rejects.toMatchObject({ code: 'EMFILE' })
})

test('a folder that may not be listed is kept as a folder, and its content is named as missing', async () => {
  makeTree(root, { a: { type: 'folder', mode: 0, in: {} }, b: 'x' })
  fs.writeFileSync(path.join(root, 'a', 'secret'), 's')
  fs.chmodSync(root, 0o755)
  fs.chmodSync(folder.path, 0o755)
  expect(await asNobody(() => lines(open(null)))).toEqual([
    'dir src',
    'dir src/a',
    'omission src/a unreadable',
    'file src/b',
  ])
})

test('a folder that vanishes after its entry is reported', async () => {
  const source = open({ a: { x: '1' }, b: 'x' })
  const seen: string[] = []
  for await (const item of source.items(null)) {
    seen.push(line(item))
    if (line(item) === 'dir src/a') fs.rmSync(path.join(root, 'a'), { recursive: true })
  }
  expect(seen).toEqual(['dir src', 'dir src/a', 'omission src/a vanished', 'file src/b'])
})

test('a listing that breaks off gives what it had and is reported', async () => {
  const disk = breakDisk({ next: { after: 2, error: 'EIO' } })
  const found = await lines(open({ a: '1', b: '2', c: '3' }, {}, disk))
  expect(found.slice(0, 2)).toEqual(['dir src', 'omission src io_error'])
  expect(found).toHaveLength(4)
})

test('a folder replaced by a link is not followed to where it leads', async () => {
  makeTree(path.join(folder.path, 'outside'), { secret: 'other' })
  const source = open({ a: { secret: 'mine' }, b: 'x' })
  const seen: string[] = []
  for await (const item of source.items(null)) {
    seen.push(line(item))
    if (line(item) !== 'dir src/a') continue
    fs.renameSync(path.join(root, 'a'), path.join(root, 'z'))
    fs.symlinkSync('../outside', path.join(root, 'a'))
  }
  expect(seen).toEqual(['dir src', 'dir src/a', 'omission src/a vanished', 'file src/b'])
})

test('a folder replaced by another folder is not taken for the one that was looked at', async () => {
  const source = open({ a: { x: '1' }, b: 'x' })
  const seen: string[] = []
  for await (const item of source.items(null)) {
    seen.push(line(item))
    if (line(item) !== 'dir src/a') continue
    fs.renameSync(path.join(root, 'a'), path.join(folder.path, 'away'))
    makeTree(path.join(root, 'a'), { y: '2' })
  }
  expect(seen).toEqual(['dir src', 'dir src/a', 'omission src/a changed', 'file src/b'])
})

test('content is read below the folder that was listed, whatever its path leads to by now', async () => {
  makeTree(path.join(folder.path, 'outside'), { secret: 'other' })
  const source = open({ a: { secret: 'mine' } })
  for await (const item of source.items(null)) {
    if (line(item) !== 'file src/a/secret' || item.type !== 'entry') continue
    fs.renameSync(path.join(root, 'a'), path.join(root, 'z'))
    fs.symlinkSync('../outside', path.join(root, 'a'))
    expect(content(item).toString()).toBe('mine')
  }
  const late = await entry(open(null), 'src/z/secret')
  fs.renameSync(path.join(root, 'z'), path.join(root, 'y'))
  fs.symlinkSync('../outside', path.join(root, 'z'))
  expect(() => late.open()).toThrow()
})

test('names are bytes: not UTF-8, newlines, dashes, dots, the longest, equal but for case or normalisation', async () => {
  const names = [
    '\uFFFDFF',
    'a\nb',
    '-rf',
    '..a',
    'dot.',
    'sp ',
    'n'.repeat(255),
    'Case',
    'case',
    'e\u0301',
    '\u00e9',
    '\u0301',
  ]
  const source = open(Object.fromEntries(names.map((name) => [name, name])))
  const files = (await collect(source)).filter((item) => item.type === 'entry' && item.kind === 'file')
  expect(files.map((item) => line(item).slice('file src/'.length)).toSorted()).toEqual(names.toSorted())
  for (const item of files) if (item.type === 'entry') expect(content(item).toString()).toBe(line(item).slice(9))
})

test('links are stored with the bytes of their target, wherever they lead', async () => {
  const long = Buffer.from('x/'.repeat(2047) + 'x')
  const source = open({
    loop: { type: 'link', to: 'loop' },
    up: { type: 'link', to: '..' },
    gone: { type: 'link', to: Buffer.from([0xff, 0x2f, 0xfe]) },
    long: { type: 'link', to: long },
    shadow: { type: 'link', to: '/etc/shadow' },
  })
  const links = new Map(
    (await collect(source)).flatMap((i) => (i.type === 'entry' && i.link ? [[i.path.toString(), i.link]] : [])),
  )
  expect(links.get('src/long')).toEqual(long)
  expect(links.get('src/gone')).toEqual(Buffer.from([0xff, 0x2f, 0xfe]))
  expect([...links.keys()]).toEqual(['src/gone', 'src/long', 'src/loop', 'src/shadow', 'src/up'])
})

test('holes and further names are told by the stat', async () => {
  const source = open({
    hole: { type: 'sparse', size: 2 ** 40, data: { 4096: 'x' } },
    two: { type: 'hard', of: 'hole' },
  })
  const hole = await entry(source, 'src/hole')
  expect(hole.stat).toMatchObject({ size: 2 ** 40, nlink: 2 })
  expect(hole.stat.blocks).toBeLessThan(100)
})

test('a database with an unfinished transaction beside it is named', async () => {
  const database = Buffer.alloc(512)
  database.write('SQLite format 3\0')
  database.set([2, 0, 1, 1, 0, 64, 32, 32], 16)
  const source = open({
    'x.db': database,
    'x.db-a': 'between them',
    'x.db-wal': 'pages',
    'y.db': database,
    'y.db-wal': '',
    'z-journal': 'a diary',
  })
  expect((await lines(source)).filter((text) => text.startsWith('omission'))).toEqual([
    'omission src/x.db live_database',
  ])
})

test('the source is not changed: no name, no byte, no time, not even the time of access', async () => {
  makeTree(root, { a: { b: 'x', hole: { type: 'sparse', size: 9999 } }, c: 'y', l: { type: 'link', to: 'c' } })
  for (const name of ['a/b', 'c']) fs.utimesSync(path.join(root, name), 1000, 2_000_000_000)
  const picture = (): string[] =>
    [...listTree(root)].map(
      ([name, s]) => `${name} ${s.mode} ${s.size} ${s.mtimeNs} ${s.ctimeNs} ${s.isFile() ? s.atimeNs : ''}`,
    )
  const before = picture()
  for (const item of await collect(open(null))) if (item.type === 'entry' && item.kind === 'file') content(item)
  expect(picture()).toEqual(before)
})

test.each([
  ['missing', null, 'SOURCE_NOT_FOUND'],
  ['a pipe', (at: string) => void execFileSync('mkfifo', [at]), 'SOURCE_NOT_FOUND'],
])('a source that is %s fails by name', async (_, make, code) => {
  make?.(root)
  await expect(collect(open(null))).rejects.toMatchObject({ code })
})

test('a source that may not be entered fails by name', async () => {
  const disk = breakDisk({ open: { src: 'EACCES' } })
  await expect(collect(open({}, {}, disk))).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' })
})

test('an aborted walk throws the reason and never looks finished', async () => {
  makeTree(root, { a: { b: '1' } })
  const stop = new AbortController()
  const source = openDirectory(
    { type: 'directory', path: root, label: 'src', xattrs: false },
    { ...envFor(), signal: stop.signal },
  )
  stop.abort(new Error('enough'))
  await expect(collect(source)).rejects.toThrow('enough')
})

/** Runs without rights: tests may run as root, who can read everything. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work()
  process.seteuid?.(65534)
  try {
    return await work()
  } finally {
    process.seteuid?.(0)
  }
}

test('a long run of excluded names can be left in the middle, and is not passed over again', async () => {
  makeTree(root, { z: 'kept' })
  for (let i = 0; i < 5000; i++) fs.closeSync(fs.openSync(path.join(root, `x${i}`), 'w'))
  const looked = new Set<string>()
  const disk: Disk = { ...realDisk, lstat: (at) => (looked.add(path.basename(at.toString())), realDisk.lstat(at)) }
  const source = open(null, { exclude: ['x*'] }, disk)
  let mark: string | undefined
  for await (const item of source.items(null)) {
    if (item.type !== 'pause') continue
    mark = item.mark
    break
  }
  expect(mark).toBeDefined()
  const before = looked.size
  looked.clear()
  expect(await lines(source, mark)).toEqual(['file src/z'])
  expect(before).toBeGreaterThan(1999)
  expect(looked.size).toBeLessThan(5000 - 1990)
})
