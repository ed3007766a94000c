import { describe, expect, it } from 'vitest'
import { AppendFile } from '../../src/lib/append-file.ts'
import { contentOf } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { seeded } from '../helpers/random.ts'
import { slowDisk } from '../helpers/slow-disk.ts'

const MIB = 1 << 20
const random = seeded(11)
const blocks = Array.from({ length: 5 }, (_, i) => random.bytes(MIB + i))
const all = Buffer.concat(blocks)

function open(fail = 0) {
  const inner = new MemoryDisk()
  const slow = slowDisk(inner, { write: fail })
  return { inner, slow, file: AppendFile.open(slow.disk, '/w', 0) }
}

/** Writes lent copies that are spoilt as soon as they are given back; returns how many were by then. */
function lend(file: AppendFile, pieces: readonly Buffer[]): { readonly back: number } {
  const count = { back: 0 }
  for (const piece of pieces) {
    const lent = Buffer.from(piece)
    file.writeBehind(lent, () => {
      count.back++
      lent.fill(0xee)
    })
  }
  return count
}

describe('pieces written in the background', () => {
  it('are lent until they are written, and there with the sync', async () => {
    const { inner, slow, file } = open()
    const count = lend(file, blocks)
    // Two are begun; for the others there was no room, so they are written already.
    expect([count.back, file.length]).toEqual([3, all.length])
    expect(file.room).not.toBeNull()
    expect(await file.sync()).toBe(all.length)
    expect(count.back).toBe(5)
    expect(contentOf(inner, '/w').equals(all)).toBe(true)
    expect([slow.most, slow.early, file.room]).toEqual([2, [], null])
  })

  it('keep their places among small ones, which are copied', async () => {
    const { inner, file } = open()
    const pieces = Array.from({ length: 400 }, (_, i) => random.bytes(i % 7 === 0 ? MIB + 1 : 1 + (i % 5) * 1000))
    let back = 0
    for (const piece of pieces) {
      const lent = Buffer.from(piece)
      file.writeBehind(lent, () => {
        back++
        lent.fill(0xee)
      })
      while (file.room !== null) await file.room
    }
    await file.sync()
    expect(back).toBe(pieces.length)
    expect(contentOf(inner, '/w').equals(Buffer.concat(pieces))).toBe(true)
  })

  it('let nothing be read, cut or filled before they are there', async () => {
    const { inner, file } = open()
    file.write(Buffer.from('hole'))
    lend(file, blocks.slice(0, 1))
    for (const early of [() => file.read(0, 4), () => file.rewind(2), () => file.fill(0, Buffer.from('full'))]) {
      expect(early).toThrow('wait until it has settled')
    }
    await file.settled()
    file.fill(0, Buffer.from('full'))
    expect(file.read(0, 4).toString()).toBe('full')
    file.rewind(6)
    await file.sync()
    expect(contentOf(inner, '/w').toString('latin1', 0, 4)).toBe('full')
    expect(inner.lstat('/w').size).toBe(6)
  })

  it('that fail are told at the next call, at the sync, and give their memory back', async () => {
    const { file } = open(1)
    const count = lend(file, blocks.slice(0, 2))
    await file.settled()
    expect(count.back).toBe(2)
    expect(() => file.write(Buffer.from('x'))).toThrow('ENOSPC')
    expect(() => file.writeBehind(Buffer.from('x'), () => {})).toThrow('ENOSPC')
    await expect(file.sync()).rejects.toMatchObject({ code: 'ENOSPC' })
  })

  it('keep the handle open until they are over', async () => {
    const { inner, slow, file } = open()
    lend(file, blocks.slice(0, 2))
    file.close()
    expect(inner.openDescriptors).toBe(1)
    await file.settled()
    await Promise.resolve()
    expect([inner.openDescriptors, slow.early]).toEqual([0, []])
  })

  it('are not begun once the job is no longer ours', async () => {
    const inner = new MemoryDisk()
    let ours = true
    const file = AppendFile.open(slowDisk(inner).disk, '/w', 0, () => {
      if (!ours) throw new Error('lost the lease')
    })
    lend(file, blocks.slice(0, 1))
    await file.settled()
    ours = false
    expect(() => file.writeBehind(blocks[1] ?? all, () => {})).toThrow('lost the lease')
    expect(inner.lstat('/w').size).toBe(MIB)
  })
})
