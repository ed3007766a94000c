import { describe, expect, it } from 'vitest'
import { AppendFile } from '../../src/lib/append-file.ts'
import type { Disk } from '../../src/lib/disk.ts'
import { contentOf, putFile, treeOf } from '../helpers/disk-tree.ts'
import { faultDisk, syncs } from '../helpers/fault-disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'

const MIB = 1 << 20
const bytes = (text: string): Buffer => Buffer.from(text)

function diskWith(content: string): MemoryDisk {
  const disk = new MemoryDisk()
  putFile(disk, '/w', content)
  for (const path of ['/w', '/']) {
    const fd = disk.open(path, 'read')
    disk.fsync(fd)
    disk.close(fd)
  }
  return disk
}
const onDisk = (disk: Disk): string => contentOf(disk, '/w').toString('latin1')
/** What is left of a commit after a power cut that loses all else. The file's name is its caller's affair (`created`). */
function durable(disk: MemoryDisk): string {
  const fd = disk.open('/', 'dir')
  disk.fsync(fd)
  disk.close(fd)
  return onDisk(disk.powerCut('lose'))
}

async function commit(file: AppendFile): Promise<number> {
  const length = await file.sync()
  file.committed()
  return length
}

describe('opening', () => {
  it('cuts what a killed process left beyond the committed length', () => {
    const disk = diskWith('committed, and a tail')
    const file = AppendFile.open(disk, '/w', 9)
    expect(onDisk(disk)).toBe('committed')
    expect([file.length, file.dirty, file.created]).toEqual([9, false, false])
    file.close()
    expect(disk.openDescriptors).toBe(0)
  })
  it('makes anew what holds nothing committed: a late owner may still write to the old file', () => {
    const disk = diskWith('')
    const late = disk.open('/w', 'update')
    const file = AppendFile.open(disk, '/w', 0)
    expect(file.created).toBe(true)
    file.write(bytes('ours'))
    file.flush()
    disk.write(late, bytes('theirs'), 0, 6, 0)
    expect(onDisk(disk)).toBe('ours')
  })
  it('asks whether the file is still ours before it cuts', () => {
    const disk = diskWith('committed, and a tail')
    const refuse = (): never => {
      throw new Error('lost the lease')
    }
    expect(() => AppendFile.open(disk, '/w', 9, refuse)).toThrow('lost the lease')
    expect(onDisk(disk)).toBe('committed, and a tail')
    expect(disk.openDescriptors).toBe(0)
  })
  it('says that the file is lost if it is shorter than committed, or gone', () => {
    const disk = diskWith('short')
    expect(() => AppendFile.open(disk, '/w', 6)).toThrow(
      expect.objectContaining({ code: 'WORK_FILE_LOST', data: { path: '/w', committed: 6, size: 5 } }),
    )
    expect(() => AppendFile.open(disk, '/none', 1)).toThrow(
      expect.objectContaining({ code: 'WORK_FILE_LOST', data: { path: '/none', committed: 1, size: null } }),
    )
    expect(disk.openDescriptors).toBe(0)
    expect(onDisk(disk)).toBe('short')
  })
  it('passes on what the system says of a path that is not a file', () => {
    const disk = diskWith('')
    disk.symlink(bytes('w'), '/link')
    expect(() => AppendFile.open(disk, '/link', 0)).toThrow(expect.objectContaining({ code: 'ELOOP' }))
    expect(() => AppendFile.open(disk, '/', 0)).toThrow(expect.objectContaining({ code: 'EISDIR' }))
  })
  it('creates a file only when there is something to put into it', async () => {
    const disk = new MemoryDisk()
    const file = AppendFile.open(disk, '/w', 0)
    expect(await commit(file)).toBe(0)
    expect(treeOf(disk)).toEqual({})
    file.write(bytes('x'))
    expect(treeOf(disk)).toEqual({})
    file.flush()
    expect(file.created).toBe(true)
    expect(onDisk(disk)).toBe('x')
    await commit(file)
    expect(file.created).toBe(false)
  })
  it('counts a found file without committed bytes as new: its name may not be durable', () => {
    const file = AppendFile.open(diskWith('tail'), '/w', 0)
    expect([file.created, file.length]).toEqual([true, 0])
  })
})

