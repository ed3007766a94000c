import { describe, expect, it } from 'vitest'
import { readJpaText } from '../helpers/jpa-text.ts'
import { putFile } from '../helpers/disk-tree.ts'
import { MemoryDisk } from '../helpers/memory-disk.ts'
import { partsOf, runWhole, sinkWorld } from '../sink/sink-world.ts'
import { placeIn, putArchive, runJob, verifySpecOf } from './restore-world.ts'

/** A whole backup of a few small things, as our program writes it. */
async function archive(): Promise<Buffer> {
  const source = new MemoryDisk()
  for (const folder of ['/source', '/data', '/out', '/source/d']) source.mkdir(folder, 0o755)
  putFile(source, '/source/a.txt', 'a few words that do not pack\n')
  putFile(source, '/source/d/b.txt', 'one line, and one line, and one line\n'.repeat(9))
  source.symlink(Buffer.from('d/b.txt'), '/source/l')
  const world = sinkWorld(source.settle(), { format: 'jpa' })
  await runWhole(world)
  const [only] = partsOf(world.work)
  if (only === undefined) throw new Error('nothing was written')
  return only.bytes
}

async function verified(bytes: Buffer): Promise<string> {
  const disk = new MemoryDisk()
  const place = placeIn('/w', 'jpa')
  disk.mkdir('/w', 0o755)
  putArchive(disk, place, [bytes])
  const job = await runJob(disk, place, verifySpecOf(place), { cold: false })
  return job.error?.code ?? job.status
}

/** What each byte of the archive is; for those that mean nothing for what would be restored: why. */
function harmless(whole: Buffer): Map<number, string> {
  const found = new Map<number, string>([[6, 'the minor version: any is read']])
  const add = (from: number, length: number, why: string): void => {
    for (let at = from; at < from + length; at++) found.set(at, why)
  }
  add(19, 4, 'the signature of the 64-bit totals: without them the 32-bit ones are compared')
  let at = whole.readUInt16LE(3)
  for (const { name, type, blockLength, compression, storedSize, time } of readJpaText([whole]).entities) {
    const end = at + blockLength
    if (type === 0) add(7 + at + name.length + 1, 1, 'the compression of a folder, which has no data')
    add(end - 20, 2, 'the id of the 64-bit sizes: without them the 32-bit ones count')
    add(7 + at + name.length + 11, 1, 'bits of the mode that tell the type, which stands elsewhere')
    if (compression === 1) add(end + storedSize - 1, 1, 'bits behind the end of the deflated data')
    if (name.toString().endsWith('seal.jsonl')) {
      add(7 + at + name.length + 10, 1, 'permissions of our own seal')
      if (time !== null) add(end - 28, 8, 'the time of our own seal')
    }
    at = end + storedSize
  }
  return found
}

describe('a JPA archive with one bit turned in any of its bytes', () => {
  it('does not pass, unless the bit means nothing', { timeout: 300_000 }, async () => {
    const whole = await archive()
    expect(await verified(whole)).toBe('completed')
    const known = harmless(whole)
    const passed: number[] = []
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
      const result = await verified(bytes)
      if (result === 'completed') passed.push(at)
      else expect(['VERIFY_FAILED'], `byte ${at}`).toContain(result)
    }
    expect(passed.filter((at) => !known.has(at))).toEqual([])
    expect(passed.length).toBeLessThan(whole.length / 20)
  })
})
