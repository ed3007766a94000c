import { describe, expect, it } from 'vitest'
import { writeFully } from '../../src/lib/disk.ts'
import { codeOf } from '../suites/disk.ts'
import { contentOf, putFile, treeOf } from './disk-tree.ts'
import { MemoryDisk } from './memory-disk.ts'
import { seeded } from './random.ts'

const text = (disk: MemoryDisk, path: string): string => contentOf(disk, path).toString('latin1')

function syncPath(disk: MemoryDisk, path: string): void {
  const fd = disk.open(path, 'read')
  disk.fsync(fd)
  disk.close(fd)
}

/** The different trees that many power cuts leave, as text. */
function statesAfter(disk: MemoryDisk, cuts = 400): Set<string> {
  const states = new Set<string>()
  for (let seed = 0; seed < cuts; seed++) states.add(JSON.stringify(treeOf(disk.powerCut(seeded(seed)))))
  return states
}

function durableFile(content: string): MemoryDisk {
  const disk = new MemoryDisk()
  putFile(disk, '/a', content)
  syncPath(disk, '/a')
  syncPath(disk, '/')
  return disk
}

describe('power cuts: content', () => {
  it('loses a file of which nothing was synced, and keeps what was', () => {
    const disk = new MemoryDisk()
    putFile(disk, '/a', 'one')
    expect(treeOf(disk.powerCut('lose'))).toEqual({})
    syncPath(disk, '/')
    expect(treeOf(disk.powerCut('lose'))).toEqual({ '/a': '' })
    syncPath(disk, '/a')
    expect(treeOf(disk.powerCut('lose'))).toEqual({ '/a': 'one' })
    expect(treeOf(disk)).toEqual({ '/a': 'one' })
  })
  it('keeps, loses or tears each unsynced write by itself', () => {
    const disk = durableFile('abcdef')
    const fd = disk.open('/a', 'update')
    writeFully(disk, fd, Buffer.from('XY'), 1)
    writeFully(disk, fd, Buffer.from('123'), 6)
    const states = statesAfter(disk)
    for (const legal of ['abcdef', 'aXYdef', 'aXcdef', 'abcdef123', 'aXYdef12', 'abcdef\0\0\0', 'aXYdef123']) {
      expect(states).toContain(JSON.stringify({ '/a': legal }))
    }
    for (const state of states) expect(state).toMatch(/^\{"\/a":"a(bc|Xc|XY)def(|1|12|123|(\\u0000){3})"\}$/)
  })
  it('keeps any of the pages of a long write', () => {
    const disk = durableFile('')
    const fd = disk.open('/a', 'update')
    writeFully(disk, fd, Buffer.alloc(3 * 4096, 'x'), 0)
    const pages = new Set<string>()
    for (let seed = 0; seed < 400; seed++) {
      const bytes = contentOf(disk.powerCut(seeded(seed)), '/a')
      if (bytes.length === 3 * 4096) pages.add([0, 1, 2].map((p) => (bytes[p * 4096] === 0 ? '.' : 'x')).join(''))
    }
    expect([...pages]).toEqual(expect.arrayContaining(['...', 'x.x', '.x.', 'xxx']))
  })
  it('may bring back what an unsynced truncation cut', () => {
    const disk = durableFile('abcdef')
    const fd = disk.open('/a', 'update')
    disk.truncate(fd, 2)
    expect(statesAfter(disk)).toEqual(new Set([JSON.stringify({ '/a': 'ab' }), JSON.stringify({ '/a': 'abcdef' })]))
    disk.datasync(fd)
    expect(text(disk.powerCut('lose'), '/a')).toBe('ab')
  })
  it('syncs in the background only what was written before the call, and only when it is done', async () => {
    const disk = durableFile('')
    const fd = disk.open('/a', 'update')
    writeFully(disk, fd, Buffer.from('1'), 0)
    const done = disk.datasyncAsync(fd)
    writeFully(disk, fd, Buffer.from('2'), 1)
    expect(text(disk.powerCut('lose'), '/a')).toBe('')
    await done
    expect(text(disk.powerCut('lose'), '/a')).toBe('1')
  })
  it('reports a descriptor that was closed while its sync was under way', async () => {
    const disk = durableFile('')
    const fd = disk.open('/a', 'update')
    const done = disk.datasyncAsync(fd)
    disk.close(fd)
    disk.open('/a', 'update')
    await expect(done).rejects.toMatchObject({ code: 'EBADF' })
  })
  it('loses for good what a failed sync dropped, whatever is synced later', () => {
    for (const evict of [true, false]) {
      const disk = durableFile('abc')
      const fd = disk.open('/a', 'update')
      writeFully(disk, fd, Buffer.from('XYZ'), 0)
      disk.dropUnsynced(fd, evict)
      expect(text(disk, '/a')).toBe(evict ? 'abc' : 'XYZ')
      disk.datasync(fd)
      expect(text(disk.powerCut('lose'), '/a')).toBe('abc')
    }
  })
})