describe('writing', () => {
  it('copies what it is given and writes it when asked', () => {
    const disk = diskWith('')
    const file = AppendFile.open(disk, '/w', 0)
    const reused = bytes('abc')
    file.write(reused)
    reused.fill('z')
    expect([file.length, file.dirty, onDisk(disk)]).toEqual([3, true, ''])
    file.flush()
    expect([file.length, file.dirty, onDisk(disk)]).toEqual([3, true, 'abc'])
  })
  it('keeps the order of small and large pieces', () => {
    const disk = diskWith('')
    const file = AppendFile.open(disk, '/w', 0)
    const random = seeded(5)
    const whole: Buffer[] = []
    for (const length of [10, MIB - 10, 1, MIB, MIB - 1, 2, 2 * MIB + 7, 3]) {
      const piece = Buffer.alloc(length, random.int(256))
      whole.push(piece)
      file.write(piece)
    }
    file.flush()
    expect(contentOf(disk, '/w').equals(Buffer.concat(whole))).toBe(true)
    expect(file.length).toBe(Buffer.concat(whole).length)
  })
  it('goes on after short writes', () => {
    const inner = diskWith('')
    const file = AppendFile.open(faultDisk(inner, { short: { writes: seeded(1), reads: seeded(2) } }), '/w', 0)
    file.write(bytes('0123456789'))
    expect(file.read(0, 10).toString()).toBe('0123456789')
  })
  it('asks before every write whether the file is still ours, and is not spoilt by a no', () => {
    const disk = diskWith('')
    let ours = true
    const file = AppendFile.open(disk, '/w', 0, () => {
      if (!ours) throw new Error('lost the lease')
    })
    file.write(bytes('hole, '))
    file.flush()
    ours = false
    file.write(bytes('more'))
    expect(() => file.flush()).toThrow('lost the lease')
    expect(() => file.fill(0, bytes('H'))).toThrow('lost the lease')
    expect(onDisk(disk)).toBe('hole, ')
    ours = true
    file.flush()
    expect(onDisk(disk)).toBe('hole, more')
  })
})

describe('filling holes', () => {
  const base = (): { disk: MemoryDisk; file: AppendFile } => {
    const disk = diskWith('0123')
    const file = AppendFile.open(disk, '/w', 4)
    file.write(bytes('4567'))
    return { disk, file }
  }
  it.each([
    ['in the buffer', 5, 'XY', '01234XY7'],
    ['in what is written', 1, 'XY', '0XY34567'],
    ['across both', 2, 'WXYZ', '01WXYZ67'],
    ['at the very end', 6, 'YZ', '012345YZ'],
    ['with nothing', 8, '', '01234567'],
  ])('%s', (_, at, piece, result) => {
    const { disk, file } = base()
    file.fill(at, bytes(piece))
    expect(file.read(0, 100).toString()).toBe(result)
    expect(onDisk(disk)).toBe(result)
  })
  it('never beyond the end', () => {
    const { file } = base()
    expect(() => file.fill(7, bytes('xx'))).toThrow(RangeError)
    expect(() => file.fill(9, bytes(''))).toThrow(RangeError)
  })
  it('makes the file dirty, so that the next commit syncs it', async () => {
    const disk = diskWith('0123')
    const file = AppendFile.open(disk, '/w', 4)
    file.fill(0, bytes('X'))
    expect(file.dirty).toBe(true)
    await commit(file)
    expect([file.dirty, durable(disk)]).toEqual([false, 'X123'])
  })
})

