import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { createCodec } from '../../src/archive/codec.ts'
import type { ArchiveEntry } from '../../src/archive/format.ts'
import type { PartSource } from '../../src/archive/parts.ts'
import type { ArchiveReader } from '../../src/archive/reader.ts'
import { isEnded } from '../../src/engine/job.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { proveParts } from '../../src/stages/prove-parts.ts'
import { SpineWorld } from '../engine/spine-world.ts'
import { MemoryWork } from '../helpers/memory-work.ts'
import { seeded } from '../helpers/random.ts'

/** The finished part reads back with the byte at `position` changed; how it was written stays as it is. */
function readsBackWrong(position: number): Disk {
  const parts = new Set<number>()
  return {
    ...realDisk,
    open(file, mode) {
      const fd = realDisk.open(file, mode)
      if (mode === 'read' && String(file).endsWith('/part-0')) parts.add(fd)
      else parts.delete(fd)
      return fd
    },
    read(fd, into, offset, length, at) {
      const got = realDisk.read(fd, into, offset, length, at)
      const within = position - at
      if (parts.has(fd) && within >= 0 && within < got) into[offset + within] = (into[offset + within] ?? 0) ^ 0x55
      return got
    },
  }
}

/** Where the headers of entries begin, in an archive that holds nothing but what looks like text. */
function headersIn(archive: Buffer, signature: string): number[] {
  const found: number[] = []
  for (let at = archive.indexOf(signature); at >= 0; at = archive.indexOf(signature, at + 4)) found.push(at)
  return found
}

const FORMATS = [
  ['zip', 'PK\x03\x04', [0, 30]],
  // Signature, lengths, the name, and behind the name of one letter more: type, mode.
  ['jpa', 'JPF', [0, 3, 5, 7, 12]],
] as const

describe('an archive that does not read back as it was written', () => {
  it.each(FORMATS)(
    'is not published: %s, any header, of files, empty files and folders, and any content',
    async (format, signature, offsets) => {
      await using good = new SpineWorld()
      const fill = (world: SpineWorld): void => {
        world.file('a-text', Buffer.from('some text that is not long'))
        world.file('b-empty', Buffer.alloc(0))
        fs.mkdirSync(path.join(path.dirname(world.file('c/inside', Buffer.from('x'))), 'd'))
      }
      fill(good)
      expect((await good.backup(await good.app(), { level: 0, format })).status).toBe('completed')
      const archive = fs.readFileSync(path.join(good.output, `site.${format}`))
      const headers = headersIn(archive, signature)
      expect(headers.length).toBeGreaterThan(6)
      const content = archive.indexOf('some text')
      for (const position of [...headers.flatMap((at) => offsets.map((more) => at + more)), content, content + 20]) {
        await using world = new SpineWorld()
        fill(world)
        const job = await world.backup(await world.app({ disk: readsBackWrong(position) }), { level: 0, format })
        expect(job.error?.code, `byte ${position}`).toBe('VERIFY_FAILED')
        expect(job.status).toBe('failed')
        expect(fs.readdirSync(world.output)).toEqual([])
      }
    },
  )
})

/** Half of it compresses, the rest is stored as it is and full of what ends a block of ours, `every` so many bytes. */
function likeBlockEnds(every: number): Buffer {
  const noise = seeded(7).bytes(700 << 10)
  for (let at = 1000; at + 4 < noise.length; at += every) noise.writeUInt32BE(0x0000ffff, at)
  const text = Buffer.alloc(324 << 10, 'some words that come again and again, ')
  return Buffer.concat([text, noise, text, noise, text, noise, text])
}

describe('content that looks like the end of a block', () => {
  it.each([5000, 100_000])('reads back: one every %d bytes', async (every) => {
    await using world = new SpineWorld()
    world.file('mixed', likeBlockEnds(every))
    world.file('mixed-too', likeBlockEnds(every))
    const job = await world.backup(await world.app())
    expect(job).toMatchObject({ status: 'completed', error: null })
  })

  it('reads back when every step is taken by another process', async () => {
    await using world = new SpineWorld()
    world.file('mixed', likeBlockEnds(5000))
    const pacing = { minMs: 0, maxMs: 1, bias: 100 }
    let job = await (await world.app()).engine.start({ kind: 'backup', spec: world.spec({ pacing }) })
    for (let n = 0; !isEnded(job) && n < 300; n++) {
      job = await (await world.app()).engine.step(job.number)
    }
    expect(job).toMatchObject({ status: 'completed', error: null })
    expect(job.steps).toBeGreaterThan(10)
  })
})

describe('an archive of empty entries', () => {
  it('is read back with safe points: each says how far it is', async () => {
    const count = 10_000
    const entries = Array.from({ length: count }, (_, index): ArchiveEntry => {
      const path = Buffer.from(`file${index}`)
      const rest = { mode: 0o100644, mtime: 0, size: 0, stored: 0, method: 'store', crc: 0, offset: index } as const
      return { index, path, kind: 'file', ...rest }
    })
    const reader: ArchiveReader = {
      count,
      salvaged: false,
      damage: [],
      entries: (from = 0) => entries.slice(from),
      async *content() {},
      blocksOf: () => [],
      [Symbol.dispose]: () => undefined,
    }
    const nothing = (): Buffer => Buffer.alloc(0)
    const bytes: PartSource = {
      ...{ size: 0, partOffsets: [], names: [], missing: [] },
      ...{ read: nothing, peek: nothing, readInto: nothing, [Symbol.dispose]: () => undefined },
    }
    using codec = createCodec({ threads: 0 })
    const ctx = new MemoryWork().open()
    const seen: number[] = []
    for await (const _ of proveParts({ codec, open: () => ({ bytes, reader }) }, ctx, [], () => undefined)) {
      seen.push(ctx.slot('prove', () => ({ entry: -1 })).entry)
    }
    expect(seen).toEqual([...Array.from({ length: 9 }, (_, i) => 1024 * (i + 1)), count])
  })
})
