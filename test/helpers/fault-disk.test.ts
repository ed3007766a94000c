import { describe, expect, it } from 'vitest'
import { readFully, writeFully, type Disk } from '../../src/lib/disk.ts'
import { codeOf, diskSuite } from '../suites/disk.ts'
import { contentOf, putFile, treeOf } from './disk-tree.ts'
import { changes, everyCall, faultDisk, mayFailWith, Stopped, syncs, type FaultPlan } from './fault-disk.ts'
import { MemoryDisk } from './memory-disk.ts'
import { seeded } from './random.ts'

diskSuite('memory behind a fault disk without a fault', () => {
  const inner = new MemoryDisk()
  inner.mkdir('/work', 0o700)
  return { disk: faultDisk(inner), folder: '/work', mkfifo: (at) => inner.mknod(at, 'fifo'), dispose: () => {} }
})

/** Five changes: create, write, datasync, rename, fsync. */
function protocol(disk: Disk): void {
  const fd = disk.open('/t', 'create')
  writeFully(disk, fd, Buffer.from('abcdef'), 0)
  disk.datasync(fd)
  disk.close(fd)
  disk.rename('/t', '/a')
  const folder = disk.open('/', 'dir')
  disk.fsync(folder)
  disk.close(folder)
}

function attempt(plan: FaultPlan): { inner: MemoryDisk; disk: ReturnType<typeof faultDisk>; error: unknown } {
  const inner = new MemoryDisk()
  const disk = faultDisk(inner, plan)
  try {
    protocol(disk)
    return { inner, disk, error: null }
  } catch (error) {
    return { inner, disk, error }
  }
}

describe('counting', () => {
  it('counts the calls asked for, and tells what they were', () => {
    expect(attempt({}).disk.counted).toBe(5)
    expect(attempt({ counts: changes }).disk.counted).toBe(5)
    expect(attempt({ counts: everyCall }).disk.counted).toBe(8)
    expect(attempt({ counts: syncs }).disk.counted).toBe(2)
    expect(attempt({ record: true }).disk.trace).toEqual([
      'call 1: open create /t',
      'call 2: write /t 6 bytes',
      'call 3: datasync /t',
      'call 4: close /t',
      'call 5: rename /t → /a',
      'call 6: open dir /',
      'call 7: fsync /',
      'call 8: close /',
    ])
  })
})

describe('stopping', () => {
  it('leaves exactly what was done before, inside or after the call', () => {
    const tree = (at: number, when: 'before' | 'inside' | 'after'): Record<string, string> =>
      treeOf(attempt({ at, fault: { kind: 'stop', when } }).inner)
    expect(tree(1, 'before')).toEqual({})
    expect(tree(1, 'inside')).toEqual({})
    expect(tree(1, 'after')).toEqual({ '/t': '' })
    expect(tree(2, 'before')).toEqual({ '/t': '' })
    expect(tree(2, 'inside')).toEqual({ '/t': 'abc' })
    expect(tree(2, 'after')).toEqual({ '/t': 'abcdef' })
    expect(tree(4, 'before')).toEqual({ '/t': 'abcdef' })
    expect(tree(4, 'after')).toEqual({ '/a': 'abcdef' })
    expect(tree(99, 'before')).toEqual({ '/a': 'abcdef' })
  })
  it('stays dead, for calls that return a promise too', async () => {
    const { disk, error } = attempt({ at: 2, fault: { kind: 'stop', when: 'before' } })
    expect(error).toBeInstanceOf(Stopped)
    expect(disk.stopped).toBe(true)
    expect(disk.struck?.name).toBe('write')
    expect(() => disk.lstat('/')).toThrow(Stopped)
    expect(() => disk.close(3)).toThrow(Stopped)
    await expect(disk.datasyncAsync(3)).rejects.toBeInstanceOf(Stopped)
  })
  it('lets a background sync run to its end although nobody hears of it', async () => {
    for (const [when, left] of [
      ['before', ''],
      ['after', 'x'],
    ] as const) {
      const inner = new MemoryDisk()
      putFile(inner, '/a', '')
      for (const path of ['/a', '/']) inner.fsync(inner.open(path, 'read'))
      const disk = faultDisk(inner, { counts: syncs, at: 1, fault: { kind: 'stop', when } })
      const fd = disk.open('/a', 'update')
      writeFully(disk, fd, Buffer.from('x'), 0)
      await expect(disk.datasyncAsync(fd)).rejects.toBeInstanceOf(Stopped)
      expect(contentOf(inner.powerCut('lose'), '/a').toString()).toBe(left)
    }
  })
})

