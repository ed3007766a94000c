import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import zlib from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCodec, type Codec, type PackJob } from '../../src/archive/codec.ts'
import { crcCombine } from '../../src/archive/crc.ts'
import { ordered } from '../../src/lib/ordered.ts'
import { sample } from './build.ts'

const MIB = 1 << 20
const FINAL = Buffer.from('0300', 'hex')
const EMPTY = Buffer.from('000000ffff', 'hex')

const text = sample(MIB)
const noise = randomBytes(MIB)
const zero = Buffer.alloc(MIB)

async function packOne(codec: Codec, job: PackJob) {
  const [packed] = await codec.pack([job])
  if (packed === undefined) throw new Error('no result')
  return packed
}
const inflate = (...pieces: Uint8Array[]): Buffer => zlib.inflateRawSync(Buffer.concat([...pieces, FINAL]))

describe.each([0, 1, 2])('codec with %d helpers', (threads) => {
  it('packs and unpacks in order, beyond the point where helpers start', async () => {
    using codec = createCodec({ threads })
    const sources = Array.from({ length: 24 }, (_, i) => (i % 3 === 0 ? text : i % 3 === 1 ? noise : zero))
    let i = 0
    const pack = (bytes: Buffer) => packOne(codec, { bytes, mode: 'block', level: 6 })
    for await (const packed of ordered(sources, codec.width, pack)) {
      const plain = sources[i++] ?? zero
      expect(packed.crc).toBe(zlib.crc32(plain))
      expect(Buffer.from(packed.sha256).equals(createHash('sha256').update(plain).digest())).toBe(true)
      expect(inflate(packed.data).equals(plain)).toBe(true)
      const [back] = await codec.unpack([
        { data: Buffer.concat([packed.data, FINAL]), method: 'deflate', size: plain.length },
      ])
      expect(Buffer.from(back?.bytes ?? []).equals(plain)).toBe(true)
      expect(back?.crc).toBe(packed.crc)
      expect(back?.sha256).toEqual(packed.sha256)
    }
    expect(i).toBe(24)
  })

  it('answers a batch in its order, and fails a damaged one as a whole', async () => {
    using codec = createCodec({ threads })
    for (let round = 0; round < 14; round++) {
      const plains = [Buffer.alloc(0), Buffer.from('x'), noise, text.subarray(0, 5000)]
      const packed = await codec.pack(plains.map((bytes) => ({ bytes, mode: 'whole', level: 6 })))
      expect(packed.map(({ method }) => method)).toEqual(['store', 'store', 'store', 'deflate'])
      const jobs = packed.map(({ data, method }, i) => ({ data, method, size: plains[i]?.length ?? 0 }))
      const back = await codec.unpack(jobs)
      expect(back.map(({ bytes }) => Buffer.from(bytes).toString('hex'))).toEqual(plains.map((b) => b.toString('hex')))
      const last = jobs[3] ?? { data: noise, method: 'deflate', size: 1 }
      for (const wrong of [
        { ...last, size: 4999 },
        { ...last, size: 5001 },
        { ...last, data: last.data.subarray(1) },
        { ...last, data: Buffer.concat([last.data, Buffer.from('x')]) },
        { ...last, method: 'store' as const },
      ]) {
        await expect(codec.unpack([wrong])).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' })
      }
    }
  })

  it('answers a batch of short pieces, which are longer than what they were made of', async () => {
    using codec = createCodec({ threads })
    for (let round = 0; round < 10; round++) {
      const plains = [Buffer.from('x'), noise.subarray(0, 100), text.subarray(0, 5), noise.subarray(0, 60_000)]
      const packed = await codec.pack(plains.map((bytes) => ({ bytes, mode: 'block', level: 6 })))
      for (const [i, { data }] of packed.entries()) expect(plains[i]?.equals(inflate(data))).toBe(true)
    }
  })

  it('leaves the caller its bytes', async () => {
    using codec = createCodec({ threads })
    for (let i = 0; i < 20; i++) {
      const mine = Buffer.from(noise)
      const { data } = await packOne(codec, { bytes: mine, mode: 'whole', level: 6 })
      expect(noise.equals(data) && mine.equals(noise)).toBe(true)
    }
  })

  it('fails with CANCELLED after an abort and after its end', async () => {
    const abort = new AbortController()
    const codec = createCodec({ threads, signal: abort.signal })
    const running = Array.from({ length: 12 }, () => packOne(codec, { bytes: text, mode: 'block', level: 6 }))
    const settled = Promise.allSettled(running)
    abort.abort()
    for (const result of await settled) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'CANCELLED' })
    }
    await expect(codec.pack([])).rejects.toMatchObject({ code: 'CANCELLED' })
    codec[Symbol.dispose]()
    const other = createCodec({ threads })
    other[Symbol.dispose]()
    await expect(other.unpack([])).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})

