import fs from 'node:fs'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { openDirectory, type DirectoryEnv } from '../../src/source/directory.ts'
import { countDirectory, newCount } from '../../src/source/count.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { displayName } from '../../src/lib/entry-path.ts'
import { makeTree, temporaryFolder } from '../helpers/tree.ts'

/** A disk that says which files' content was looked at. */
function watched(): { disk: Disk; opened: string[] } {
  const opened: string[] = []
  const disk: Disk = {
    ...realDisk,
    open(at, mode) {
      if (mode === 'read') opened.push(path.basename(at.toString()))
      return realDisk.open(at, mode)
    },
  }
  return { disk, opened }
}

function envOf(disk: Disk, copied: string[]): DirectoryEnv {
  return {
    disk,
    own: [],
    list: null,
    signal: new AbortController().signal,
    log: () => undefined,
    tools: null,
    databases: {
      async *copy(entry, file) {
        copied.push(file === null ? 'none' : path.basename(file.toString()))
        yield { type: 'pause', message: 'copying', waits: true }
        return entry
      },
      isFile: () => false,
    },
  }
}

test('only files that could be databases are looked into, and only by the walk that stores', async () => {
  using folder = temporaryFolder()
  makeTree(folder.path, {
    'a.txt': 'x'.repeat(511),
    'b.bin': Buffer.alloc(513),
    'c.bin': Buffer.alloc(1024),
    'd.db-wal': 'no database beside it',
    'e.db': '',
    'f.db': Buffer.alloc(513),
  })
  using db = new DatabaseSync(path.join(folder.path, 'real.db'))
  db.exec('PRAGMA journal_mode=WAL; CREATE TABLE a (x)')
  fs.linkSync(path.join(folder.path, 'real.db'), path.join(folder.path, 'zweiter name'))
  const { disk, opened } = watched()
  const copied: string[] = []
  const spec = { type: 'directory', path: folder.path, label: 'src', xattrs: false } as const
  const said: string[] = []
  for await (const item of openDirectory(spec, envOf(disk, copied)).items(null)) {
    if (item.type !== 'entry') continue
    if (item.prepare !== undefined) said.push(`${displayName(item.path)} prepared`)
    const instead = item.instead?.() ?? null
    if (instead !== null) said.push(`${displayName(item.path)} ${instead.reason} ${String(instead.quiet)}`)
  }
  expect(said).toEqual([
    'src/real.db prepared',
    'src/real.db-shm database_side_file true',
    'src/real.db-wal database_side_file true',
    'src/zweiter name prepared',
  ])
  expect([...new Set(opened)].toSorted()).toEqual(['c.bin', 'f.db', 'real.db', 'zweiter name'])
  opened.length = 0
  const { databases: _, ...counting } = envOf(disk, copied)
  for await (const seen of countDirectory(spec, counting, newCount())) expect(seen).toBeDefined()
  expect(opened.filter((name) => name !== 'real.db')).toEqual([])
})

test('a journal that is gone again when its turn comes is no gap; without a database beside it, it is', async () => {
  using folder = temporaryFolder()
  using db = new DatabaseSync(path.join(folder.path, 'x.db'))
  db.exec('CREATE TABLE a (x)')
  makeTree(folder.path, { 'x.db-journal': 'gone soon', 'y.txt-journal': 'gone soon' })
  const disk: Disk = {
    ...realDisk,
    lstat(at) {
      if (at.toString().endsWith('-journal')) throw Object.assign(new Error('gone'), { code: 'ENOENT' })
      return realDisk.lstat(at)
    },
  }
  const said: string[] = []
  const spec = { type: 'directory', path: folder.path, label: 'src', xattrs: false } as const
  for await (const item of openDirectory(spec, envOf(disk, [])).items(null)) {
    if (item.type === 'omission' && item.reason !== 'metadata_not_kept') {
      said.push(`${displayName(item.path)} ${item.reason} ${String(item.quiet)}`)
    }
  }
  expect(said).toEqual(['src/x.db-journal database_side_file true', 'src/y.txt-journal vanished undefined'])
})