describe('errors', () => {
  it('fails once, or from then on', () => {
    const once = attempt({ at: 2, fault: { kind: 'error', code: 'ENOSPC' } })
    expect(once.error).toMatchObject({ code: 'ENOSPC', syscall: 'write', path: '/t' })
    expect(once.disk.stopped).toBe(false)
    once.disk.unlink('/t')
    protocol(once.disk)
    const sticky = attempt({ at: 2, fault: { kind: 'error', code: 'EROFS', sticky: true } })
    expect(codeOf(() => sticky.disk.unlink('/t'))).toBe('EROFS')
    expect(sticky.disk.lstat('/t').size).toBe(0)
  })
  it('writes half before a disk is full, if asked', () => {
    const { inner } = attempt({ at: 2, fault: { kind: 'error', code: 'ENOSPC', partial: true } })
    expect(treeOf(inner)).toEqual({ '/t': 'abc' })
  })
  it('loses for good what a failed sync should have written', () => {
    const { inner, disk, error } = attempt({ counts: syncs, at: 1, fault: { kind: 'error', code: 'EIO' } })
    expect(error).toMatchObject({ code: 'EIO', syscall: 'datasync' })
    const fd = disk.open('/t', 'update')
    disk.datasync(fd)
    disk.fsync(disk.open('/', 'dir'))
    expect(treeOf(inner.powerCut('lose'))).toEqual({ '/t': '' })
  })
  it('knows which call can fail with what', () => {
    const all = faultDisk(new MemoryDisk(), { record: true })
    protocol(all)
    const refused = (code: 'ENOSPC' | 'EROFS' | 'EMFILE'): (string | undefined)[] => {
      const names: string[] = []
      attempt({ counts: (call) => mayFailWith(call, code) && names.push(call.name) > 0 })
      return names
    }
    expect(refused('ENOSPC')).toEqual(['open', 'write', 'datasync', 'rename', 'fsync'])
    expect(refused('EROFS')).toEqual(['open', 'write', 'rename'])
    expect(refused('EMFILE')).toEqual(['open', 'open'])
  })
  it('fails in the middle of reading a folder', () => {
    const inner = new MemoryDisk()
    for (const name of ['/a', '/b', '/c']) putFile(inner, name, '')
    const disk = faultDisk(inner, { counts: (c) => c.name === 'next', at: 2, fault: { kind: 'error', code: 'EIO' } })
    const reader = disk.opendir('/')
    expect(reader.next()).not.toBeNull()
    expect(codeOf(() => reader.next())).toBe('EIO')
  })
})

describe('short calls', () => {
  it('writes and reads in parts; who wants all goes on', () => {
    const short = { writes: 'half', reads: seeded(3) } as const
    const disk = faultDisk(new MemoryDisk(), { short })
    const fd = disk.open('/a', 'create')
    expect(disk.write(fd, Buffer.from('abcd'), 0, 4, 0)).toBe(2)
    writeFully(disk, fd, Buffer.from('0123456789'), 0)
    const into = Buffer.alloc(20)
    expect(readFully(disk, fd, into, 20, 0)).toBe(10)
    expect(into.subarray(0, 10).toString()).toBe('0123456789')
  })
})
