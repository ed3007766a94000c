import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { openParts } from '../../src/archive/parts.ts'
import { zip } from '../../src/archive/zip.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { buildParts, readAll, sample, type Item } from './build.ts'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-parts-'))
afterAll(() => fs.rmSync(folder, { recursive: true }))
beforeEach(() => {
  for (const name of fs.readdirSync(folder)) fs.rmSync(path.join(folder, name))
})

const items: Item[] = Array.from({ length: 30 }, (_, i) => ({
  name: `f${i}`,
  data: sample(150 * i, 'noise', i + 1),
  how: 'store',
}))
const last = path.join(folder, 'x.zip')

function write(parts: readonly Buffer[]): void {
  parts.forEach((bytes, i) => fs.writeFileSync(path.join(folder, zip.partName('x', i, parts.length)), bytes))
}

/** Counts handles; everything else is the real disk. */
function counting(): { disk: Disk; open: () => number; most: () => number; reads: () => number } {
  let open = 0
  let most = 0
  let reads = 0
  const disk: Disk = {
    ...realDisk,
    open: (p, mode) => {
      most = Math.max(most, ++open)
      return realDisk.open(p, mode)
    },
    close: (fd) => {
      open--
      realDisk.close(fd)
    },
    read: (...args) => {
      reads++
      return realDisk.read(...args)
    },
  }
  return { disk, open: () => open, most: () => most, reads: () => reads }
}

describe('openParts', () => {
  it('joins the parts with few handles, few reads, and closes them all', async () => {
    const parts = buildParts(items, 4000)
    expect(parts.length).toBeGreaterThan(10)
    write(parts)
    const { disk, open, most, reads } = counting()
    {
      using source = openParts(disk, last)
      expect(source.names).toEqual(parts.map((_, i) => zip.partName('x', i, parts.length)))
      expect(source.missing).toEqual([])
      expect(source.partOffsets.length).toBe(parts.length)
      expect((await readAll(openZip(source))).map(({ data }) => data)).toEqual(items.map(({ data }) => data))
      expect(reads()).toBeLessThan(8 * parts.length)
    }
    expect(most()).toBeLessThanOrEqual(5)
    expect(open()).toBe(0)
  })

  it('leaves no handle open when the archive is refused', () => {
    write(buildParts(items, 4000).map((bytes, i) => (i === 3 ? Buffer.alloc(bytes.length) : bytes.subarray(0, -1))))
    const { disk, open } = counting()
    expect(() => openZip(openParts(disk, last))).toThrow(expect.objectContaining({ code: 'ARCHIVE_DAMAGED' }))
    expect(open()).toBe(0)
  })

  it('reads any range as the joined bytes hold it; what it gave stays', () => {
    const parts = buildParts(items, 5000)
    const whole = Buffer.concat(parts)
    write(parts)
    using source = openParts(realDisk, last)
    expect(source.size).toBe(whole.length)
    const given: { bytes: Buffer; at: number }[] = []
    fc.assert(
      fc.property(fc.nat(whole.length + 10), fc.nat(20_000), (at, length) => {
        const bytes = source.read(at, length)
        expect(bytes.equals(whole.subarray(at, at + length))).toBe(true)
        given.push({ bytes, at })
      }),
    )
    for (const { bytes, at } of given) expect(bytes.equals(whole.subarray(at, at + bytes.length))).toBe(true)
  })

  it('names the part that is missing, wherever it is', () => {
    const parts = buildParts(items, 8000)
    for (let gone = 0; gone < parts.length - 1; gone++) {
      write(parts)
      const name = zip.partName('x', gone, parts.length)
      fs.rmSync(path.join(folder, name))
      expect(() => openParts(realDisk, last)).toThrow(expect.objectContaining({ code: 'ARCHIVE_NOT_FOUND' }))
      expect(() => openParts(realDisk, last)).toThrow(name)
      using source = openParts(realDisk, last, { salvage: true })
      expect(source.missing).toEqual([name])
    }
  })

  it('counts names if the end record is lost, and still names a hole', () => {
    const parts = buildParts(items, 8000)
    const lastPart = parts.at(-1) ?? Buffer.alloc(0)
    write([...parts.slice(0, -1), lastPart.subarray(0, -1)])
    expect(openParts(realDisk, last).partOffsets.length).toBe(parts.length)
    fs.rmSync(path.join(folder, 'x.z02'))
    expect(() => openParts(realDisk, last)).toThrow('x.z02')
  })

  it('is not misled by parts of an older set', async () => {
    fs.writeFileSync(last, Buffer.concat(buildParts(items)))
    fs.writeFileSync(path.join(folder, 'x.z01'), 'stale')
    using source = openParts(realDisk, last)
    expect(source.names).toEqual(['x.zip'])
    expect((await readAll(openZip(source))).length).toBe(30)
  })

  it('says when there is nothing, a folder, or a file that shrinks', () => {
    const missing = { code: 'ARCHIVE_NOT_FOUND' }
    expect(() => openParts(realDisk, last)).toThrow(expect.objectContaining(missing))
    expect(() => openParts(realDisk, last, { salvage: true })).toThrow(expect.objectContaining(missing))
    expect(() => openParts(realDisk, folder)).toThrow(expect.objectContaining(missing))
    expect(() => openParts(realDisk, path.join(last, 'x.zip'))).toThrow(expect.objectContaining(missing))
    fs.writeFileSync(last, Buffer.concat(buildParts(items)))
    const source = openParts(realDisk, last)
    fs.truncateSync(last, 100)
    expect(() => source.read(50, 100)).toThrow(expect.objectContaining({ code: 'ARCHIVE_DAMAGED' }))
  })

  it('follows a link to the archive and finds the parts beside the link', async () => {
    const parts = buildParts(items, 20_000)
    const real = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-parts-real-'))
    parts.forEach((bytes, i) => {
      const name = zip.partName('x', i, parts.length)
      fs.writeFileSync(path.join(real, name), bytes)
      fs.symlinkSync(path.join(real, name), path.join(folder, name))
    })
    using source = openParts(realDisk, last)
    expect((await readAll(openZip(source))).length).toBe(30)
    fs.rmSync(real, { recursive: true })
  })
})

