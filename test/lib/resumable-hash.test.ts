import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { hashStart, ResumableSha256, WarmHash, type HashPosition } from '../../src/lib/resumable-hash.ts'
import { seeded } from '../helpers/random.ts'

const random = seeded(9)
const data = random.bytes(300_000)
const right = createHash('sha256').update(data).digest('hex')

/** Hashes all of `data`; `lost` says before which pieces the process is lost. Returns the bytes hashed in all. */
async function hashAll(lost: (piece: number) => boolean): Promise<{ digest: string; work: number }> {
  let warm = new WarmHash()
  let saved = JSON.stringify(hashStart())
  let work = 0
  for (let piece = 0; ; piece++) {
    if (lost(piece)) warm = new WarmHash()
    const position = JSON.parse(saved) as HashPosition
    await warm.resume('part', position)
    if (position.offset >= data.length) return { digest: (await warm.digest()) ?? '', work }
    const bytes = data.subarray(position.offset, position.offset + 10_007)
    warm.update(position, bytes)
    work += bytes.length
    saved = JSON.stringify(position)
  }
}

describe('a hash that may outlive its process', () => {
  test('goes on warm without anything being kept', async () => {
    expect(await hashAll(() => false)).toEqual({ digest: right, work: data.length })
  })

  test('begins again once when the process is lost, and never after', async () => {
    const once = await hashAll((piece) => piece === 10)
    expect(once).toEqual({ digest: right, work: data.length + 10 * 10_007 })
    const often = await hashAll((piece) => piece >= 10)
    expect(often).toEqual(once)
    const always = await hashAll(() => true)
    expect(always.digest).toBe(right)
    expect(always.work).toBe(data.length + 10_007)
  })

  test('is not mistaken for that of another thing or another place', async () => {
    const warm = new WarmHash()
    const one = hashStart()
    await warm.resume('a', one)
    warm.update(one, data.subarray(0, 1000))
    const other = { ...hashStart(), offset: 1000 }
    await warm.resume('b', other)
    expect(other).toMatchObject({ offset: 0, exportable: true })
    expect(() => warm.update({ ...hashStart(), offset: 5 }, data)).toThrow('resume')
  })

  test('keeps a state of less than 200 characters', async () => {
    const hash = await ResumableSha256.exportable()
    hash.update(data.subarray(0, 77_777))
    const state = hash.save() ?? ''
    expect(state.length).toBeLessThan(200)
    const again = await ResumableSha256.restore(state)
    expect(await again.update(data.subarray(77_777)).digest()).toBe(right)
    expect(ResumableSha256.fast().update(data).save()).toBeNull()
    await expect(ResumableSha256.restore('AAAA')).rejects.toThrow()
  })
})
