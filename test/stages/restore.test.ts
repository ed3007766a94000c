import { describe, expect, test } from 'vitest'
import { outcome } from '../../src/engine/job.ts'
import { sample } from '../archive/build.ts'
import { contentOf, treeOf } from '../helpers/disk-tree.ts'
import { FakeClock } from '../helpers/fake-clock.ts'
import { systemError } from '../helpers/memory/errno.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import {
  HASTY,
  placeIn,
  putItems,
  restoreSpecOf,
  runJob,
  type TestItem,
  warningsOf,
  writeFile,
} from './restore-world.ts'

const text = (content: string): Buffer => Buffer.from(content)

const SITE: TestItem[] = [
  { name: 'site', kind: 'dir', mode: 0o40750 },
  { name: 'site/a.txt', data: text('hello\n'), mode: 0o100640, mtimeNs: 1_700_000_000_123_456_789n },
  { name: 'site/empty', data: Buffer.alloc(0) },
  { name: 'site/link', kind: 'symlink', data: text('sub/b.bin') },
  { name: 'site/sub', kind: 'dir', mode: 0o40555, mtime: 1_600_000_000 },
  { name: 'site/sub/b.bin', data: sample(300_000, 'noise') },
  { name: 'site/sub/big', data: sample(3 << 20), how: 'blocks' },
]

const place = placeIn('/w')
const namesOf = (disk: MemoryDisk): string[] =>
  Object.entries(treeOf(disk, place.target))
    .filter(([, content]) => content !== 'dir')
    .map(([name]) => name)
const at = (name: string): string => `${place.target}/${name}`

async function restored(
  items: readonly TestItem[],
  more: Parameters<typeof restoreSpecOf>[1] = {},
  before: (disk: MemoryDisk) => void = () => {},
): Promise<{ disk: MemoryDisk; job: Awaited<ReturnType<typeof runJob>>; warnings: string[] }> {
  const disk = new MemoryDisk()
  putItems(disk, place, items)
  before(disk)
  const job = await runJob(disk, place, restoreSpecOf(place, more))
  expect(disk.openDescriptors).toBe(0)
  return { disk, job, warnings: warningsOf(disk, place) }
}

