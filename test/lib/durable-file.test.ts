import { describe, expect, it } from 'vitest'
import {
  createFileOnce,
  ensureFolder,
  readFileIfThere,
  removeIfThere,
  removeTree,
  replaceFile,
  syncFolder,
} from '../../src/lib/durable-file.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { enumerateFaults, type World } from '../faults/enumerate.ts'
import { putFile, treeOf } from '../helpers/disk-tree.ts'
import { everyCall, faultDisk, type Fault } from '../helpers/fault-disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { codeOf } from '../suites/disk.ts'

const OLD = Buffer.from('the old content')
const NEW = Buffer.from('the new content, which is longer')
const text = (disk: Disk, path: string): string | undefined => readFileIfThere(disk, path)?.toString()

function withFolder(old: Buffer | null): MemoryDisk {
  const disk = new MemoryDisk()
  disk.mkdir('/d', 0o700)
  syncFolder(disk, '/')
  if (old !== null) replaceFile(disk, '/d/state', old)
  return disk
}

interface Replacing extends World {
  done: boolean
}

describe('replaceFile', () => {
  it.each([
    ['over an old file', OLD],
    ['where nothing was', null],
  ])('leaves the old or the new content, never neither, and the new once it has returned: %s', async (_, old) => {
    const report = await enumerateFaults<Replacing>({
      build: () => ({ disk: withFolder(old), done: false }),
      run(disk, world) {
        replaceFile(disk, '/d/state', NEW)
        world.done = true
      },
      checkCrashed(disk, world) {
        const allowed = world.done ? [NEW.toString()] : [old?.toString(), NEW.toString()]
        expect(allowed).toContain(text(disk, '/d/state'))
      },
      check: (disk) => expect(text(disk, '/d/state')).toBe(NEW.toString()),
      cuts: 25,
    })
    expect(report.points.power?.of).toBe(6)
  })
  it('leaves no temporary file behind when it fails', () => {
    for (let at = 1; at <= 5; at++) {
      const inner = withFolder(OLD)
      const fault: Fault = { kind: 'error', code: 'EIO' }
      expect(codeOf(() => replaceFile(faultDisk(inner, { at, fault }), '/d/state', NEW))).toBe('EIO')
      expect(Object.keys(treeOf(inner))).toEqual(['/d', '/d/state'])
      expect(text(inner, '/d/state')).toBe((at < 5 ? OLD : NEW).toString())
    }
  })
  it('works through a link to the folder', () => {
    const disk = withFolder(OLD)
    disk.symlink(Buffer.from('d'), '/link')
    replaceFile(disk, '/link/state', NEW)
    expect(text(disk.powerCut('lose'), '/d/state')).toBe(NEW.toString())
  })
  it('takes a folder that cannot be synced for what it is, and no other error', () => {
    const without = (code: 'EINVAL' | 'EIO'): Disk => {
      const disk = withFolder(null)
      const fsync = (): never => {
        throw Object.assign(new Error(code), { code })
      }
      return new Proxy(disk, { get: (d, name: keyof Disk) => (name === 'fsync' ? fsync : d[name].bind(d)) })
    }
    expect(codeOf(() => replaceFile(without('EINVAL'), '/d/state', NEW))).toBe('done')
    expect(codeOf(() => replaceFile(without('EIO'), '/d/state', NEW))).toBe('EIO')
  })
})

interface Racing extends World {
  wins: string[]
}

const claim = (disk: Disk, world: Racing, who: string): boolean => {
  const won = createFileOnce(disk, '/d/lock', Buffer.from(`${who} was here`))
  if (won) world.wins.push(who)
  return won
}

describe('createFileOnce', () => {
  it('has exactly one winner, whose bytes are whole, wherever the first one dies', async () => {
    await enumerateFaults<Racing>({
      build: () => ({ disk: withFolder(null), wins: [] }),
      run: (disk, world) => void claim(disk, world, 'first'),
      finish: (disk, world) => void claim(disk, world, 'second'),
      checkCrashed(disk, world) {
        if (world.wins.includes('first')) expect(text(disk, '/d/lock')).toBe('first was here')
      },
      check(disk, world) {
        expect(world.wins.length).toBeLessThanOrEqual(1) // none: dead, or told of an error, after it had won
        expect(text(disk, '/d/lock')).toMatch(/^(first|second) was here$/)
        if (world.wins[0] !== undefined) expect(text(disk, '/d/lock')).toBe(`${world.wins[0]} was here`)
      },
      cuts: 25,
    })
  })
  it('has exactly one winner, wherever a second process comes in between', () => {
    const calls = faultDisk(withFolder(null), { counts: everyCall })
    createFileOnce(calls, '/d/lock', OLD)
    for (let at = 1; at <= calls.counted; at++) {
      const world: Racing = { disk: withFolder(null), wins: [] }
      let seen = 0
      const between = (): boolean => {
        if (++seen === at) claim(world.disk.process(), world, 'second')
        return false
      }
      claim(faultDisk(world.disk, { counts: between }), world, 'first')
      expect(world.wins).toHaveLength(1)
      expect(treeOf(world.disk)).toEqual({ '/d': 'dir', '/d/lock': `${world.wins[0]} was here` })
    }
  })
  it('leaves what is there alone', () => {
    const disk = withFolder(OLD)
    expect(createFileOnce(disk, '/d/state', NEW)).toBe(false)
    expect(treeOf(disk)).toEqual({ '/d': 'dir', '/d/state': OLD.toString() })
  })
  it('leaves no temporary file behind when it fails', () => {
    for (let at = 1; at <= 4; at++) {
      const inner = withFolder(null)
      const fault: Fault = { kind: 'error', code: 'ENOSPC' }
      expect(codeOf(() => createFileOnce(faultDisk(inner, { at, fault }), '/d/lock', NEW))).toBe('ENOSPC')
      expect(treeOf(inner)).toEqual({ '/d': 'dir' })
    }
  })
})

