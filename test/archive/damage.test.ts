import zlib from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { ArchiveEntry } from '../../src/archive/format.ts'
import type { ArchiveReader } from '../../src/archive/reader.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { buildParts, buildZip, CrcMismatch, memorySource, readAll, sample, type Item, type ReadEntry } from './build.ts'

/** Flipped bytes, cut files, random mutations: found out, or without effect on any content. */

const items: Item[] = [
  { name: 'd', kind: 'dir' },
  { name: 'd/text', data: sample(300) },
  { name: 'd/noise', data: sample(200, 'noise'), how: 'store' },
  { name: 'd/blocks', data: sample(250, 'text', 3), how: 'blocks' },
  { name: 'link', kind: 'symlink', data: Buffer.from('d/text') },
  { name: 'empty' },
]
const archive = buildZip(items)
const wanted = new Map(items.map(({ name, data }) => [String(name), data ?? Buffer.alloc(0)]))

/** `detected`, or what differs from the original in the names and metadata of entries. */
async function outcome(bytes: Buffer, original: readonly ReadEntry[]): Promise<string[]> {
  let found: ReadEntry[]
  try {
    found = await readAll(openZip(memorySource(bytes)))
  } catch (error) {
    if (!(error instanceof CrcMismatch)) expect(error).toMatchObject({ name: 'BackupError' })
    return ['detected']
  }
  expect(found.length).toBe(original.length)
  return found.flatMap((entry, i) => {
    const before = original[i]
    if (before === undefined) throw new Error('an entry more')
    expect(entry.data.equals(before.data)).toBe(true)
    expect(entry.path).toBe(before.path)
    return (['kind', 'mode', 'mtime'] as const).filter((key) => entry[key] !== before[key])
  })
}

describe('one byte changed anywhere', () => {
  it.each([0xff, 0x01, 0x80, 0x20])('xor %i: detected, or content and names as they were', async (mask) => {
    const original = await readAll(openZip(memorySource(archive)))
    const undetected: Record<string, number> = {}
    for (let at = 0; at < archive.length; at++) {
      const bytes = Buffer.from(archive)
      bytes[at] = (bytes[at] ?? 0) ^ mask
      for (const change of new Set(await outcome(bytes, original))) {
        undetected[change] = (undetected[change] ?? 0) + 1
      }
    }
    // Only what no check covers may differ: mode and link bits, and times, in the directory.
    expect(Object.keys(undetected).toSorted()).toEqual(expect.arrayContaining(['detected']))
    for (const change of Object.keys(undetected)) expect(['detected', 'kind', 'mode', 'mtime']).toContain(change)
    expect(undetected['detected']).toBeGreaterThan(archive.length / 2)
  })
})

describe('cut', () => {
  it('at every byte: opening refuses, salvage gives every entry that is still whole', async () => {
    const ends = entryEnds()
    for (let length = 0; length < archive.length; length++) {
      const cut = archive.subarray(0, length)
      expect(() => openZip(memorySource(cut))).toThrow(expect.objectContaining({ code: 'ARCHIVE_DAMAGED' }))
      const reader = openZip(memorySource(cut), { salvage: true })
      expect(reader.salvaged).toBe(true)
      const found = await readAll(reader)
      for (const { path, data } of found) expect(data.equals(wanted.get(path) ?? Buffer.alloc(1))).toBe(true)
      expect(found.map(({ path }) => path)).toEqual(ends.filter(({ end }) => end <= length).map(({ name }) => name))
      expect(reader.damage.length).toBeGreaterThan(0)
      const broken = ends.find(({ end, header }) => header <= length && length < end)
      if (broken !== undefined) expect(reader.damage.map(({ message }) => message).join()).toContain(broken.name)
    }
  })

  it('a split set at every 7th byte of any part', async () => {
    const parts = buildParts(items, 400)
    for (let part = 0; part < parts.length; part++) {
      for (let length = 0; length < (parts[part]?.length ?? 0); length += 7) {
        const cut = parts.map((bytes, i) => (i === part ? bytes.subarray(0, length) : bytes))
        const reader = openZip(memorySource(...cut), { salvage: true })
        for (const entry of reader.entries()) {
          const data = await intact(reader, entry)
          if (data !== null) expect(data.equals(wanted.get(entry.path.toString()) ?? Buffer.alloc(1))).toBe(true)
        }
      }
    }
  })
})

