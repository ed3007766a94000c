import { describe, expect, test } from 'vitest'
import { outcome } from '../../src/engine/job.ts'
import { encodeRecord } from '../../src/engine/record.ts'
import { type RestorePreview } from '../../src/engine/restore-preview.ts'
import type { RestoreSpec } from '../../src/engine/spec.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { ensureFolder } from '../../src/lib/durable-file.ts'
import { sample } from '../archive/build.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { hasGaps } from '../../src/cli/backend/view.ts'
import { putItems, restoreSpecOf, runJob, type TestItem, warningsOf } from './restore-world.ts'

import { at, dry, dryRun, file, folder, inPlace, link, outside, place, SITE, text } from './preview-world.ts'

const names = (list: RestorePreview['paths']['refused']): string[] => list.map(({ path }) => path)

describe('a dry run', () => {
  test('counts what would be written, and makes no folder', async () => {
    const { job, found, disk } = await dry(SITE)
    expect(outcome(job)).toBe('completed')
    expect(found).toEqual({
      ...{ files: 3, folders: 2, links: 1, bytes: 5 + 300_000 + (3 << 20) },
      ...{ replaced: 0, conflicts: 0, refused: 0, damaged: 0, special: 0 },
      need: expect.any(Number),
      free: expect.any(Number),
      ...{ writable: true, owners: 'not_asked', xattrs: { entries: 0, settable: false } },
      paths: { replaced: [], conflicts: [], refused: [], damaged: [] },
    })
    expect(found.need).toBeLessThanOrEqual(found.bytes)
    expect(job.totals).toMatchObject({ files: 3, entries: 6, bytesWritten: 0 })
    expect(job.parts).toMatchObject([{ name: 'archive', status: 'completed', files: 3, omitted: 0 }])
    expect(disk.readdir(place.root).map(String).toSorted()).toEqual(['backups'])
  })

  test('takes only what matches, and says when nothing does', async () => {
    const { found } = await dry(SITE, { patterns: ['*.bin'] })
    expect(found).toMatchObject({ files: 1, folders: 0, links: 0, bytes: 300_000 })
    const none = await dry(SITE, { patterns: ['nothing'] })
    expect(none.warnings).toEqual(['no file in the archive matches the patterns'])
    expect(hasGaps(none.job)).toBe(false)
  })

  test('ends as the restore would at a target that is none, and changes nothing', async () => {
    const failed = async (more: Partial<RestoreSpec>, before: (disk: MemoryDisk) => void): Promise<string> => {
      const disk = new MemoryDisk()
      putItems(disk, place, SITE)
      before(disk)
      ensureFolder(disk, place.data)
      const seen = outside(disk)
      const job = await runJob(disk, place, restoreSpecOf(place, { dryRun: true, ...more }))
      expect(outside(disk)).toEqual(seen)
      return job.error?.code ?? job.status
    }
    const filled = (disk: MemoryDisk): void => {
      disk.mkdir(place.target, 0o755)
      putFile(disk, at('x'), 'x')
    }
    expect(await failed({}, filled)).toBe('TARGET_EXISTS')
    expect(await failed({}, (disk) => putFile(disk, place.target, ''))).toBe('TARGET_EXISTS')
    expect(await failed(inPlace, (disk) => disk.symlink(text('/w'), place.target))).toBe('TARGET_EXISTS')
    expect(await failed({ target: `${place.data}/in` }, () => {})).toBe('FORBIDDEN')
    expect(await failed({ target: '/w/f/in' }, (disk) => putFile(disk, '/w/f', ''))).toBe('TARGET_UNWRITABLE')
    expect(await failed({ archive: '/w/backups/b.zip' }, () => {})).toBe('ARCHIVE_NOT_FOUND')
    expect(await failed({ patterns: ['*a*a*a*a*b'] }, () => {})).toBe('PROFILE_INVALID')
    expect(await failed({ limits: { ratio: 1000, entries: 2, bytes: 1e9 } }, () => {})).toBe('LIMIT_EXCEEDED')
  })

  test('says what would be replaced, and what is in the way', async () => {
    const items = [...SITE, file('l/x'), file('d'), file('f/deep/y'), link('g', 'd'), link('h', 'd'), folder('i')]
    const { job, found } = await dry(items, inPlace, (disk) => {
      for (const name of ['', 'site', 'd']) disk.mkdir(at(name), 0o755)
      disk.symlink(text('/elsewhere'), at('l'))
      disk.symlink(text('old'), at('h'))
      for (const name of ['site/a.txt', 'f', 'g', 'i', 'stays']) putFile(disk, at(name), 'old')
    })
    expect(found).toMatchObject({ files: 3, folders: 2, links: 2, replaced: 2, conflicts: 5, refused: 0 })
    expect(found.paths).toEqual({
      replaced: [{ path: 'site/a.txt' }, { path: 'h' }],
      conflicts: [
        { path: 'l/x', why: 'l is in the way and is not a folder' },
        { path: 'd', why: 'a dir of this name is there already' },
        { path: 'f/deep/y', why: 'f is in the way and is not a folder' },
        { path: 'g', why: 'a file of this name is there already' },
        { path: 'i', why: 'i is in the way and is not a folder' },
      ],
      refused: [],
      damaged: [],
    })
    expect(outcome(job)).toBe('completed_with_warnings')
    expect(job.parts[0]?.omitted).toBe(5)
  })

  test('the archive itself is in the way of what it holds', async () => {
    const disk = new MemoryDisk()
    const inside = { ...place, archive: at('a.zip') }
    putItems(disk, inside, [file('a.zip'), file('b')])
    const { found } = await dryRun(disk, { ...inPlace, archive: inside.archive })
    expect(found.paths.conflicts).toEqual([{ path: 'a.zip', why: 'it would replace the archive itself' }])
  })

  test('says what is refused, and why', async () => {
    const items = [
      ...[file('../x'), file('/abs'), file('a//b'), folder('..')],
      ...[link('out', '../y'), link('empty', ''), link('root', '/'), file('good')],
      { name: 'dev', mode: 0o60600, data: text('x') },
    ]
    const { job, found, warnings } = await dry(items)
    expect(found).toMatchObject({ files: 1, links: 0, refused: 8, conflicts: 0 })
    expect(names(found.paths.refused)).toEqual(['../x', '/abs', 'a//b', '..', 'out', 'empty', 'root', 'dev'])
    expect(found.paths.refused.every(({ why }) => why !== undefined && why !== '')).toBe(true)
    expect(found.paths.refused[4]?.why).toBe('its target lies outside the restored folder')
    expect(warnings).toHaveLength(8)
    expect(hasGaps(job)).toBe(true)
    expect((await dry(items, { outsideLinks: true })).found).toMatchObject({ links: 2, refused: 6 })
  })

  test('judges links that go up by the folders there will be', async () => {
    const items = [file('d/e/f'), link('through', 'd/e/../../d'), link('up', 'd/none/../x'), link('self', '.')]
    expect((await dry([...items, link('far', 'self/../x')])).found).toMatchObject({ links: 2, refused: 2 })
    const there = (disk: MemoryDisk): void => {
      for (const name of ['', 'd', 'd/none']) disk.mkdir(at(name), 0o755)
    }
    expect((await dry(items, inPlace, there)).found).toMatchObject({ links: 3, refused: 0 })
    const linked = (disk: MemoryDisk): void => {
      disk.mkdir(at(''), 0o755)
      disk.symlink(text('/w'), at('d'))
    }
    // d/e/f and what goes through d: a link is in the way of it.
    expect((await dry(items, inPlace, linked)).found).toMatchObject({ links: 1, refused: 2, conflicts: 1 })
  })

  test('finds names that the archive holds as a file and as a folder', async () => {
    const { found } = await dry([file('a/b'), file('a'), link('l', 'good'), file('l/f'), file('good')])
    expect(names(found.paths.refused)).toEqual(['a', 'l'])
    expect(found.files).toBe(3)
  })

  test('finds what the manifest lists otherwise, or the archive lacks', async () => {
    const size: TestItem = { ...file('b'), line: (line) => ({ ...line, size: 7 }) as typeof line }
    const lost: TestItem = { ...file('c'), line: (line) => ({ ...line, path: text('lost') }) as typeof line }
    const { job, found } = await dry([file('a'), size, lost])
    expect(found).toMatchObject({ files: 2, damaged: 2 })
    expect(found.paths.damaged).toEqual([
      { path: 'b', why: 'the manifest says 7 bytes, the archive 1' },
      { path: 'lost', why: 'the manifest lists it, and the archive does not hold it' },
    ])
    expect(hasGaps(job)).toBe(true)
  })

  test('says that room is missing, and ends all the same', async () => {
    const noise = { name: 'big', data: sample(2 << 20, 'noise'), how: 'store' as const }
    const disk = new MemoryDisk()
    putItems(disk, place, [noise])
    const small = (inner: Disk): Disk =>
      new Proxy(inner, { get: (_, key) => (key === 'free' ? little(disk) : Reflect.get(inner, key)) })
    const { job, found, warnings } = await dryRun(disk, {}, {}, small)
    expect(found).toMatchObject({ need: 2 << 20, free: 1000 })
    expect(warnings).toEqual(['/w/target has 1000 bytes free; the restore needs 2097152'])
    expect(hasGaps(job)).toBe(true)
  })

  test('says where this account may not write', async () => {
    const shut = (names: readonly string[], inner: Disk): Disk =>
      new Proxy(inner, {
        get(_, key) {
          if (key !== 'writable') return Reflect.get(inner, key)
          return (where: string | Buffer) => {
            const ino = inner.stat(where).ino
            return !names.some((name) => inner.stat(name).ino === ino)
          }
        },
      })
    const one = new MemoryDisk()
    putItems(one, place, SITE)
    const above = await dryRun(one, {}, {}, (inner) => shut([place.root], inner))
    expect([above.found.writable, above.warnings]).toEqual([false, ['this account may not write into /w/target']])
    expect(hasGaps(above.job)).toBe(true)

    const two = new MemoryDisk()
    putItems(two, place, [...SITE, file('site/sub/new/n')])
    for (const name of ['', 'site', 'site/sub']) two.mkdir(at(name), 0o755)
    const below = await dryRun(two, inPlace, {}, (inner) => shut([at('site/sub')], inner))
    expect(below.found).toMatchObject({ writable: true, conflicts: 3, files: 1 })
    expect(names(below.found.paths.conflicts)).toEqual(['site/sub/b.bin', 'site/sub/big', 'site/sub/new/n'])
  })

  test('says whether owners, bits and attributes can be set', async () => {
    const items: TestItem[] = [
      { ...file('s'), mode: 0o104755 },
      { ...file('x'), xattrs: { 'user.a': 'YQ==', 'security.b': 'Yg==' } },
      { ...file('y'), xattrs: { 'security.b': 'Yg==' } },
      { ...link('l', 's'), xattrs: { 'user.a': 'YQ==' } },
    ]
    const plain = await dry(items, { owners: true })
    expect(plain.found).toMatchObject({ special: 1, owners: 'not_permitted', xattrs: { entries: 1, settable: false } })
    expect(plain.warnings).toEqual([
      'owners cannot be set: only root may do that',
      's: setuid, setgid or sticky bit left out',
      expect.stringMatching(/^extended attributes/),
    ])
    const parts = { root: true, setfattr: '/usr/bin/setfattr' }
    const root = await dry(items, { owners: true, setuid: true }, () => {}, { parts })
    expect(root.found).toMatchObject({ special: 0, owners: 'set', xattrs: { entries: 2, settable: true } })
    expect(root.warnings).toEqual([])
  })

  test('lists a hundred paths of each kind, and keeps its record small', async () => {
    const bad = Array.from({ length: 150 }, (_, i) => file(`../${i}/${'x'.repeat(250)}`))
    const there = Array.from({ length: 120 }, (_, i) => file(`f${i}`))
    const { job, found } = await dry([...bad, ...there], inPlace, (disk) => {
      disk.mkdir(at(''), 0o755)
      for (const { name } of there) putFile(disk, at(String(name)), 'old')
    })
    expect(found).toMatchObject({ refused: 150, replaced: 120 })
    expect(found.paths.refused).toHaveLength(100)
    expect(names(found.paths.replaced)).toEqual(there.slice(0, 100).map(({ name }) => String(name)))
    const { spec: _, ...record } = job
    expect(encodeRecord(record).length).toBeLessThan(16 << 10)
  })

  test('takes names for one that the target does', async () => {
    const disk = new MemoryDisk()
    putItems(disk, place, [file('readme'), file('README'), file('D/x'), file('d')])
    // A file system that does not tell upper from lower case, as far as a dry run can ask.
    const folding = (inner: Disk): Disk =>
      new Proxy(inner, {
        get(_, key) {
          if (key !== 'lstat') return Reflect.get(inner, key)
          return (where: string | Buffer) => inner.lstat(String(where).replace('/Backups', '/backups'))
        },
      })
    const { found } = await dryRun(disk, {}, {}, folding)
    expect(names(found.paths.refused)).toEqual(['README', 'd'])
  })
})