describe('helpers', () => {
  it('do their share: more than one batch is in flight', async () => {
    using codec = createCodec({ threads: 1 })
    expect(codec.width).toBe(5)
    for (let i = 0; i < 8; i++) await packOne(codec, { bytes: zero, mode: 'block', level: 6 })
    let settled = 0
    const first = packOne(codec, { bytes: text, mode: 'block', level: 6 }).then(() => settled++)
    await new Promise<void>((resolve) => queueMicrotask(resolve))
    expect(settled).toBe(0) // inline work would be done by now
    await first
    expect(settled).toBe(1)
  })

  it('are never given more than two batches: the next one is done at once by the caller', async () => {
    using codec = createCodec({ threads: 1 })
    for (let i = 0; i < 8; i++) await packOne(codec, { bytes: zero, mode: 'block', level: 6 })
    const settled: number[] = []
    const jobs = [0, 1, 2].map((n) =>
      packOne(codec, { bytes: text, mode: 'block', level: 6 }).then(() => settled.push(n)),
    )
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect(settled).toEqual([2])
    await Promise.all(jobs)
    expect(settled).toEqual([2, 0, 1])
  })

  it.each([
    ['idle', 'await work(); console.log("end")'],
    ['waited for', 'void work().then(() => console.log("end"))'],
    ['waited for by an await alone', 'await Promise.all([work(), work()]); console.log("end")'],
  ])('never keep a process alive, but finish what it waits for: %s', (_name, script) => {
    const url = new URL('../../src/archive/codec.ts', import.meta.url).href
    const code = `
      import { createCodec } from ${JSON.stringify(url)}
      const codec = createCodec({ threads: 1 })
      const bytes = Buffer.alloc(9 << 20, 'text ')
      const work = () => codec.pack([{ bytes, mode: 'block', level: 1 }])
      ${script}`
    const done = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8', timeout: 50_000 })
    expect([done.status, done.stdout.trim(), done.stderr]).toEqual([0, 'end', ''])
  })

  it.each([
    ['dies at start', 'process.exit(3)'],
    ['throws', 'throw new Error("broken")'],
    [
      'dies at its first request',
      'import { workerData as p } from "node:worker_threads"; p.on("message", () => process.exit(1))',
    ],
  ])('a helper that %s: its batches are done inline', async (_name, code) => {
    const entry = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
    using codec = createCodec({ threads: 2, entry })
    const jobs = Array.from({ length: 14 }, () => packOne(codec, { bytes: text, mode: 'block', level: 1 }))
    for (const { data } of await Promise.all(jobs)) expect(inflate(data).equals(text)).toBe(true)
  })
})

describe('blocks', () => {
  const codec = createCodec({ threads: 0 })

  it('join to one stream and never pass 900:1', async () => {
    const kinds = [zero, noise, text, Buffer.alloc(MIB, 'ab'), Buffer.from('tail')]
    const pieces = await codec.pack(kinds.map((bytes) => ({ bytes, mode: 'block', level: 9 })))
    expect(inflate(...pieces.map(({ data }) => data)).equals(Buffer.concat(kinds))).toBe(true)
    pieces.forEach(({ data, method }, i) => {
      expect(method).toBe('deflate')
      expect(data.length * 900).toBeGreaterThanOrEqual(kinds[i]?.length ?? 0)
      expect(Buffer.from(data).subarray(-4).toString('hex')).toBe('0000ffff')
    })
    expect(pieces[0]?.data.subarray(0, 5)).toEqual(EMPTY)
  })

  it('store what does not shrink, at little more than its size', async () => {
    const { data } = await packOne(codec, { bytes: noise, mode: 'block', level: 6 })
    expect(data.length).toBe(MIB + 17 * 5 + 5)
    const stored = await packOne(codec, { bytes: text, mode: 'block', level: 0 })
    expect(stored.data.length).toBe(MIB + 17 * 5 + 5)
    const half = Buffer.concat([noise.subarray(0, MIB / 2), text.subarray(0, MIB / 2)])
    expect((await packOne(codec, { bytes: half, mode: 'block', level: 6 })).data.length).toBeLessThan(MIB * 0.8)
  })

  it('give the same bytes in every process and for equal plain bytes of other buffers', async () => {
    const a = await packOne(codec, { bytes: Buffer.alloc(MIB), mode: 'block', level: 1 })
    const b = await packOne(codec, { bytes: Buffer.alloc(MIB), mode: 'block', level: 9 })
    expect(a.data).toEqual(b.data)
  })

  it('whole results are never larger than the plain bytes, and come back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 0, max: 9 }), async (bytes, level) => {
        const packed = await packOne(codec, { bytes, mode: 'whole', level })
        expect(packed.data.length).toBeLessThanOrEqual(bytes.length)
        if (level === 0) expect(packed.method).toBe('store')
        const [back] = await codec.unpack([{ data: packed.data, method: packed.method, size: bytes.length }])
        expect(Buffer.from(back?.bytes ?? []).equals(bytes)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  it('refuses a bomb before it is inflated', async () => {
    const data = zlib.deflateRawSync(Buffer.alloc(64 * MIB))
    await expect(codec.unpack([{ data, method: 'deflate', size: MIB }])).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
      cause: { code: 'ERR_BUFFER_TOO_LARGE' },
    })
  })
})

describe('crcCombine', () => {
  it('equals the CRC of the joined bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (a, b) => {
        const joined = zlib.crc32(Buffer.concat([a, b]))
        expect(crcCombine(zlib.crc32(a), zlib.crc32(b), b.length)).toBe(joined)
      }),
    )
    expect(crcCombine(zlib.crc32(text), zlib.crc32(noise), MIB)).toBe(zlib.crc32(Buffer.concat([text, noise])))
  })
  it('knows lengths beyond 32 bits', () => {
    // 2^33 zero bytes, doubled up from 1 MiB; the shortcut must agree with the doubling.
    let crc = zlib.crc32(zero)
    let length = MIB
    while (length < 2 ** 33) {
      crc = crcCombine(crc, crc, length)
      length *= 2
    }
    const one = zlib.crc32(zero)
    let slow = 0
    for (let i = 0; i < 8192; i++) slow = crcCombine(slow, one, MIB)
    expect(crc).toBe(slow)
    expect(crcCombine(7, 0, 2 ** 33)).toBe(crcCombine(crcCombine(7, 0, 2 ** 32), 0, 2 ** 32))
  })
})