describe('reading and removing', () => {
  it('reads a whole file, by short reads too, or says that there is none', () => {
    const disk = withFolder(NEW)
    expect(text(faultDisk(disk, { short: { reads: 'half' } }), '/d/state')).toBe(NEW.toString())
    expect(readFileIfThere(disk, '/d/none')).toBeNull()
    expect(readFileIfThere(disk, '/none/none')).toBeNull()
    expect(codeOf(() => readFileIfThere(disk, '/d/state/x'))).toBe('ENOTDIR')
    expect(codeOf(() => readFileIfThere(disk, '/d'))).toBe('EISDIR')
    expect(disk.openDescriptors).toBe(0)
  })
  it('removes what is there and minds nothing else', () => {
    const disk = withFolder(OLD)
    removeIfThere(disk, '/d/state')
    removeIfThere(disk, '/d/state')
    expect(treeOf(disk)).toEqual({ '/d': 'dir' })
    expect(codeOf(() => removeIfThere(disk, '/d'))).toBe('EISDIR')
  })
  it('removes a tree with names of any bytes, and no link’s target', () => {
    const disk = withFolder(OLD)
    const strange = Buffer.concat([Buffer.from('/d/'), Buffer.from([0xff, 0xfe])])
    disk.mkdir(strange, 0o700)
    putFile(disk, Buffer.concat([strange, Buffer.from('/x')]), '')
    disk.mkdir('/kept', 0o700)
    putFile(disk, '/kept/file', '')
    disk.symlink(Buffer.from('/kept'), '/d/link')
    removeTree(disk, '/d')
    expect(treeOf(disk)).toEqual({ '/kept': 'dir', '/kept/file': '' })
    removeTree(disk, '/d')
    disk.symlink(Buffer.from('/kept'), '/link')
    removeTree(disk, '/link')
    expect(Object.keys(treeOf(disk))).toEqual(['/kept', '/kept/file'])
  })
  it('does not mind if others remove the same tree', () => {
    const calls = faultDisk(withFolder(OLD), { counts: everyCall })
    removeTree(calls, '/d')
    for (let at = 1; at <= calls.counted; at++) {
      const disk = withFolder(OLD)
      let seen = 0
      const between = (): boolean => {
        if (++seen === at) removeTree(disk.process(), '/d')
        return false
      }
      removeTree(faultDisk(disk, { counts: between }), '/d')
      expect(treeOf(disk)).toEqual({})
    }
  })
})

describe('ensureFolder', () => {
  it('makes a path that lasts, wherever its predecessor died', async () => {
    await enumerateFaults({
      build: () => ({ disk: new MemoryDisk() }),
      run: (disk) => ensureFolder(disk, '/a/b/c'),
      check: (disk) => expect(treeOf(disk)).toEqual({ '/a': 'dir', '/a/b': 'dir', '/a/b/c': 'dir' }),
      cuts: 10,
    })
  })
  it('is content with what is there if it is a folder', () => {
    const disk = withFolder(OLD)
    ensureFolder(disk, '/d')
    ensureFolder(disk, '/')
    disk.symlink(Buffer.from('d'), '/link')
    ensureFolder(disk, '/link/sub')
    expect(disk.lstat('/d/sub').kind).toBe('dir')
    expect(codeOf(() => ensureFolder(disk, '/d/state'))).toBe('EEXIST')
    expect(codeOf(() => ensureFolder(disk, '/d/state/x'))).toBe('ENOTDIR')
    disk.symlink(Buffer.from('nowhere'), '/dangling')
    expect(codeOf(() => ensureFolder(disk, '/dangling/x'))).toBe('EEXIST')
  })
  it('does without syncing a parent it may not read', () => {
    const refusing = faultDisk(withFolder(null), {
      counts: (call) => call.name === 'open',
      at: 1,
      fault: { kind: 'error', code: 'EACCES' },
    })
    ensureFolder(refusing, '/d/e')
    expect(refusing.struck?.path).toBe('//.')
    expect(refusing.lstat('/d/e').mode & 0o777).toBe(0o700)
  })
})
