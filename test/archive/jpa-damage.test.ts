import zlib from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { jpa } from '../../src/archive/jpa.ts'
import { openJpa } from '../../src/archive/jpa-reader.ts'
import type { ArchiveReader } from '../../src/archive/reader.ts'
import { entityBytes, headerBytes, jpaBytes, readJpaText, type Spec } from '../helpers/jpa-text.ts'
import { buildJpa, buildParts, memorySource, readAll, sample, type Item } from './build.ts'

const items: Item[] = [
  { name: 'd', kind: 'dir' },
  { name: 'd/text', data: sample(300) },
  { name: 'd/noise', data: sample(200, 'noise'), how: 'store' },
  { name: 'd/blocks', data: sample(400), how: 'blocks' },
  { name: 'link', kind: 'symlink', data: Buffer.from('d/text') },
  { name: 'empty' },
]
const archive = buildJpa(items)
const wanted = new Map(items.map(({ name, data }) => [String(name), data ?? Buffer.alloc(0)]))
const damagedCode: unknown = expect.objectContaining({ code: 'ARCHIVE_DAMAGED' })

/** Where each entity begins, its data, and its end. */
const layout = (() => {
  let at = archive.readUInt16LE(3)
  return readJpaText([archive]).entities.map(({ name, blockLength, storedSize }) => {
    const one = {
      name: name.toString().replace(/\/$/, ''),
      at,
      data: at + blockLength,
      end: at + blockLength + storedSize,
    }
    at = one.end
    return one
  })
})()

const messages = (reader: ArchiveReader): string => reader.damage.map(({ message }) => message).join('\n')

async function salvaged(...parts: Buffer[]): Promise<{ names: string[]; reader: ArchiveReader }> {
  const reader = openJpa(memorySource(...parts), { salvage: true })
  const names: string[] = []
  for (const entry of reader.entries()) {
    const pieces: Buffer[] = []
    try {
      for await (const { bytes } of reader.content(entry)) pieces.push(Buffer.from(bytes))
    } catch (error) {
      expect(error).toEqual(damagedCode)
      continue
    }
    expect(Buffer.concat(pieces).equals(wanted.get(entry.path.toString()) ?? Buffer.alloc(1))).toBe(true)
    names.push(entry.path.toString())
  }
  return { names, reader }
}

describe('an archive cut off', () => {
  it('at any byte is refused, and salvage gives what was whole before', async () => {
    for (let length = 0; length < archive.length; length++) {
      const cut = archive.subarray(0, length)
      expect(() => openJpa(memorySource(cut)), `${length} bytes`).toThrow(damagedCode)
      const { names } = await salvaged(cut)
      expect(names, `${length} bytes`).toEqual(layout.filter(({ end }) => end <= length).map(({ name }) => name))
    }
  })
  it('between two entities says that something is missing', () => {
    for (const { at, name } of layout.slice(1)) {
      const why =
        name === 'empty' ? /counts 6 entries, and 5 are there: it was cut off, or a part is missing/ : /6 entries/
      expect(() => openJpa(memorySource(archive.subarray(0, at)))).toThrow(why)
    }
  })
  it('names the entry it was cut off in', async () => {
    const [, , noise] = layout
    if (noise === undefined) throw new Error('missing')
    const { reader } = await salvaged(archive.subarray(0, noise.end - 1))
    expect(messages(reader)).toContain('entry d/noise: it is cut off')
  })
})

describe('an archive that was never finished', () => {
  it('is refused by that name, and salvage gives all of it', async () => {
    const unfinished = Buffer.from(archive)
    jpa.writer.prologue(false).copy(unfinished)
    expect(() => openJpa(memorySource(unfinished))).toThrow(/never finished/)
    const { names, reader } = await salvaged(unfinished)
    expect(names).toEqual([...wanted.keys()])
    expect(messages(reader)).toContain('never finished')
  })
})

