import zlib from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { jpa } from '../../src/archive/jpa.ts'
import { openJpa } from '../../src/archive/jpa-reader.ts'
import type { ByteSource } from '../../src/archive/reader.ts'
import { extra, jpaBytes, readJpaText, type Spec } from '../helpers/jpa-text.ts'
import { buildJpa, buildParts, memorySource, readAll, sample, type Item } from './build.ts'

const items: Item[] = [
  { name: 'd', kind: 'dir' },
  { name: 'd/text', data: sample(300_000) },
  { name: 'd/noise', data: sample(70_000, 'noise'), how: 'store' },
  { name: 'd/blocks', data: sample((2 << 20) + 99), how: 'blocks' },
  { name: 'link', kind: 'symlink', data: Buffer.from('d/text') },
  { name: 'empty' },
  { name: 'zero', data: sample(1 << 20, 'zero') },
]
const wanted = items.map(({ name, kind, data }) => [String(name), kind ?? 'file', data?.length ?? 0])
const found = async (source: ByteSource): Promise<unknown[]> =>
  (await readAll(openJpa(source))).map(({ path, kind, data }) => [path, kind, data.length])

const deflated = (data: Buffer): Pick<Spec, 'data' | 'compression'> => ({
  data: zlib.deflateRawSync(data),
  compression: 1,
})
const three: Spec[] = [
  { name: 'd/', type: 0, mode: 0o40755 },
  { name: 'd/a', ...deflated(sample(900)), time: 1_000_000_000 },
  { name: 'd/b', data: sample(400, 'noise') },
]

describe('what we write', () => {
  it('is read by us and by a reader made from the description alone, in one part and in many', async () => {
    for (const partSize of [0, 65_536, 100_000, 1 << 20]) {
      const parts = buildParts(items, partSize, jpa)
      const text = readJpaText(parts)
      expect(text).toMatchObject({ version: '1.3', entries: items.length, parts: partSize === 0 ? null : parts.length })
      for (const [i, { name, kind, data }] of items.entries()) {
        expect(text.entities[i]?.name.toString()).toBe(kind === 'dir' ? `${String(name)}/` : name)
        expect(text.entities[i]?.data.equals(data ?? Buffer.alloc(0))).toBe(true)
      }
      const all = await readAll(openJpa(memorySource(...parts)))
      expect(all.map(({ path, kind, data }) => [path, kind, data.length])).toEqual(wanted)
      for (const [i, { data }] of all.entries()) expect(data.equals(items[i]?.data ?? Buffer.alloc(0))).toBe(true)
    }
  })
  it('goes through names that are not UTF-8 by the escape of all our formats', async () => {
    const name = Buffer.from('a\\b\xff\xfe', 'latin1')
    const bytes = buildJpa([{ name: 'a\uFFFD5Cb\uFFFDFF\uFFFDFE' }])
    expect(readJpaText([bytes]).entities[0]?.name.toString()).toBe('a\uFFFD5Cb\uFFFDFF\uFFFDFE')
    expect((await readAll(openJpa(memorySource(bytes))))[0]?.path).toBe(name.toString('latin1'))
  })
})

