import { execFileSync } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outcome } from '../../src/engine/job.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { treeOf } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { putItems, restoreSpecOf, runJob, type TestItem } from '../stages/restore-world.ts'
import { fingerprint, makeArena, restoreItems, type Arena } from './outside.ts'

const text = (content: string): Buffer => Buffer.from(content)
const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')
const GOOD: TestItem = { name: 'good', data: text('good') }

let arena: Arena
beforeEach(() => {
  arena = makeArena()
})
afterEach(() => arena.dispose())

describe('names that are refused', () => {
  const NAMES: [string, string | Buffer][] = [
    ['one up', '../x'],
    ['absolute', '/x'],
    ['absolute, many slashes', '///x'],
    ['up beyond the top', 'a/../../x'],
    ['up and down again', 'a/../b'],
    ['into the outside tree', '../outside/secret'],
    ['a dot first', './x'],
    ['a dot within', 'a/./b'],
    ['a dot last', 'a/.'],
    ['an empty part', 'a//b'],
    ['only dots', '..'],
    ['only a dot', '.'],
    ['ends in dots', 'a/..'],
    ['a NUL', 'x\0.txt'],
    ['a backslash', '..\\x'],
    ['a backslash within', 'a\\..\\..\\x'],
    ['a drive', 'C:x'],
    ['a drive and a path', 'c:/x'],
    ['a server', '//server/share/x'],
    ['a part of 256 bytes', `a/${'x'.repeat(256)}`],
    ['an overlong UTF-8 ../', bytes('c0aec0ae2f78')],
    ['an overlong slash', bytes('2e2ec0af78')],
    ['UTF-8 cut off', bytes('61e282')],
    ['our own folder in the target', '.ratchet-20260629-121045-000001-1-new/n0'],
    ['our own folder in other letters', '.RATCHET-20260629-121045-000001-1-new/n0'],
    ['our own folder itself', '.ratchet-20260629-121045-000001-1-new'],
  ]
  test.each(NAMES)('%s', async (_, name) => {
    const before = fingerprint(arena.outside)
    const { job, warnings, tree } = await restoreItems(arena, [{ name, data: text('evil') }, GOOD])
    expect(fingerprint(arena.outside)).toEqual(before)
    expect(tree).toEqual({ '/good': 'good' })
    expect(outcome(job)).toBe('completed_with_warnings')
    expect(job.warnings.recent.map(({ code }) => code)).toEqual(['refused_entry'])
    expect(job.parts[0]).toMatchObject({ omitted: 1, files: 1 })
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(warnings.join('')).not.toMatch(/[\u0000-\u001f\u007f]/)
  })

  test.each([
    ['an empty name', ''],
    ['a folder above', '../d'],
    ['an absolute folder', '/d'],
  ])('as a folder, too: %s', async (_, name) => {
    const before = fingerprint(arena.outside)
    const { job, tree } = await restoreItems(arena, [{ name, kind: 'dir' }, GOOD])
    expect(fingerprint(arena.outside)).toEqual(before)
    expect(tree).toEqual({ '/good': 'good' })
    expect(job.parts[0]?.omitted).toBe(1)
  })

  test.each([
    ['a device', 0o60600],
    ['a terminal', 0o20600],
    ['a pipe', 0o10644],
    ['a socket', 0o140755],
  ])('what is not a file at all: %s', async (_, mode) => {
    const { job, tree } = await restoreItems(arena, [
      { name: 'odd', mode, data: mode === 0o10644 ? Buffer.alloc(0) : text('x') },
      GOOD,
    ])
    expect(tree).toEqual({ '/good': 'good' })
    expect(job.parts[0]?.omitted).toBe(1)
  })
})