/** The content, or null if reading it shows that it is damaged. */
async function intact(reader: ArchiveReader, entry: ArchiveEntry): Promise<Buffer | null> {
  const pieces: Buffer[] = []
  try {
    for await (const { bytes } of reader.content(entry)) pieces.push(Buffer.from(bytes))
  } catch (error) {
    expect(error).toMatchObject({ code: 'ARCHIVE_DAMAGED' })
    return null
  }
  const data = Buffer.concat(pieces)
  return zlib.crc32(data) === entry.crc ? data : null
}

/** Where each entry's header and data end, in order. */
function entryEnds(): { name: string; header: number; end: number }[] {
  const found: { name: string; header: number; end: number }[] = []
  for (const entry of openZip(memorySource(archive)).entries()) {
    const header = entry.offset + 30 + archive.readUInt16LE(entry.offset + 26) + archive.readUInt16LE(entry.offset + 28)
    found.push({ name: entry.path.toString(), header, end: header + entry.stored })
  }
  return found
}

describe('salvage', () => {
  it('gets modes and links back from a directory whose end is lost', async () => {
    const reader = openZip(memorySource(archive.subarray(0, -22)), { salvage: true })
    const found = await readAll(reader)
    expect(found.map(({ path, kind, mode }) => [path, kind, mode])).toEqual(
      (await readAll(openZip(memorySource(archive)))).map(({ path, kind, mode }) => [path, kind, mode]),
    )
  })

  it('knows links by their mark alone, and times by the local headers', async () => {
    const start = archive.indexOf('504b0102', 0, 'hex')
    const found = await readAll(openZip(memorySource(archive.subarray(0, start)), { salvage: true }))
    expect(found.map(({ path, kind, mtime }) => [path, kind, mtime])).toEqual(
      items.map(({ name, kind }) => [name, kind ?? 'file', 1_700_000_000]),
    )
  })

  it.each(items.map(({ name }) => String(name)))('loses only %s when its local header is destroyed', async (name) => {
    const bytes = Buffer.from(archive.subarray(0, -5))
    for (const entry of openZip(memorySource(archive)).entries()) {
      if (entry.path.toString() === name) bytes.fill(0, entry.offset, entry.offset + 30)
    }
    const reader = openZip(memorySource(bytes), { salvage: true })
    const found = await readAll(reader)
    expect(found.map(({ path }) => path)).toEqual([...wanted.keys()].filter((key) => key !== name))
    expect(reader.damage.map(({ message }) => message).join()).toContain(`entry ${name}`)
  })

  it('names an entry whose data is damaged where the chain breaks behind it', async () => {
    const bytes = Buffer.from(archive.subarray(0, -5))
    const [, , noise, blocks] = entryEnds()
    if (noise === undefined || blocks === undefined) throw new Error('missing')
    bytes[noise.end - 1] = (bytes[noise.end - 1] ?? 0) ^ 1
    bytes.fill(0, noise.end, noise.end + 30)
    const reader = openZip(memorySource(bytes), { salvage: true })
    expect((await readAll(reader)).map(({ path }) => path)).toEqual(['d', 'd/text', 'link', 'empty'])
    const named = reader.damage.map(({ message }) => message).join('\n')
    expect(named).toContain('entry d/noise: its header or its data is damaged')
    expect(named).toContain('entry d/blocks is in the directory, but its data was not found')
  })

  it('keeps the first of two entries of one name, and says so', async () => {
    const bytes = buildZip([...items, { name: 'd/text', data: Buffer.from('other') }])
    for (const all of [bytes, bytes.subarray(0, -1)]) {
      const reader = openZip(memorySource(all), { salvage: true })
      const found = await readAll(reader)
      expect(found.filter(({ path }) => path === 'd/text').map(({ data }) => data.length)).toEqual([300])
      expect(reader.damage.map(({ message }) => message).join()).toContain('d/text is there twice')
    }
  })

  it.each([
    ['bytes added', (at: number) => Buffer.concat([archive.subarray(0, at), Buffer.alloc(7, 1), archive.subarray(at)])],
    ['bytes lost', (at: number) => Buffer.concat([archive.subarray(0, at), archive.subarray(at + 7)])],
  ])('finds entries that lie elsewhere than a whole directory says: %s before any of them', async (_what, change) => {
    const original = await readAll(openZip(memorySource(archive)))
    const ends = entryEnds()
    for (const { header, end } of ends) {
      if (end - header < 20) continue
      const at = end - 10 // within this one's data
      const reader = openZip(memorySource(change(at)), { salvage: true })
      const found = new Map((await readAll(reader)).map((entry) => [entry.path, entry]))
      for (const [i, entry] of original.entries()) {
        if (ends[i]?.end === end) continue
        expect(found.get(entry.path), `${entry.path} when ${at}`).toMatchObject({
          kind: entry.kind,
          mode: entry.mode,
          mtime: entry.mtime,
          data: entry.data,
        })
      }
      expect(reader.damage.length).toBeGreaterThan(0)
    }
  })

  it('takes no entry of an archive within a damaged entry for one of its own', async () => {
    const inner = buildZip([{ name: 'inner/secret', data: Buffer.from('not yours') }])
    const outer = buildZip([{ name: 'first' }, { name: 'nested.zip', data: inner, how: 'store' }, { name: 'last' }])
    const [, nested] = [...openZip(memorySource(outer)).entries()]
    outer.fill(0, nested?.offset, (nested?.offset ?? 0) + 30)
    const reader = openZip(memorySource(outer), { salvage: true })
    expect((await readAll(reader)).map(({ path }) => path)).toEqual(['first', 'last'])
    expect(reader.damage.map(({ message }) => message).join()).toContain('nested.zip')
  })

  it('finds what others wrote with data descriptors', async () => {
    for (const variant of ['signed', 'bare', 'wide'] as const) {
      const stream = descriptors(variant)
      const reader = openZip(memorySource(stream), { salvage: true })
      expect(reader.salvaged).toBe(true)
      expect((await readAll(reader)).map(({ path, data }) => [path, data.length])).toEqual([
        ['one', 300],
        ['two', 250],
      ])
    }
  })
})