describe('what others write', () => {
  it.each([0, 1, 2, 3])('is read by its lengths: version 1.%d', async (minor) => {
    const all = await readAll(openJpa(memorySource(jpaBytes(three, { minor }))))
    expect(all.map(({ path, kind, mtime }) => [path, kind, mtime])).toEqual([
      ['d', 'dir', null],
      ['d/a', 'file', minor < 2 ? null : 1_000_000_000],
      ['d/b', 'file', null],
    ])
    expect(all[1]?.data).toEqual(sample(900))
  })
  it('may be of a later 1.x with fields nobody knows', async () => {
    const strange = [{ ...three[2], extras: extra(0x7777, sample(50)) } as Spec]
    const header = Buffer.concat([Buffer.from('4a5001ff0800aabbccddeeff', 'hex')])
    const bytes = jpaBytes(strange, { minor: 9, extras: header })
    expect((await readAll(openJpa(memorySource(bytes))))[0]?.data).toEqual(sample(400, 'noise'))
  })
  it('may lie behind something else, up to 128 KiB', async () => {
    const bytes = jpaBytes(three)
    for (const before of [1, 3, 5000, (128 << 10) - 3, 128 << 10]) {
      const stub = Buffer.alloc(before, 'a stub that says JPA, and JPF\n')
      expect(await found(memorySource(Buffer.concat([stub, bytes])))).toHaveLength(3)
    }
    const far = Buffer.concat([Buffer.alloc((128 << 10) + 1, 'x'), bytes])
    expect(() => openJpa(memorySource(far))).toThrow(expect.objectContaining({ code: 'ARCHIVE_DAMAGED' }))
  })
  it('names links to folders with a slash, and gives them the mode of the folder', async () => {
    const link: Spec = { name: 'd/l/', type: 2, mode: 0o40755, data: Buffer.from('/srv/www') }
    const [entry] = openJpa(memorySource(jpaBytes([link]))).entries()
    expect(entry).toMatchObject({ kind: 'symlink', mode: 0o120755, path: Buffer.from('d/l') })
  })
  it('has names as the file system had them, and files with plain modes', async () => {
    const raw = Buffer.from('caf\xe9', 'latin1')
    const [entry] = openJpa(memorySource(jpaBytes([{ name: raw, mode: 0o644 }]))).entries()
    expect(entry).toMatchObject({ path: raw, mode: 0o100644 })
    expect(entry?.refused).toBe(undefined)
  })
  it('may deflate an empty file', async () => {
    const empty: Spec = { name: 'e', data: Buffer.from('0300', 'hex'), compression: 1 }
    expect((await readAll(openJpa(memorySource(jpaBytes([empty])))))[0]?.data).toHaveLength(0)
  })
  it('is one stream without blocks of ours, gone on with in any process', async () => {
    const data = sample(5 << 20)
    const reader = openJpa(memorySource(jpaBytes([{ name: 'x', ...deflated(data) }])))
    const [entry] = reader.entries()
    if (entry === undefined) throw new Error('nothing')
    for await (const { next } of reader.content(entry)) {
      const rest: Buffer[] = []
      for await (const { bytes } of reader.content(entry, next)) rest.push(Buffer.from(bytes))
      expect(Buffer.concat(rest).equals(data.subarray(next.plain))).toBe(true)
    }
  })
  it('with bzip2 or a type of its own is refused entry by entry', async () => {
    const odd: Spec[] = [{ name: 'z', compression: 2, size: 9, data: sample(5) }, { name: 'y', type: 7 }, { name: 'x' }]
    const all = [...openJpa(memorySource(jpaBytes(odd))).entries()]
    expect(all.map(({ refused }) => refused?.code)).toEqual(['ARCHIVE_UNSUPPORTED', 'ARCHIVE_UNSUPPORTED', undefined])
  })
})

describe('random access', () => {
  const many = Array.from({ length: 5000 }, (_, i): Spec => ({ name: `f${i}`, data: Buffer.from(String(i)) }))
  const bytes = jpaBytes(many)

  it('begins at any entry, near a remembered place', async () => {
    let reads = 0
    const memory = memorySource(bytes)
    const source: ByteSource = { ...memory, read: (at, length) => (reads++, memory.read(at, length)) }
    const reader = openJpa(source)
    for (const from of [0, 1, 1023, 1024, 1025, 2048, 4999]) {
      reads = 0
      const [first] = reader.entries(from)
      expect(first?.path.toString()).toBe(`f${from}`)
      expect(reads).toBeLessThanOrEqual(1024)
    }
    expect([...reader.entries(5000)]).toEqual([])
  })
  it('finds an entry that comes from elsewhere by its index, and no other', async () => {
    const reader = openJpa(memorySource(bytes))
    const [entry] = reader.entries(3000)
    if (entry === undefined) throw new Error('nothing')
    const { index, path, kind, mode, mtime, size, stored, method, crc, offset } = entry
    const listed = { index, path, kind, mode, mtime, size, stored, method, crc, offset }
    for await (const piece of reader.content(listed)) expect(piece.bytes.toString()).toBe('3000')
    const wrong = { ...listed, index: 3001 }
    await expect(reader.content(wrong)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'ARCHIVE_DAMAGED',
    })
  })
  it('reads a small part of an archive of large files', () => {
    let read = 0
    const large = buildParts(
      Array.from({ length: 20 }, (_, i): Item => ({ name: `l${i}`, data: sample(1 << 20, 'zero'), how: 'store' })),
      0,
      jpa,
    )
    const memory = memorySource(...large)
    const counted = (at: number, length: number): Buffer => {
      read += length
      return memory.read(at, length)
    }
    openJpa({ ...memory, read: counted, peek: counted })
    expect(read).toBeLessThan(200_000)
  })
})
