import { afterEach, describe, expect, it } from 'vitest'
import { createCodec, type Codec, type PackJob } from '../../src/archive/codec.ts'
import { Batcher, type Underway } from '../../src/sink/batcher.ts'
import { sample } from '../archive/build.ts'

const MIB = 1 << 20

interface Sent {
  readonly memory: Buffer[]
  readonly underway: Underway[]
}

/** Two blocks of a file, sent as one batch. */
function send(batcher: Batcher, kind: 'text' | 'noise', job: Pick<PackJob, 'mode' | 'level'>): Sent {
  const blocks = [1, 2].map((seed) => {
    const memory = batcher.block(MIB)
    sample(MIB, kind, seed).copy(memory)
    return { memory, job: { ...job, bytes: memory } }
  })
  return { memory: blocks.map(({ memory }) => memory), underway: batcher.together(blocks) }
}

describe.each([0, 1])('blocks sent together, with %d helpers', (threads) => {
  const codecs: Codec[] = []
  function batcherOf(): Batcher {
    const codec = createCodec({ threads })
    codecs.push(codec)
    codec.hash(16 * MIB) // enough work for a helper
    return new Batcher(codec)
  }
  afterEach(() => {
    for (const codec of codecs.splice(0)) codec[Symbol.dispose]()
  })

  it.each([1, 9])('keep what they were packed to at level %d until the last one is done', async (level) => {
    const { underway } = send(batcherOf(), 'text', { mode: 'block', level })
    const packed = await Promise.all(underway.map((one) => one.packed))
    const copies = packed.map(({ data }) => Buffer.from(data))
    underway[0]?.release()
    for (const [i, { data }] of packed.entries()) expect(copies[i]?.equals(data)).toBe(true)
    underway[1]?.release()
    expect(packed.map(({ data }) => data.length)).toEqual([0, 0])
  })

  it('lend the memory of what was deflated again as soon as it is packed', async () => {
    const batcher = batcherOf()
    const { memory, underway } = send(batcher, 'text', { mode: 'block', level: 1 })
    expect(memory.includes(batcher.block(MIB))).toBe(false)
    await Promise.all(underway.map((one) => one.packed))
    expect(memory.includes(batcher.block(MIB))).toBe(true)
    expect(memory.includes(batcher.block(MIB))).toBe(true)
    for (const one of underway) one.release()
    expect(memory.includes(batcher.block(MIB))).toBe(false)
  })

  it('lend the memory of what is stored again once it is written', async () => {
    const batcher = batcherOf()
    const { memory, underway } = send(batcher, 'noise', { mode: 'whole', level: 0 })
    await Promise.all(underway.map((one) => one.packed))
    expect(memory.includes(batcher.block(MIB))).toBe(false)
    underway[1]?.release()
    expect(batcher.block(MIB) === memory[1]).toBe(true)
    underway[0]?.release()
    expect(batcher.block(MIB) === memory[0]).toBe(true)
    expect(memory.includes(batcher.block(MIB))).toBe(false)
  })

  it('share their memory with nobody while files of one batch are still being written', async () => {
    const batcher = batcherOf()
    const adds = [1, 2].map((seed) => {
      const bytes = batcher.room(1000)
      sample(1000, 'noise', seed).copy(bytes)
      return { bytes, ...batcher.add({ bytes, mode: 'whole', level: 0 }) }
    })
    const memory = new Set(adds.map(({ bytes }) => bytes.buffer))
    batcher.flush()
    await Promise.all(adds.map(({ packed }) => packed))
    adds[0]?.release()
    /** Of the next batch: it fills so much that the one after it begins. */
    const next = (): ArrayBufferLike => {
      const bytes = batcher.room(200_000)
      batcher.add({ bytes, mode: 'whole', level: 0 }).packed.catch(() => 'the codec is closed')
      return bytes.buffer
    }
    expect([next(), next()].some((buffer) => memory.has(buffer))).toBe(false)
    adds[1]?.release()
    batcher.flush()
    expect(memory.has(batcher.room(10).buffer)).toBe(true)
  })
})