const little = (disk: MemoryDisk) => (where: string) => (disk.stat(where), 1000)

describe('a dry run says what the restore then does', () => {
  const crowd = (disk: MemoryDisk): void => {
    for (const name of ['', 'd', 'dir']) disk.mkdir(at(name), 0o755)
    disk.symlink(text('/w/backups'), at('l'))
    putFile(disk, at('f'), 'old')
    putFile(disk, at('d/f'), 'old')
  }
  const CASES: [string, TestItem[]][] = [
    ['a site', SITE],
    ['hostile names', [file('../x'), file('a/../b'), file('./x'), file('C:x'), file('ok'), file('..\\x')]],
    ['links', [link('d/up', '..'), link('d/out', '../..'), link('f', 'd'), link('l', 'd'), link('dir', 'd')]],
    ['links through links', [link('here', '.'), link('x', 'here/../y'), link('y', 'dir/../z'), link('z', 'no/../z')]],
    [
      'things in the way',
      [file('l/a'), file('dir'), file('f/x'), folder('l'), folder('f'), file('d/f'), file('new/a/b')],
    ],
    ['a folder where a link is, too', [link('q', 'd'), file('q/f'), file('q/g')]],
    ['a file where a folder is, too', [file('a/b'), file('a')]],
    [
      'modes',
      [
        { ...file('s'), mode: 0o104755 },
        { ...folder('t'), mode: 0o41777 },
      ],
    ],
    ['a line that differs', [{ ...file('s'), line: (line) => ({ ...line, size: 9 }) as typeof line }, file('t')]],
  ]
  const wishes: Partial<RestoreSpec>[] = [{}, inPlace, { ...inPlace, outsideLinks: true }, { patterns: ['d', 'l*'] }]
  test.each(CASES)('%s', async (_, items) => {
    for (const more of wishes) {
      const prepare = more.mode === 'inplace' ? crowd : () => {}
      const { job: foreseen, found, warnings } = await dry(items, more, prepare)
      const disk = new MemoryDisk()
      putItems(disk, place, items)
      prepare(disk)
      const job = await runJob(disk, place, restoreSpecOf(place, more))
      expect([more, foreseen.parts, outcome(foreseen)]).toEqual([more, job.parts, outcome(job)])
      expect(hasGaps(foreseen)).toBe(hasGaps(job))
      expect(found.files).toBe(job.parts[0]?.files)
      const about = (lines: string[]): string[] => lines.map((line) => line.slice(0, line.indexOf(': '))).toSorted()
      expect(about(warnings)).toEqual(about(warningsOf(disk, place)))
    }
  })
})