describe('power cuts: names', () => {
  it('shows the old or the new file at a rename, never none', () => {
    const disk = durableFile('old')
    putFile(disk, '/t', 'new')
    syncPath(disk, '/t')
    disk.rename('/t', '/a')
    const legal = [{ '/a': 'old' }, { '/a': 'new' }, { '/a': 'old', '/t': 'new' }].map((s) => JSON.stringify(s))
    expect([...statesAfter(disk)].sort()).toEqual([...legal].sort())
    expect(treeOf(disk.powerCut('lose'))).toEqual({ '/a': 'old' })
    syncPath(disk, '/')
    expect(statesAfter(disk)).toEqual(new Set([JSON.stringify({ '/a': 'new' })]))
  })
  it('loses any subset that respects the order of each name', () => {
    const disk = new MemoryDisk()
    for (const name of ['/a', '/b', '/c']) disk.mkdir(name, 0o700)
    disk.rmdir('/c')
    const states = [...statesAfter(disk)].map((s) => Object.keys(JSON.parse(s) as object).join(''))
    expect(states.sort()).toEqual(['', '/a', '/a/b', '/a/b/c', '/a/c', '/b', '/b/c', '/c'])
  })
  it('moves between folders as one operation, whichever folder is synced', () => {
    for (const synced of ['/x', '/y']) {
      const disk = new MemoryDisk()
      disk.mkdir('/x', 0o700)
      disk.mkdir('/y', 0o700)
      putFile(disk, '/x/f', '')
      for (const folder of ['/', '/x']) syncPath(disk, folder)
      disk.rename('/x/f', '/y/f')
      const seen = [...statesAfter(disk)].map((s) => Object.keys(JSON.parse(s) as object).join(' '))
      expect(seen.sort()).toEqual(['/x /x/f /y', '/x /y /y/f'])
      syncPath(disk, synced)
      expect(Object.keys(treeOf(disk.powerCut('lose')))).toEqual(['/x', '/y', '/y/f'])
    }
  })
  it('never has a folder gone while what was moved out of it is lost', () => {
    const disk = new MemoryDisk()
    disk.mkdir('/x', 0o700)
    putFile(disk, '/x/f', '')
    for (const folder of ['/', '/x']) syncPath(disk, folder)
    disk.rename('/x/f', '/f')
    disk.rmdir('/x')
    const seen = [...statesAfter(disk)].map((s) => Object.keys(JSON.parse(s) as object).join(' '))
    expect(seen.sort()).toEqual(['/f', '/f /x', '/x /x/f'])
  })
  it('loses a whole tree whose top was not synced', () => {
    const disk = new MemoryDisk()
    disk.mkdir('/d', 0o700)
    putFile(disk, '/d/f', 'x')
    syncPath(disk, '/d/f')
    syncPath(disk, '/d')
    expect(treeOf(disk.powerCut('lose'))).toEqual({})
    syncPath(disk, '/')
    expect(treeOf(disk.powerCut('lose'))).toEqual({ '/d': 'dir', '/d/f': 'x' })
  })
  it('gives a linked file one content under both names', () => {
    const disk = durableFile('x')
    disk.link('/a', '/b')
    syncPath(disk, '/')
    const cut = disk.powerCut('lose')
    expect(cut.lstat('/a')).toMatchObject({ nlink: 2, ino: cut.lstat('/b').ino })
  })
  it('is the same for the same seed', () => {
    const disk = durableFile('x')
    for (let i = 0; i < 20; i++) putFile(disk, `/f${i}`, 'content')
    expect(treeOf(disk.powerCut(seeded(7)))).toEqual(treeOf(disk.powerCut(seeded(7))))
  })
})

describe('processes, copies, space', () => {
  it('keeps everything but the descriptors when the process dies', () => {
    const disk = new MemoryDisk()
    const fd = disk.open('/a', 'create')
    writeFully(disk, fd, Buffer.from('x'), 0)
    const next = disk.kill()
    expect(text(next, '/a')).toBe('x')
    expect(codeOf(() => next.fstat(fd))).toBe('EBADF')
    expect(() => disk.lstat('/a')).toThrow('killed')
  })
  it('shows other processes the same files, under descriptors of their own', () => {
    const disk = durableFile('x')
    const other = disk.process()
    const fd = other.open('/a', 'update')
    expect(codeOf(() => disk.fstat(fd))).toBe('EBADF')
    writeFully(other, fd, Buffer.from('y'), 0)
    expect(text(disk, '/a')).toBe('y')
  })
  it('copies independently', () => {
    const disk = durableFile('abc')
    const copy = disk.clone()
    const fd = copy.open('/a', 'update')
    writeFully(copy, fd, Buffer.from('X'), 0)
    putFile(copy, '/b', '')
    expect(treeOf(disk)).toEqual({ '/a': 'abc' })
    expect(treeOf(copy)).toEqual({ '/a': 'Xbc', '/b': '' })
    disk.unlink('/a')
    expect(text(copy, '/a')).toBe('Xbc')
  })
  it('is full at its capacity, after writing what still fits', () => {
    const disk = new MemoryDisk({ capacity: 10 })
    const fd = disk.open('/a', 'create')
    expect(disk.write(fd, Buffer.alloc(8), 0, 8, 0)).toBe(8)
    expect(disk.write(fd, Buffer.alloc(8), 0, 8, 8)).toBe(2)
    expect(codeOf(() => disk.write(fd, Buffer.alloc(8), 0, 8, 10))).toBe('ENOSPC')
    expect(codeOf(() => disk.truncate(fd, 11))).toBe('ENOSPC')
    expect(disk.write(fd, Buffer.alloc(8), 0, 8, 0)).toBe(8)
    disk.unlink('/a')
    expect(disk.free('/')).toBe(0)
    disk.close(fd)
    expect(disk.free('/')).toBe(10)
  })
  it('puts folders on other devices where a test wants them', () => {
    const disk = new MemoryDisk()
    disk.mkdir('/mnt', 0o700)
    disk.setDevice('/mnt', 9n)
    putFile(disk, '/mnt/f', '')
    expect([disk.lstat('/').dev, disk.lstat('/mnt').dev, disk.lstat('/mnt/f').dev]).toEqual([1n, 9n, 9n])
  })
})
