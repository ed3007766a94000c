import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createCodec, type Codec } from '../../src/archive/codec.ts'
import type { Helper } from '../../src/archive/codec-helper.ts'
import { HelpersHash } from '../../src/archive/far-hash.ts'
import { BackupError } from '../../src/lib/errors.ts'
import { hashStart, WarmHash, type FarHash } from '../../src/lib/resumable-hash.ts'
import { SharedPool } from '../../src/lib/shared-pool.ts'
import { seeded } from '../helpers/random.ts'

const MIB = 1 << 20
const data = seeded(3).bytes(9 * MIB + 17)
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function farHash(codec: Codec): FarHash {
  const hash = codec.hash(data.length)
  if (hash === null) throw new Error('no helper')
  return hash
}

/** Hashes `data` to its end in memory that is used again as soon as it is given back. */
async function hashAll(warm: WarmHash, from = hashStart()): Promise<string | null> {
  const pool = new SharedPool(MIB)
  await warm.resume('part', from)
  while (from.offset < data.length) {
    for (let wait = warm.room; wait !== null; wait = warm.room) await wait
    const memory = pool.take(MIB)
    const length = data.copy(memory, 0, from.offset)
    warm.update(from, memory.subarray(0, length), () => {
      memory.fill(0)
      pool.give(memory)
    })
  }
  return warm.digest()
}

describe('a hash that a helper takes', () => {
  it('is the same, whether its bytes are shared or copied', async () => {
    using codec = createCodec({ threads: 1 })
    expect(await hashAll(new WarmHash(() => farHash(codec)))).toBe(sha256(data))
    const hash = farHash(codec)
    let back = 0
    for (let at = 0; at < data.length; at += MIB) hash.update(data.subarray(at, at + MIB), () => void back++)
    expect(hash.room).not.toBeNull()
    expect(await hash.digest()).toBe(sha256(data))
    expect([back, hash.room, hash.lost]).toEqual([10, null, false])
  })

  it('goes on beside others and beside what is packed', async () => {
    using codec = createCodec({ threads: 2 })
    const hashes = await Promise.all([
      hashAll(new WarmHash(() => farHash(codec))),
      hashAll(new WarmHash(() => farHash(codec))),
      codec.pack([{ bytes: data.subarray(0, MIB), mode: 'whole', level: 0 }]),
    ])
    expect(hashes.slice(0, 2)).toEqual([sha256(data), sha256(data)])
  })

  it('is none where there is no helper, or where starting one costs more', () => {
    using alone = createCodec({ threads: 0 })
    expect(alone.hash(data.length)).toBeNull()
    using codec = createCodec({ threads: 1 })
    expect(codec.hash(MIB)).toBeNull()
  })

  it('that is lost with its thread is begun again', async () => {
    const codec = createCodec({ threads: 1 })
    const position = hashStart()
    let first: FarHash | null = farHash(codec)
    const warm = new WarmHash(() => {
      const hash = first
      first = null
      return hash
    })
    await warm.resume('part', position)
    let back = 0
    warm.update(position, data.subarray(0, MIB), () => void back++)
    warm.update(position, data.subarray(MIB, 2 * MIB), () => void back++)
    codec[Symbol.dispose]()
    warm.update(position, data.subarray(2 * MIB, 3 * MIB), () => void back++)
    expect(await warm.digest()).toBeNull()
    expect(back).toBe(3)
    await warm.resume('part', position)
    expect(position).toEqual({ offset: 0, state: null, exportable: true })
    expect(await hashAll(warm, position)).toBe(sha256(data))
  })

  it('is lost with its thread even where nothing was under way', async () => {
    const codec = createCodec({ threads: 1 })
    const hash = farHash(codec)
    const position = hashStart()
    const warm = new WarmHash(() => hash)
    await warm.resume('part', position)
    warm.update(position, data.subarray(0, MIB))
    for (let wait = hash.room; wait !== null; wait = hash.room) await wait
    await codec.pack([{ bytes: data.subarray(0, 9), mode: 'whole', level: 0 }]) // behind it
    codec[Symbol.dispose]()
    expect(hash.lost).toBe(true)
    expect(await hashAll(warm, position)).toBe(sha256(data))
  })

  it('is lost when a piece of it could not be taken, whatever comes of the others', async () => {
    const answers: (() => void)[] = []
    const send: Helper['send'] = ({ settle }) => {
      const id = answers.length
      const failure = id === 0 ? new BackupError('INTERNAL', 'no memory').toRecord() : null
      const result = { data: null, method: 'store', crc: 0, sha256: Buffer.alloc(32, id) } as const
      answers.push(() => settle({ id, buffer: null, results: failure === null ? [result] : [], error: failure }))
    }
    const hash = new HelpersHash({ alive: true, send } as unknown as Helper)
    let back = 0
    hash.update(data.subarray(0, MIB), () => void back++)
    hash.update(data.subarray(MIB, 2 * MIB), () => void back++)
    const digest = hash.digest()
    for (const answer of answers) answer()
    expect(await digest).toBeNull()
    expect([hash.lost, back]).toEqual([true, 2])
  })

  it('that nobody asks for any more is forgotten', async () => {
    using codec = createCodec({ threads: 1 })
    const warm = new WarmHash(() => farHash(codec))
    const position = hashStart()
    await warm.resume('part', position)
    warm.update(position, data.subarray(0, MIB))
    warm[Symbol.dispose]()
    expect(await hashAll(new WarmHash(() => farHash(codec)))).toBe(sha256(data))
  })
})

describe('a digest over several blocks', () => {
  it.each([0, 1])('stands in the last one, with %d helpers', async (threads) => {
    using codec = createCodec({ threads })
    codec.hash(data.length) // enough work for a helper
    const blocks = [data.subarray(0, MIB), data.subarray(MIB, 2 * MIB), data.subarray(2 * MIB, 2 * MIB + 5)]
    for (const level of [0, 1]) {
      const packed = await codec.pack(blocks.map((bytes) => ({ bytes, mode: 'block', level, sha256: 'joined' })))
      const digests = packed.map((one) => Buffer.from(one.sha256).toString('hex'))
      expect(digests).toEqual(['', '', sha256(data.subarray(0, 2 * MIB + 5))])
    }
  })
})
