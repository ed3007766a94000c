import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import zlib from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import yauzl from 'yauzl'
import { createCodec } from '../../src/archive/codec.ts'
import type { ArchiveReader, Restart } from '../../src/archive/reader.ts'
import { unpackEntry } from '../../src/archive/unpack-entry.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { escapeName } from '../../src/lib/entry-path.ts'
import { buildParts, buildZip, memorySource, readAll, sample, type Item } from './build.ts'

const MIB = 1 << 20
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-reader-'))
afterAll(() => fs.rmSync(scratch, { recursive: true }))

const firstEntry = (reader: ArchiveReader) => {
  for (const entry of reader.entries()) return entry
  throw new Error('no entry')
}

const seconds = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const content = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map((a) => Buffer.from(a)),
  fc.record({ n: fc.integer({ min: 0, max: 5000 }), seed: fc.nat() }).map(({ n, seed }) => sample(n, 'text', seed)),
)
const segment = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .map((a) => Buffer.from(a.map((b) => (b === 0 || b === 0x2f ? 0x41 : b))))
const items = fc.uniqueArray(
  fc.record({
    name: segment,
    kind: fc.constantFrom('file' as const, 'file' as const, 'dir' as const, 'symlink' as const),
    data: content,
    permissions: fc.integer({ min: 1, max: 0o7777 }),
    mtime: seconds,
    how: fc.constantFrom('store' as const, 'whole' as const, 'blocks' as const),
    level: fc.integer({ min: 0, max: 9 }),
  }),
  { maxLength: 12, selector: ({ name }) => name.toString('hex') },
)

function toItem(x: { name: Buffer; kind: 'file' | 'dir' | 'symlink'; data: Buffer; permissions: number }): Item {
  const type = { file: 0o100000, dir: 0o040000, symlink: 0o120000 }[x.kind]
  const data = x.kind === 'dir' ? Buffer.alloc(0) : x.data
  return { ...x, name: Buffer.from(escapeName(x.name)), data, mode: type | x.permissions }
}