describe('restore to a new place', () => {
  test('gives back files, folders and links with modes and times', async () => {
    const { disk, job, warnings } = await restored(SITE)
    expect(job.error).toBeNull()
    expect(outcome(job)).toBe('completed')
    expect(warnings).toEqual([])
    expect(Object.keys(treeOf(disk, place.target))).toEqual([
      '/site',
      '/site/a.txt',
      '/site/empty',
      '/site/link',
      '/site/sub',
      '/site/sub/b.bin',
      '/site/sub/big',
    ])
    expect(contentOf(disk, at('site/sub/big')).equals(sample(3 << 20))).toBe(true)
    expect(disk.lstat(at('site')).mode & 0o7777).toBe(0o750)
    expect(disk.lstat(at('site/sub')).mode & 0o7777).toBe(0o555)
    expect(disk.lstat(at('site/a.txt')).mode & 0o7777).toBe(0o640)
    expect(disk.lstat(at('site/a.txt')).mtimeNs).toBe(1_700_000_000_123_456_000n)
    expect(disk.lstat(at('site/sub')).mtimeNs).toBe(1_600_000_000_000_000_000n)
    expect(disk.readlink(at('site/link')).toString()).toBe('sub/b.bin')
    expect(job.totals).toMatchObject({ files: 4, entries: 7, filesExpected: 4 })
    expect(job.parts).toMatchObject([{ name: 'archive', status: 'completed', files: 4, omitted: 0 }])
  })

  test('makes the names of one file one file again, where their contents were the same', async () => {
    const names = ['x/1', 'y/2', 'y/3'].map((name): TestItem => ({ name, data: text('same'), group: '9:1' }))
    const others: TestItem[] = [
      { name: 'z/changed', data: text('meanwhile other'), group: '9:1' },
      { name: 'z/equal', data: text('same'), group: '9:2' },
      { name: 'z/alone', data: text('same') },
      { name: 'z/empty1', data: text(''), group: '9:3' },
      { name: 'z/empty2', data: text(''), group: '9:3' },
    ]
    const shuffled = [...others.slice(0, 2), ...names, ...others.slice(2)]
    for (const hasty of [false, true]) {
      const disk = new MemoryDisk()
      putItems(disk, place, shuffled)
      const clock = new FakeClock({ perLook: hasty ? 1 : 0 })
      const job = await runJob(disk, place, restoreSpecOf(place, hasty ? HASTY : {}), { clock })
      expect(outcome(job)).toBe('completed')
      const ino = (name: string): bigint => disk.lstat(at(name)).ino
      expect(new Set(names.map(({ name }) => ino(String(name)))).size).toBe(1)
      expect(ino('z/empty1')).toBe(ino('z/empty2'))
      expect(new Set(['x/1', 'z/changed', 'z/equal', 'z/alone', 'z/empty1'].map(ino)).size).toBe(5)
      expect(contentOf(disk, at('z/changed')).toString()).toBe('meanwhile other')
      expect(disk.lstat(at('y/3')).mtimeNs).toBe(1_700_000_000_000_000_000n)
      expect(namesOf(disk)).toEqual(shuffled.map(({ name }) => `/${String(name)}`).toSorted())
    }
  })

  test('leaves copies, and says so once, where the file system takes no hard links', async () => {
    const items = ['1', '2', '3'].map((name): TestItem => ({ name, data: text('same'), group: '9:1' }))
    const { disk, job, warnings } = await restored(items, {}, (memory) => {
      const link = memory.link.bind(memory)
      memory.link = (from, to) => {
        if (String(to).endsWith('/hard')) throw systemError('EPERM', 'link', String(to))
        link(from, to)
      }
    })
    expect(job.status).toBe('completed')
    expect(warnings).toEqual([expect.stringContaining('takes no hard links')])
    expect(namesOf(disk)).toEqual(['/1', '/2', '/3'])
  })

  test('keeps names that are not UTF-8, times before 1970, and restores without a manifest', async () => {
    const odd = Buffer.from([0x66, 0xff, 0x0a, 0x5c])
    const escaped = Buffer.from('f\uFFFDFF\n\uFFFD5C')
    const disk = new MemoryDisk()
    putItems(disk, place, [{ name: escaped, data: text('x') }], { manifest: false })
    const job = await runJob(disk, place, restoreSpecOf(place))
    expect(outcome(job)).toBe('completed')
    expect(disk.readdir(place.target)).toEqual([odd])

    const old = await restored([{ name: 'old', data: text('x'), mtime: 0, mtimeNs: -86_400_000_001_000n }])
    expect(old.disk.lstat(at('old')).mtimeNs).toBe(-86_400_000_001_000n)
  })

  test('takes only what matches, with the folders above it', async () => {
    const { disk, warnings } = await restored(SITE, { patterns: ['*.bin'] })
    expect(Object.keys(treeOf(disk, place.target))).toEqual(['/site', '/site/sub', '/site/sub/b.bin'])
    expect(disk.lstat(at('site')).mode & 0o7777).toBe(0o750)
    expect(disk.lstat(at('site/sub')).mode & 0o7777).toBe(0o555)
    expect(warnings).toEqual([])
    const folder = await restored(SITE, { patterns: ['site/sub'] })
    expect(Object.keys(treeOf(folder.disk, place.target))).toEqual([
      '/site',
      '/site/sub',
      '/site/sub/b.bin',
      '/site/sub/big',
    ])
  })

  test('says when no file matches, and refuses a pattern that could take for ever', async () => {
    const none = await restored(SITE, { patterns: ['nothing'] })
    expect(none.warnings).toEqual(['no file in the archive matches the patterns'])
    const slow = await restored(SITE, { patterns: ['*a*a*a*a*b'] })
    expect(slow.job.error?.code).toBe('PROFILE_INVALID')
  })

  test('gives folders without an entry a mode others can enter', async () => {
    const { disk } = await restored([{ name: 'a/b/c.txt', data: text('c') }])
    expect(disk.lstat(at('a')).mode & 0o7777).toBe(0o755)
    expect(disk.lstat(at('a/b')).mode & 0o7777).toBe(0o755)
  })

  test('sets the mode of folders whose entry comes after their content', async () => {
    const { disk } = await restored([
      { name: 'a/b/c.txt', data: text('c') },
      { name: 'a/b', kind: 'dir', mode: 0o40000 },
      { name: 'a', kind: 'dir', mode: 0o40500 },
    ])
    expect(disk.lstat(at('a')).mode & 0o7777).toBe(0o500)
    expect(disk.lstat(at('a/b')).mode & 0o7777).toBe(0)
  })

  test('restores the manifest itself only when asked', async () => {
    const { disk } = await restored([{ name: 'a', data: text('a') }], { skipInstallation: false })
    expect(Object.keys(treeOf(disk, place.target))).toEqual([
      '/a',
      '/installation',
      '/installation/manifest.json',
      '/installation/manifest.jsonl',
    ])
  })

  test('takes an archive in parts, and deep folders beyond the handles kept open', async () => {
    const deep = Array.from({ length: 150 }, (_, i) => `d${i}`).join('/')
    const disk = new MemoryDisk()
    const items: TestItem[] = [
      { name: `${deep}/leaf`, data: sample(200_000, 'noise'), how: 'store' },
      { name: `${deep.split('/').slice(0, 40).join('/')}/other`, data: text('o') },
      { name: 'top', data: sample(100_000, 'noise') },
    ]
    putItems(disk, place, items, { partSize: 65_536 })
    const job = await runJob(disk, place, restoreSpecOf(place))
    expect(outcome(job)).toBe('completed')
    expect(contentOf(disk, at(`${deep}/leaf`)).equals(sample(200_000, 'noise'))).toBe(true)
    expect(disk.openDescriptors).toBe(0)
  })
})