describe('reading', () => {
  it('sees buffered bytes and nothing beyond the end', () => {
    const file = AppendFile.open(diskWith('0123'), '/w', 4)
    file.write(bytes('45'))
    expect(file.read(3, 2).toString()).toBe('34')
    expect(file.read(3, 100).toString()).toBe('345')
    expect(file.read(6, 1)).toHaveLength(0)
    expect(file.read(100, 1)).toHaveLength(0)
  })
  it('notices that somebody cut the file', () => {
    const disk = diskWith('0123')
    const file = AppendFile.open(disk, '/w', 4)
    disk.truncate(disk.open('/w', 'update'), 1)
    expect(() => file.read(0, 4)).toThrow(expect.objectContaining({ code: 'WORK_FILE_LOST' }))
  })
})

describe('going back', () => {
  it('cuts at once what no record names', () => {
    const disk = diskWith('0123')
    const file = AppendFile.open(disk, '/w', 4)
    file.write(bytes('4567'))
    file.rewind(6)
    expect([file.length, onDisk(disk)]).toEqual([6, '012345'])
    file.write(bytes('X'))
    file.rewind(4)
    expect([file.length, onDisk(disk)]).toEqual([4, '0123'])
    expect(() => file.rewind(5)).toThrow(RangeError)
  })
  it('cuts committed bytes only after the shorter length is recorded, and takes nothing before', async () => {
    const disk = diskWith('0123')
    const file = AppendFile.open(disk, '/w', 4)
    file.write(bytes('45'))
    file.rewind(2)
    expect([file.length, file.dirty]).toEqual([2, true])
    for (const use of [() => file.write(bytes('x')), () => file.fill(0, bytes('x')), () => file.read(0, 1)]) {
      expect(use).toThrow('commit before going on')
    }
    expect(await file.sync()).toBe(2)
    expect(onDisk(disk).startsWith('0123')).toBe(true)
    file.committed()
    expect([file.length, onDisk(disk)]).toEqual([2, '01'])
    file.write(bytes('Z'))
    await commit(file)
    expect(durable(disk)).toBe('01Z')
  })
  it('goes back to nothing before anything was written', () => {
    const disk = new MemoryDisk()
    const file = AppendFile.open(disk, '/w', 0)
    file.write(bytes('x'))
    file.rewind(0)
    expect([file.length, file.read(0, 1).length]).toEqual([0, 0])
  })
})

describe('syncing', () => {
  it('makes durable what it says, and nothing else is needed', async () => {
    const disk = diskWith('')
    const file = AppendFile.open(disk, '/w', 0)
    file.write(bytes('abc'))
    expect(await file.sync()).toBe(3)
    expect(durable(disk)).toBe('abc')
    expect(file.dirty).toBe(false)
  })
  it('promises only what was there when it began', async () => {
    const disk = diskWith('')
    const file = AppendFile.open(disk, '/w', 0)
    file.write(bytes('abc'))
    const synced = file.sync()
    file.write(bytes('later'))
    file.flush()
    expect(await synced).toBe(3)
    file.committed()
    expect(file.dirty).toBe(true)
    expect(durable(disk)).toMatch(/^abc/)
    file.rewind(4) // not committed: cut at once
    expect(onDisk(disk)).toBe('abcl')
    expect([await commit(file), file.dirty, durable(disk)]).toEqual([4, false, 'abcl'])
  })
  it('does nothing twice', async () => {
    const counting = faultDisk(diskWith(''), { counts: syncs })
    const file = AppendFile.open(counting, '/w', 0)
    file.write(bytes('abc'))
    await commit(file)
    await commit(file)
    expect(counting.counted).toBe(1)
  })
  it('is final when it fails: no later call pretends that all is well', async () => {
    const inner = diskWith('')
    const disk = faultDisk(inner, { counts: syncs, at: 1, fault: { kind: 'error', code: 'EIO' } })
    const file = AppendFile.open(disk, '/w', 0)
    file.write(bytes('abc'))
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    for (const use of [
      () => file.write(bytes('x')),
      () => file.flush(),
      () => file.fill(0, bytes('')),
      () => file.read(0, 1),
      () => file.rewind(0),
    ]) {
      expect(use).toThrow(expect.objectContaining({ code: 'EIO' }))
    }
    expect(disk.counted).toBe(1)
    file.close()
    expect(inner.openDescriptors).toBe(0)
  })
  it('is final when a write fails, too', async () => {
    const disk = new MemoryDisk({ capacity: 4 })
    const file = AppendFile.open(disk, '/w', 0)
    file.write(bytes('012345'))
    await expect(file.sync()).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(() => file.flush()).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
    await expect(file.sync()).rejects.toMatchObject({ code: 'ENOSPC' })
  })
})