describe('what the writer wrote comes back', () => {
  it('any bytes as names, any mode, time, method, in one part or many', async () => {
    await fc.assert(
      fc.asyncProperty(items, fc.constantFrom(0, 300, 1000), async (wanted, partSize) => {
        const parts = buildParts(wanted.map(toItem), partSize)
        const reader = openZip(memorySource(...parts))
        expect(reader.count).toBe(wanted.length)
        const found = await readAll(reader)
        expect(found).toEqual(
          wanted.map((x) => ({
            path: x.name.toString('latin1'),
            kind: x.kind,
            mode: toItem(x).mode,
            mtime: x.mtime,
            data: toItem(x).data,
          })),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('and yauzl agrees', async () => {
    await fc.assert(
      fc.asyncProperty(items, async (wanted) => {
        const bytes = buildZip(wanted.map(toItem))
        const theirs = await withYauzl(bytes)
        expect(theirs).toEqual(
          wanted.map((x) => ({ name: escapeName(x.name) + (x.kind === 'dir' ? '/' : ''), data: toItem(x).data })),
        )
      }),
      { numRuns: 100 },
    )
  })
})

async function withYauzl(bytes: Buffer): Promise<{ name: string; data: Buffer }[]> {
  const file = await yauzl.fromBufferPromise(bytes, { decodeStrings: false })
  const all: { name: string; data: Buffer }[] = []
  for await (const entry of file.eachEntry()) {
    const pieces: Buffer[] = []
    for await (const piece of await file.openReadStreamPromise(entry)) pieces.push(Buffer.from(piece))
    all.push({ name: Buffer.from(entry.fileNameRaw).toString('utf8'), data: Buffer.concat(pieces) })
  }
  return all
}

describe('content', () => {
  const big = Buffer.concat([sample(MIB, 'text'), sample(MIB, 'noise'), sample(2 * MIB, 'zero'), sample(MIB / 2)])
  const exact = big.subarray(0, 3 * MIB)
  // Noise full of block ends: stored inside the deflate stream, where only its lengths tell them apart.
  const trap = Buffer.concat([sample(MIB, 'noise'), sample(3 * MIB, 'noise', 7)])
  for (let at = 0; at < trap.length - 16; at += 5000) Buffer.from('000000ffff0300', 'hex').copy(trap, at)
  const archive = buildZip([
    { name: 'big', data: big, how: 'blocks' },
    { name: 'exact', data: exact, how: 'blocks' },
    { name: 'trap', data: trap, how: 'blocks' },
    { name: 'stored', data: big, how: 'store' },
    { name: 'one', data: big.subarray(0, MIB), how: 'blocks' },
    { name: 'empty', data: Buffer.alloc(0), how: 'blocks' },
  ])
  const plain: Record<string, Buffer> = {
    big,
    exact,
    trap,
    stored: big,
    one: big.subarray(0, MIB),
    empty: Buffer.alloc(0),
  }

  it.each(Object.keys(plain))('%s can be taken up at every piece by a fresh reader', async (name) => {
    const expected = plain[name] ?? big
    const places: Restart[] = [{ stored: 0, plain: 0 }]
    for (const from of places) {
      const reader = openZip(memorySource(archive))
      const entry = [...reader.entries()].find(({ path: p }) => p.toString() === name)
      if (entry === undefined) throw new Error('missing')
      let at = from.plain
      for await (const { bytes, next, restartable } of reader.content(entry, from)) {
        expect(bytes.equals(expected.subarray(at, at + MIB))).toBe(true)
        at += bytes.length
        expect(next.plain).toBe(at)
        expect(restartable).toBe(true)
        if (from.plain === 0) places.push(next)
      }
      expect(at).toBe(expected.length)
    }
    expect(places.length).toBe(Math.ceil(expected.length / MIB) + 1)
  })

  it.each([0, 1])('goes through the codec in parallel with the same result (%d helpers)', async (threads) => {
    using codec = createCodec({ threads })
    const reader = openZip(memorySource(archive))
    for (const entry of reader.entries()) {
      const expected = plain[entry.path.toString()] ?? big
      let at = 0
      for await (const piece of unpackEntry(reader, entry, codec)) {
        expect(piece.bytes.equals(expected.subarray(at, at + MIB))).toBe(true)
        expect(piece.crc).toBe(zlib.crc32(piece.bytes))
        expect(piece.restartable).toBe(true)
        at += piece.bytes.length
      }
      expect(at).toBe(expected.length)
    }
  })

  it.each([1, 4])('survives block ends that are none, in the first %d MiB of compressed data', async (often) => {
    // Sync flushes inside the blocks: every one of them looks like an end.
    const wanted = Buffer.concat([sample(2 * MIB, 'text', 9), Buffer.alloc(16 * MIB), sample(MIB / 2, 'text', 2)])
    const stream = Buffer.concat([flushedOften(wanted, often), Buffer.from('0300', 'hex')])
    const reader = openZip(memorySource(forgeDeflated(wanted, stream)))
    const entry = firstEntry(reader)
    const [only] = await readAll(reader)
    expect(only?.data.equals(wanted)).toBe(true)
    using codec = createCodec({ threads: 0 })
    const pieces: Buffer[] = []
    for await (const { bytes } of unpackEntry(reader, entry, codec)) pieces.push(Buffer.from(bytes))
    expect(Buffer.concat(pieces).equals(wanted)).toBe(true)
  })

  it.each(['one stream', 'sync flushes, shared window'])('streams what others compressed: %s', async (how) => {
    const wanted = Buffer.concat([sample(MIB, 'text', 3), sample(MIB, 'text', 3), sample(2 * MIB + 77, 'text', 4)])
    const stream = how === 'one stream' ? zlib.deflateRawSync(wanted) : await sharedWindow(wanted)
    const reader = openZip(memorySource(forgeDeflated(wanted, stream)))
    const entry = firstEntry(reader)
    const places: Restart[] = []
    for await (const { bytes, next, restartable } of reader.content(entry)) {
      expect(bytes.equals(wanted.subarray(next.plain - bytes.length, next.plain))).toBe(true)
      if (next.plain < wanted.length && next.stored === 0) expect(restartable).toBe(false)
      places.push(next)
    }
    expect(places.length).toBe(5)
    for (const from of places) {
      const rest: Buffer[] = []
      for await (const { bytes } of openZip(memorySource(forgeDeflated(wanted, stream))).content(entry, from)) {
        rest.push(Buffer.from(bytes))
      }
      expect(Buffer.concat(rest).equals(wanted.subarray(from.plain))).toBe(true)
    }
    using codec = createCodec({ threads: 0 })
    const pieces: Buffer[] = []
    for await (const { bytes } of unpackEntry(reader, entry, codec)) pieces.push(Buffer.from(bytes))
    expect(Buffer.concat(pieces).equals(wanted)).toBe(true)
  })

  it.each([
    ['longer', (s: Buffer) => s, 10],
    ['shorter', (s: Buffer) => s, -10],
    ['cut', (s: Buffer) => s.subarray(0, -9), 0],
    ['followed by rubbish', (s: Buffer) => Buffer.concat([s, Buffer.from('rubbish')]), 0],
  ])('refuses data that is %s than announced', async (_what, change, more) => {
    for (const length of [1000, 3 * MIB]) {
      const wanted = sample(length + 20, 'text', 5)
      const stream = change(zlib.deflateRawSync(wanted))
      const bytes = forgeDeflated(wanted.subarray(0, wanted.length - 10), stream, wanted.length - more)
      if (more === 0) expect(firstEntry(openZip(memorySource(bytes))).size).toBe(wanted.length)
      await expect(readAll(openZip(memorySource(bytes)))).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' })
    }
  })
})

function flushedOften(bytes: Buffer, often: number): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += MIB) {
    const end = Math.min(at + MIB, bytes.length)
    const step = at < often * MIB ? 100_000 : MIB
    for (let from = at; from < end; from += step) {
      const part = bytes.subarray(from, Math.min(from + step, end))
      pieces.push(zlib.deflateRawSync(part, { finishFlush: zlib.constants.Z_SYNC_FLUSH }))
    }
  }
  return Buffer.concat(pieces)
}

/** Byte-aligned at every MiB, but each piece refers back into the one before: not independent. */
async function sharedWindow(bytes: Buffer): Promise<Buffer> {
  const deflater = zlib.createDeflateRaw()
  const pieces: Buffer[] = []
  deflater.on('data', (piece: Buffer) => pieces.push(piece))
  for (let at = 0; at < bytes.length; at += MIB) {
    deflater.write(bytes.subarray(at, at + MIB))
    await new Promise<void>((resolve) => deflater.flush(zlib.constants.Z_SYNC_FLUSH, resolve))
  }
  const ended = new Promise((resolve) => deflater.on('end', resolve))
  deflater.end()
  await ended
  return Buffer.concat(pieces)
}

/** A one-entry archive around somebody else's deflate stream. */
function forgeDeflated(plain: Buffer, stream: Buffer, size = plain.length): Buffer {
  const bytes = buildZip([{ name: 'f', data: stream, how: 'store' }])
  for (const [at, value] of Object.entries({ 8: 8, 14: zlib.crc32(plain), 18: stream.length, 22: size })) {
    const central = bytes.indexOf('504b0102', 30 + stream.length, 'hex')
    const put = (offset: number): number =>
      at === '8' ? bytes.writeUInt16LE(value, offset) : bytes.writeUInt32LE(value, offset)
    put(Number(at))
    put(central + Number(at) + 2)
  }
  return bytes
}

describe('archives of others', () => {
  it('Info-ZIP, streamed with descriptors', async () => {
    fs.writeFileSync(path.join(scratch, 'a.txt'), sample(5000))
    const streamed = execFileSync('bash', ['-c', 'cat a.txt | zip -q - a.txt - | cat'], { cwd: scratch })
    const found = await readAll(openZip(memorySource(streamed)))
    expect(found.map(({ path: p, data }) => [p, data.equals(sample(5000))])).toEqual([
      ['a.txt', true],
      ['-', true],
    ])
  })

  it('Python: ZIP64 by force, prefix data, comment, code page 437', async () => {
    const script = `
import zipfile, io, sys
b = io.BytesIO(); b.write(b'#!stub' * 100)
z = zipfile.ZipFile(b, 'a', zipfile.ZIP_DEFLATED); z.comment = b'a comment'
with z.open('wide', 'w', force_zip64=True) as f: f.write(b'wide' * 1000)
i = zipfile.ZipInfo('caf\\u00e9'); z.writestr(i, b'x')
z.writestr('d/', b''); z.close()
sys.stdout.buffer.write(b.getvalue())`
    const bytes = execFileSync('python3', ['-c', script])
    const found = await readAll(openZip(memorySource(bytes)))
    expect(found.map((e) => [Buffer.from(e.path, 'latin1').toString(), e.kind, e.data.length])).toEqual([
      ['wide', 'file', 4000],
      ['café', 'file', 1],
      ['d', 'dir', 0],
    ])
    const shifted = Buffer.concat([Buffer.from('more before it'), bytes])
    expect((await readAll(openZip(memorySource(shifted)))).length).toBe(3)
  })

  it('names without the UTF-8 flag are code page 437 on DOS, plain bytes on Unix', () => {
    const bytes = buildZip([{ name: 'caf\u00e9' }])
    const central = bytes.indexOf('504b0102', 30, 'hex')
    bytes.writeUInt16LE(0, 6)
    bytes.writeUInt16LE(0, central + 8)
    expect(firstEntry(openZip(memorySource(bytes))).path.toString()).toBe('café')
    bytes.writeUInt16LE(20, central + 4)
    expect(firstEntry(openZip(memorySource(bytes))).path.toString()).toBe('caf├⌐')
  })
})