describe('names that look alike', () => {
  test('composed and decomposed, large and small: all survive where the file system tells them apart', async () => {
    const names = ['\u00e9', 'e\u0301', 'A', 'a', 'ſ', 's']
    const { job, tree } = await restoreItems(
      arena,
      names.map((name) => ({ name, data: text(name) })),
    )
    expect(outcome(job)).toBe('completed')
    expect(Object.values(tree).toSorted()).toEqual(names.map((name) => text(name).toString('latin1')).toSorted())
  })

  test('are refused where it does not', async () => {
    const disk = new MemoryDisk()
    putItems(disk, arena.place, [GOOD, { name: 'GOOD', data: text('evil') }, { name: 'd/x', data: text('x') }])
    // A file system that does not tell case: any spelling finds the staging folder.
    const folding = Object.create(disk, {
      lstat: { value: (at: string | Buffer) => disk.lstat(String(at).includes('-NEW') ? arena.place.target : at) },
    }) as typeof disk
    for (const key of Object.getOwnPropertyNames(MemoryDisk.prototype) as (keyof typeof disk)[]) {
      const own = disk[key]
      if (key !== 'lstat' && typeof own === 'function') Object.defineProperty(folding, key, { value: own.bind(disk) })
    }
    const job = await runJob(folding, arena.place, restoreSpecOf(arena.place))
    expect(job.warnings.recent.map(({ message }) => message)).toEqual(['GOOD: an earlier entry has the same name'])
    expect(treeOf(disk, arena.place.target)).toEqual({ '/d': 'dir', '/d/x': 'x', '/good': 'good' })
  })

  test('the very same name twice: the archive is refused; salvaging keeps the first', async () => {
    const twice: TestItem[] = [GOOD, { name: 'good', data: text('evil') }]
    const refused = await restoreItems(arena, twice)
    expect(refused.job.error?.code).toBe('ARCHIVE_DAMAGED')
    expect(refused.tree).toEqual({})
    const other = makeArena()
    const { job, tree } = await restoreItems(other, twice, { salvage: true })
    expect(tree).toEqual({ '/good': 'good' })
    expect(outcome(job)).toBe('completed_with_warnings')
    other.dispose()
  })
})

describe('one name for a file and a folder', () => {
  test.each<[string, TestItem[], Record<string, string>]>([
    [
      'file first',
      [
        { name: 'x', data: text('x') },
        { name: 'x/y', data: text('y') },
      ],
      { '/x': 'x' },
    ],
    [
      'folder first',
      [
        { name: 'x/y', data: text('y') },
        { name: 'x', data: text('x') },
      ],
      { '/x': 'dir', '/x/y': 'y' },
    ],
    [
      'a folder of its own first',
      [
        { name: 'x', kind: 'dir' },
        { name: 'x/x', kind: 'dir' },
        { name: 'x/x/x', data: text('x') },
      ],
      { '/x': 'dir', '/x/x': 'dir', '/x/x/x': 'x' },
    ],
    [
      'a link and what would lie below it',
      [
        { name: 'x', kind: 'symlink', data: text('good') },
        { name: 'x/y', data: text('y') },
      ],
      { '/x': 'dir', '/x/y': 'y' },
    ],
  ])('%s: the later one is refused', async (_, items, expected) => {
    const { job, tree } = await restoreItems(arena, [...items, GOOD])
    expect(tree).toEqual({ ...expected, '/good': 'good' })
    expect(job.parts[0]?.omitted).toBe(items.length === 3 ? 0 : 1)
  })
})

describe('long but lawful names', () => {
  test('a path far beyond what one call takes is restored by handles', async () => {
    const folders = Array.from({ length: 40 }, (_, i) => `${i}${'d'.repeat(200)}`)
    putItems(realDisk, arena.place, [{ name: `${folders.join('/')}/leaf`, data: text('leaf') }])
    const job = await runJob(realDisk, arena.place, restoreSpecOf(arena.place))
    expect(outcome(job)).toBe('completed')
    expect(job.totals.files).toBe(1)
    execFileSync('rm', ['-rf', arena.place.target]) // goes by handles; Node's own removal cannot
  })
})

describe('what looks like our own escape', () => {
  test.each(['..\uFFFD2Fx', '\uFFFD2Fx', '..\uFFFD5Cx', 'a\uFFFD00'])(
    'is no way to smuggle a slash: %j',
    async (name) => {
      const before = fingerprint(arena.outside)
      const { tree } = await restoreItems(arena, [{ name, data: text('x') }, GOOD])
      expect(fingerprint(arena.outside)).toEqual(before)
      expect(Object.keys(tree).every((found) => found.split('/').length === 2)).toBe(true)
    },
  )
})