describe('salvage', () => {
  it.each(layout.map(({ name }) => name))('loses only %s when its block is destroyed', async (name) => {
    const bytes = Buffer.from(archive)
    const lost = layout.find((one) => one.name === name)
    bytes.fill(0, lost?.at, lost?.data)
    const { names, reader } = await salvaged(bytes)
    expect(names).toEqual([...wanted.keys()].filter((key) => key !== name))
    expect(messages(reader)).toMatch(/bytes at offset \d+ belong to no entry/)
  })
  it('does without the header', async () => {
    for (const bytes of [archive.subarray(41), Buffer.concat([Buffer.alloc(41), archive.subarray(41)])]) {
      expect((await salvaged(bytes)).names).toEqual([...wanted.keys()])
    }
  })
  it('goes over bytes that somebody put in', async () => {
    for (const { at } of layout) {
      const more = Buffer.concat([archive.subarray(0, at), Buffer.from('JPF, but only so'), archive.subarray(at)])
      expect((await salvaged(more)).names).toEqual([...wanted.keys()])
    }
  })
  it('names an entry whose data lost bytes, and gives those behind it', async () => {
    const [, , noise] = layout
    if (noise === undefined) throw new Error('missing')
    const bytes = Buffer.concat([archive.subarray(0, noise.data + 10), archive.subarray(noise.data + 60)])
    const { names, reader } = await salvaged(bytes)
    expect(names).toEqual([...wanted.keys()].filter((key) => key !== 'd/noise'))
    expect(messages(reader)).toContain('entry d/noise: its header or its data is damaged')
  })
  it('takes no entry from an archive within one, also where the chain breaks behind it', async () => {
    const inner = buildJpa([{ name: 'inner', data: sample(90), how: 'store' }])
    const outer = buildJpa([
      { name: 'old.jpa', data: inner, how: 'store' },
      { name: 'x', data: sample(20) },
      { name: 'y' },
    ])
    const at = outer.lastIndexOf('JPF', outer.lastIndexOf('JPF') - 1)
    outer.fill(0, at, at + 20)
    const reader = openJpa(memorySource(outer), { salvage: true })
    const found = await readAll(reader)
    expect(found.map(({ path }) => path)).toEqual(['old.jpa', 'y'])
    expect(found[0]?.data.equals(inner)).toBe(true)
  })
  it('proves by unpacking what older versions say only once', async () => {
    const data = zlib.deflateRawSync(sample(400))
    const specs: Spec[] = [{ name: 'a', data, compression: 1 }, { name: 'b', data: Buffer.from('b') }, { name: 'c' }]
    const old = jpaBytes(specs, { minor: 0 })
    const second = old.indexOf('JPF', old.indexOf('JPF') + 1)
    const broken = Buffer.from(old)
    broken.fill(0, second, second + 3)
    const good = openJpa(memorySource(broken), { salvage: true })
    expect([...good.entries()].map(({ path }) => path.toString())).toEqual(['a', 'c'])
    broken.fill(0xff, second - 60, second - 20)
    const bad = openJpa(memorySource(broken), { salvage: true })
    expect([...bad.entries()].map(({ path }) => path.toString())).toEqual(['c'])
    expect(messages(bad)).toContain('entry a: its header or its data is damaged')
  })
  it('keeps the first of two entries of one name, and says so', async () => {
    const bytes = buildJpa([...items, { name: 'd/text', data: Buffer.from('other') }])
    for (const all of [bytes, bytes.subarray(41)]) {
      const reader = openJpa(memorySource(all), { salvage: true })
      const found = (await readAll(reader)).filter(({ path }) => path === 'd/text')
      expect(found.map(({ data }) => data.length)).toEqual([300])
      expect(messages(reader)).toContain('d/text is there twice')
    }
  })
  it('gives every entry that lies whole in the parts that are there, and names those that do not', async () => {
    const many = Array.from({ length: 30 }, (_, i): Item => ({
      name: `f${i}`,
      data: sample(150 * i, 'noise', i + 1),
      how: 'store',
    }))
    const whole = new Map(many.map(({ name, data }) => [String(name), data ?? Buffer.alloc(0)]))
    const parts = buildParts(many, 8000, jpa)
    for (let gone = 0; gone < parts.length; gone++) {
      const there = parts.map((bytes, i) => (i === gone ? Buffer.alloc(0) : bytes))
      const reader = openJpa(memorySource(...there), { salvage: true })
      const found = await readAll(reader)
      for (const { path, data } of found)
        expect(data.equals(whole.get(path) ?? Buffer.alloc(1)), `${gone}: ${path}`).toBe(true)
      expect(found.length).toBeGreaterThan(10)
      expect(found.length).toBeLessThan(30)
      expect(reader.damage.length).toBeGreaterThan(0)
    }
  })
})

