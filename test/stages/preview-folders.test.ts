import { expect, test } from 'vitest'
import { FolderNotes, FolderSet } from '../../src/stages/restore/preview/folder-set.ts'
import { foldsCase } from '../../src/stages/restore/preview/folds-case.ts'
import { FILES, restoreSlot } from '../../src/stages/restore/slots.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { faultDisk } from '../helpers/fault-disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { MemoryWork } from '../helpers/memory-work.ts'

const path = (text: string): Buffer[] => text.split('/').map((name) => Buffer.from(name))

test('folders are noted with all above them, neighbours once, and found again', () => {
  const ctx = new MemoryWork().open()
  const notes = new FolderNotes(ctx)
  for (const folder of ['a/b/c', 'a/b/c', 'a/b/d', 'a/b', 'e']) expect(notes.note(path(folder))).toBe(true)
  expect(notes.note([])).toBe(true)
  expect(ctx.file(FILES.previewFolders).length).toBe(5 * 8)
  using set = new FolderSet(ctx)
  const known = ['a', 'a/b', 'a/b/c', 'a/b/d', 'e', 'A', 'b', 'a/c', 'a/b/c/d']
  expect(known.filter((name) => set.has(path(name)))).toEqual(['a', 'a/b', 'a/b/c', 'a/b/d', 'e'])
})

test('where the target takes two spellings for one name, so does the set', () => {
  const ctx = new MemoryWork().open()
  restoreSlot(ctx).folded = true
  new FolderNotes(ctx).note(path('Ä/x'))
  using set = new FolderSet(ctx)
  expect(['ä/X', 'Ä', 'A\u0308', 'x'].map((name) => set.has(path(name)))).toEqual([true, true, true, false])
})

test('more folders than can be held are not noted, and that is told', () => {
  const ctx = new MemoryWork().open()
  const notes = new FolderNotes(ctx, 3)
  expect(['a/b', 'c', 'd', 'e'].map((name) => notes.note(path(name)))).toEqual([true, true, false, false])
  expect(ctx.file(FILES.previewFolders).length).toBe(3 * 8)
})

test('a hundred thousand folders: none is lost, none is found that is not there', () => {
  const ctx = new MemoryWork().open()
  const notes = new FolderNotes(ctx)
  for (let i = 0; i < 100_000; i++) notes.note(path(`d${i % 300}/e${i}`))
  using set = new FolderSet(ctx)
  let found = 0
  for (let i = 0; i < 200_000; i++) if (set.has(path(`d${i % 300}/e${i}`))) found++
  expect(found).toBe(100_000)
})

test('whether case counts is seen by what is there, and nothing is made for it', () => {
  const disk = new MemoryDisk()
  disk.mkdir('/target', 0o755)
  expect(foldsCase(disk, '/target')).toBe(false)
  expect(foldsCase(disk, '/')).toBe(false)
  putFile(disk, '/target/1', '')
  putFile(disk, '/target/é', '')
  const folding = (from: string, to: string): Disk => ({
    ...faultDisk(disk),
    lstat: (at) => disk.lstat(String(at).replace(from, to)),
  })
  expect(foldsCase(folding('/Target', '/target'), '/target')).toBe(true)
  putFile(disk, '/target/Name', '')
  expect(foldsCase(folding('/Target', '/target'), '/target')).toBe(false)
  expect(foldsCase(folding('/target/name', '/target/Name'), '/target')).toBe(true)
  disk.link('/target/Name', '/target/name')
  expect(foldsCase(disk, '/target')).toBe(false)
})