/** Two deflated entries whose sizes come after the data; the directory is lost. */
function descriptors(variant: 'signed' | 'bare' | 'wide'): Buffer {
  const made = (name: string, data: Buffer): Buffer => {
    const whole = buildZip([{ name, data }])
    const length = whole.readUInt32LE(18)
    const start = 30 + whole.readUInt16LE(26) + whole.readUInt16LE(28)
    const tail = Buffer.alloc(variant === 'wide' ? 20 : 12)
    tail.writeUInt32LE(whole.readUInt32LE(14), 0)
    tail.writeUInt32LE(length, 4)
    tail.writeUInt32LE(data.length, variant === 'wide' ? 12 : 8)
    const local = Buffer.from(whole.subarray(0, start + length))
    local.writeUInt16LE(0x808, 6)
    local.fill(0, 14, 26)
    const signature = variant === 'bare' ? Buffer.alloc(0) : Buffer.from('504b0708', 'hex')
    return Buffer.concat([local, signature, tail])
  }
  return Buffer.concat([made('one', sample(300)), made('two', sample(250, 'text', 3))])
}

describe('fuzz', () => {
  it('random mutations, for two seconds: only BackupError, never a hang', async () => {
    const seeds = [archive, Buffer.concat(buildParts(items, 400)), buildZip(items.slice(0, 2)), descriptors('signed')]
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
          await readAll(openZip(memorySource(bytes), { salvage }))
        } catch (error) {
          if (!(error instanceof CrcMismatch)) expect(error).toMatchObject({ name: 'BackupError' })
        }
      }
    }
    expect(runs).toBeGreaterThan(20)
  })
})

function mutate(bytes: Buffer, random: (below: number) => number): Buffer {
  let out = bytes
  for (let i = random(6); i >= 0; i--) {
    const at = random(out.length)
    const n = random(40)
    switch (random(6)) {
      case 0:
        out[at] = random(256)
        break
      case 1:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at + n)])
        break
      case 2:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at, at + n), out.subarray(at)])
        break
      case 3:
        out.fill(random(2) * 255, at, Math.min(out.length, at + n))
        break
      case 4:
        out.copy(out, random(out.length), at, at + n)
        break
      default:
        if (at + 4 <= out.length) out.writeUInt32LE([0, 1, 0xffffffff, 0x04034b50, 0x08074b50][random(5)] ?? 0, at)
    }
    if (out.length === 0) return out
  }
  return out
}