describe('an archive made to keep salvage busy', () => {
  it('with entities that all claim more than there is: each costs a few reads of little, not one of a window', () => {
    const greedy = entityBytes({ name: 'a', data: Buffer.from('x'), stored: 1 << 30, size: 1 << 30 })
    const bytes = Buffer.concat([headerBytes([]), ...Array.from({ length: 5000 }, () => greedy)])
    let read = 0
    const memory = memorySource(bytes)
    const source = { ...memory, read: (at: number, length: number) => ((read += length), memory.read(at, length)) }
    const reader = openJpa(source, { salvage: true })
    expect(reader.damage.length).toBeGreaterThan(5000)
    expect(read).toBeLessThan(5000 * (16 << 10))
  })
})

describe('one bit turned', () => {
  it('anywhere never crashes or hangs the reader', async () => {
    for (let at = 0; at < archive.length; at++) {
      const bytes = Buffer.from(archive)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
      for (const salvage of [false, true]) {
        try {
          await readAll(openJpa(memorySource(bytes), { salvage }))
        } catch (error) {
          expect(error, `byte ${at}`).toMatchObject({ name: 'BackupError' })
        }
      }
    }
  })
})

describe('fuzz', () => {
  it('random mutations, for two seconds: only BackupError, never a hang', async () => {
    const seeds = [
      archive,
      buildParts(items, 400, jpa)[0] ?? archive,
      jpaBytes([{ name: 'a', data: archive }], { minor: 1 }),
    ]
    let x = 0x1234567
    const random = (below: number): number => {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      return (x >>> 0) % below
    }
    const end = performance.now() + 2000
    let runs = 0
    for (; performance.now() < end; runs++) {
      const bytes = mutate(Buffer.from(seeds[random(seeds.length)] ?? archive), random)
      for (const salvage of [false, true]) {
        try {
          await readAll(openJpa(memorySource(bytes), { salvage }))
        } catch (error) {
          expect(error).toMatchObject({ name: 'BackupError' })
        }
      }
    }
    expect(runs).toBeGreaterThan(50)
  })
})

function mutate(bytes: Buffer, random: (below: number) => number): Buffer {
  let out = bytes
  for (let i = random(6); i >= 0; i--) {
    const at = random(out.length)
    const n = random(40)
    const kind = random(6)
    if (kind === 0) out[at] = random(256)
    else if (kind === 1) out = Buffer.concat([out.subarray(0, at), out.subarray(at + n)])
    else if (kind === 2) out = Buffer.concat([out.subarray(0, at), out.subarray(at, at + n), out.subarray(at)])
    else if (kind === 3) out.fill(random(2) * 255, at, Math.min(out.length, at + n))
    else if (kind === 4) out.copy(out, random(out.length), at, at + n)
    else if (at + 4 <= out.length) out.writeUInt32LE([0, 1, 0xffffffff, 0x46504a, 0x41504a][random(5)] ?? 0, at)
    if (out.length === 0) return out
  }
  return out
}
