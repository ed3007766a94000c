import { expect, test } from 'vitest'
import { writeFullyAsync } from '../../src/lib/disk.ts'
import { contentOf } from '../helpers/disk-tree.ts'
import { faultDisk } from '../helpers/fault-disk.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'

test('goes on after short writes', async () => {
  const inner = new MemoryDisk()
  const disk = faultDisk(inner, { short: { writes: 'half' }, record: true })
  const fd = disk.open('/a', 'create')
  await writeFullyAsync(disk, fd, Buffer.from('abcdefgh'), 2)
  disk.close(fd)
  expect(contentOf(inner, '/a').toString('latin1')).toBe('\0\0abcdefgh')
  expect(disk.trace.filter((line) => line.includes('writeAsync'))).toHaveLength(4)
})

test('a stop inside leaves half of the piece, and a failure rejects', async () => {
  const inner = new MemoryDisk()
  const disk = faultDisk(inner, { at: 2, fault: { kind: 'stop', when: 'inside' } })
  const fd = disk.open('/a', 'create')
  await expect(writeFullyAsync(disk, fd, Buffer.from('abcdef'), 0)).rejects.toThrow('stopped')
  expect(contentOf(inner, '/a').toString('latin1')).toBe('abc')
  const full = faultDisk(new MemoryDisk(), { at: 2, fault: { kind: 'error', code: 'ENOSPC' } })
  const other = full.open('/b', 'create')
  await expect(writeFullyAsync(full, other, Buffer.from('b'), 0)).rejects.toMatchObject({ code: 'ENOSPC' })
})