describe('background writeback', () => {
  const fill = (file: AppendFile, mib: number): void => {
    for (let i = 0; i < mib; i++) file.write(Buffer.alloc(MIB, i))
  }
  it('begins by itself, once at a time, and a commit waits for it', async () => {
    const counting = faultDisk(diskWith(''), { counts: syncs })
    const file = AppendFile.open(counting, '/w', 0)
    fill(file, 15)
    expect(counting.counted).toBe(0)
    fill(file, 33)
    expect(counting.counted).toBe(1)
    expect(await file.sync()).toBe(48 * MIB)
    expect(counting.counted).toBe(2)
    file.close()
  })
  it('surfaces its failure at the next call, and for good', async () => {
    const disk = faultDisk(diskWith(''), { counts: syncs, at: 1, fault: { kind: 'error', code: 'EIO' } })
    const file = AppendFile.open(disk, '/w', 0)
    fill(file, 16)
    await Promise.resolve()
    await Promise.resolve()
    expect(() => file.write(bytes('x'))).toThrow(expect.objectContaining({ code: 'EIO' }))
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    expect(disk.counted).toBe(1)
    await file[Symbol.asyncDispose]()
  })
  it('surfaces its failure at a commit that begins before it is known', async () => {
    const disk = faultDisk(diskWith(''), { counts: syncs, at: 1, fault: { kind: 'error', code: 'EIO' } })
    const file = AppendFile.open(disk, '/w', 0)
    fill(file, 16)
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    expect(disk.counted).toBe(1)
  })
  it('keeps the handle until it is done, however the file is closed', async () => {
    for (const close of [(f: AppendFile) => f.close(), (f: AppendFile) => void f[Symbol.asyncDispose]()]) {
      const disk = diskWith('')
      const outcomes: string[] = []
      const watched: Disk = new Proxy(disk, {
        get(target, name: keyof Disk) {
          if (name !== 'datasyncAsync') return target[name].bind(target)
          return (fd: number) => {
            const done = target.datasyncAsync(fd)
            done.then(
              () => outcomes.push('synced'),
              (error: unknown) => outcomes.push(String(error)),
            )
            return done
          }
        },
      })
      const file = AppendFile.open(watched, '/w', 0)
      fill(file, 16)
      close(file)
      for (let i = 0; i < 10; i++) await Promise.resolve()
      expect(outcomes).toEqual(['synced'])
      expect(disk.openDescriptors).toBe(0)
    }
  })
})

describe('closing', () => {
  it('writes nothing: what is buffered was never promised', () => {
    const disk = diskWith('')
    const file = AppendFile.open(disk, '/w', 0)
    file.write(bytes('abc'))
    file.close()
    file.close()
    expect(onDisk(disk)).toBe('')
    expect(() => file.flush()).toThrow('closed')
    expect(() => file.write(bytes('x'))).toThrow('closed')
  })
  it('creates nothing either', () => {
    const disk = new MemoryDisk()
    const file = AppendFile.open(disk, '/w', 0)
    file.write(bytes('abc'))
    file.close()
    expect(() => file.flush()).toThrow('closed')
    expect(treeOf(disk)).toEqual({})
  })
})