describe('the target', () => {
  test('must be absent or empty', async () => {
    const full = await restored(SITE, {}, (disk) => {
      disk.mkdir(place.target, 0o755)
      writeFile(disk, at('mine'), text('mine'))
    })
    expect(full.job.error?.code).toBe('TARGET_EXISTS')
    expect(treeOf(full.disk, place.target)).toEqual({ '/mine': 'mine' })
    const empty = await restored(SITE, {}, (disk) => disk.mkdir(place.target, 0o755))
    expect(outcome(empty.job)).toBe('completed')
  })

  test('must not be a link or a file', async () => {
    const link = await restored(SITE, {}, (disk) => {
      disk.mkdir('/elsewhere', 0o755)
      disk.symlink(text('/elsewhere'), place.target)
    })
    expect(link.job.error?.code).toBe('TARGET_EXISTS')
    expect(link.disk.readdir('/elsewhere')).toEqual([])
    const file = await restored(SITE, { mode: 'inplace' }, (disk) => writeFile(disk, place.target, text('x')))
    expect(file.job.error?.code).toBe('TARGET_EXISTS')
  })

  test.each(['/w/data', '/w/data/jobs/deeper', '/w', '/', '/alias/data/x'])(
    'must not be, hold or lie in a place of the engine: %s',
    async (target) => {
      const { disk, job } = await restored(SITE, { target, mode: 'inplace' }, (made) =>
        made.symlink(text('/w'), '/alias'),
      )
      expect(job.error?.code).toBe('FORBIDDEN')
      expect(Object.keys(treeOf(disk, '/')).filter((name) => name.includes('site'))).toEqual([])
    },
  )

  test('must have room; the job waits and goes on when there is some', async () => {
    const disk = new MemoryDisk({ capacity: 2 << 20 })
    putItems(disk, place, [{ name: 'big', data: sample(900_000, 'noise'), how: 'store' }])
    const hog = '/hog'
    writeFile(disk, hog, Buffer.alloc(500_000))
    const job = await runJob(disk, place, restoreSpecOf(place), { maxSteps: 3 })
    expect(job.status).toBe('running')
    expect(job.warnings.recent.at(-1)?.message).toContain('DISK_FULL')
    disk.unlink(hog)
    const after = await runJob(disk, place, restoreSpecOf(place))
    expect(after.status).toBe('completed')
    expect(contentOf(disk, at('big')).length).toBe(900_000)
  })

  test.each(['link', 'folder'])('must stay the same folder, not become a %s', async (kind) => {
    const disk = new MemoryDisk()
    putItems(disk, place, SITE)
    let swapped = false
    const job = await runJob(disk, place, restoreSpecOf(place, HASTY), {
      clock: new FakeClock({ perLook: 1 }),
      between: () => {
        if (swapped) return
        swapped = true
        disk.rename(place.target, '/w/moved')
        disk.mkdir('/w/trap', 0o755)
        if (kind === 'link') disk.symlink(text('/w/trap'), place.target)
        else disk.rename('/w/trap', place.target)
      },
    })
    expect(job.error?.code).toBe('TARGET_UNWRITABLE')
    expect(disk.readdir(kind === 'link' ? '/w/trap' : place.target)).toEqual([])
  })
})