describe('salvage with a missing part', () => {
  it('gives every entry that lies whole in the others, and names the rest', async () => {
    const parts = buildParts(items, 8000)
    let cut = 0
    const whole = new Map(items.map(({ name, data }) => [String(name), data]))
    for (let gone = 0; gone < parts.length; gone++) {
      write(parts)
      fs.rmSync(path.join(folder, zip.partName('x', gone, parts.length)))
      using source = openParts(realDisk, last, { salvage: true })
      const reader = openZip(source, { salvage: true })
      const found = await readAll(reader)
      expect(found.length).toBeGreaterThan(0)
      for (const { path: name, data } of found) expect(data.equals(whole.get(name) ?? Buffer.alloc(1))).toBe(true)
      const named = reader.damage.map(({ message }) => message).join('\n')
      if (named.includes('it lies partly in a missing part')) cut++
      for (const name of whole.keys()) {
        if (gone < parts.length - 1 && !found.some((f) => f.path === name)) expect(named).toContain(`entry ${name}`)
      }
    }
    expect(cut).toBeGreaterThan(3)
  })
})

describe('what may not be read', () => {
  const refused = (): never => {
    throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
  }
  it.each([
    ['the file', { ...realDisk, open: refused }],
    ['its folder', { ...realDisk, realpath: refused }],
  ])('%s: it is called so, and not missing, damaged or a fault of ours', (_, disk) => {
    write(buildParts(items))
    expect(() => openParts(disk, last)).toThrow(expect.objectContaining({ code: 'SOURCE_UNREADABLE', retry: 'never' }))
  })
})