describe('owners', () => {
  const OWNED: TestItem[] = [
    { name: 'd', kind: 'dir', uid: 1001, gid: 1002 },
    { name: 'd/f', data: text('f'), uid: 1003, gid: 1004 },
    { name: 'd/l', kind: 'symlink', data: text('f'), uid: 1005, gid: 1006 },
  ]
  const ownersIn = (disk: MemoryDisk): number[][] =>
    ['d', 'd/f', 'd/l'].map((name) => [disk.lstat(at(name)).uid, disk.lstat(at(name)).gid])

  test.each([
    [true, true],
    [true, false],
    [false, true],
  ])('are set only when asked for (%s) and as root (%s)', async (owners, root) => {
    const disk = new MemoryDisk()
    putItems(disk, place, OWNED)
    const before = disk.lstat('/w')
    const job = await runJob(disk, place, restoreSpecOf(place, { owners }), { parts: { root } })
    const said = owners && !root ? ['owners cannot be set: only root may do that'] : []
    expect(job.warnings.recent.map(({ message }) => message)).toEqual(said)
    expect(job.status).toBe('completed')
    const mine = [before.uid, before.gid]
    const theirs = [
      [1001, 1002],
      [1003, 1004],
      [1005, 1006],
    ]
    expect(ownersIn(disk)).toEqual(owners && root ? theirs : [mine, mine, mine])
  })
})

describe('rights of an ordinary user', () => {
  test.each(['first', 'last'])(
    'folders that shut their owner out come last (parents %s in the archive)',
    async (order) => {
      const disk = new MemoryDisk()
      const items: TestItem[] = [
        { name: 'a', kind: 'dir', mode: 0o40000 },
        { name: 'a/b', kind: 'dir', mode: 0o40400 },
        { name: 'a/b/c', kind: 'dir', mode: 0o40755 },
        { name: 'a/b/c/d', kind: 'dir', mode: 0o40055 },
        { name: 'a/b/c/d/e', data: text('e') },
      ]
      putItems(disk, place, order === 'last' ? items.toReversed() : items)
      // As the kernel does for anybody but root: no way into a folder without the right to search it.
      const open = disk.open.bind(disk)
      disk.open = (path, mode) => {
        const parent = /^\/proc\/self\/fd\/(\d+)\//.exec(path.toString())?.[1]
        if (parent !== undefined && (disk.fstat(Number(parent)).mode & 0o100) === 0) throw systemError('EACCES', 'open')
        return open(path, mode)
      }
      const job = await runJob(disk, place, restoreSpecOf(place))
      expect(outcome(job)).toBe('completed')
      expect(['a', 'a/b', 'a/b/c', 'a/b/c/d'].map((name) => disk.lstat(at(name)).mode & 0o777)).toEqual([
        0, 0o400, 0o755, 0o055,
      ])
    },
  )
})
