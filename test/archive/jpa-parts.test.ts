import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { Format } from '../../src/archive/format.ts'
import { jpa } from '../../src/archive/jpa.ts'
import { zip } from '../../src/archive/zip.ts'
import { formatOf, openArchive, type OpenArchive } from '../../src/archive/open-archive.ts'
import { DEFAULT_LIMITS } from '../../src/archive/reader.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { jpaBytes } from '../helpers/jpa-text.ts'
import { buildJpa, buildParts, buildZip, readAll, sample, type Item } from './build.ts'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-jpa-'))
afterAll(() => fs.rmSync(folder, { recursive: true }))
beforeEach(() => {
  for (const name of fs.readdirSync(folder)) fs.rmSync(path.join(folder, name), { recursive: true })
})

const items = Array.from({ length: 30 }, (_, i): Item => ({
  name: `f${i}`,
  data: sample(150 * i, 'noise', i + 1),
  how: 'store',
}))
const at = (name: string): string => path.join(folder, name)
const put = (name: string, bytes: Uint8Array | string): void => fs.writeFileSync(at(name), bytes)

function write(parts: readonly Buffer[], format: Format = jpa): void {
  parts.forEach((bytes, i) => put(format.partName('x', i, parts.length), bytes))
}
const open = (name = 'x.jpa', salvage = false): OpenArchive =>
  openArchive(realDisk, at(name), { limits: DEFAULT_LIMITS, salvage })
async function count(name = 'x.jpa', salvage = false): Promise<number> {
  using archive = open(name, salvage)
  return (await readAll(archive)).length
}
const missing = (text: string): unknown =>
  expect.objectContaining({ code: 'ARCHIVE_NOT_FOUND', message: expect.stringContaining(text) as unknown })

describe('the parts of a JPA archive', () => {
  it('are found and joined, to the hundred', async () => {
    const parts = buildParts(items, 600, jpa)
    expect(parts.length).toBeGreaterThan(100)
    write(parts)
    expect(fs.readdirSync(folder)).toContain('x.j100')
    using archive = open()
    expect(archive.parts.map(({ name }) => name)).toEqual(parts.map((_, i) => jpa.partName('x', i, parts.length)))
    expect((await readAll(archive)).map(({ data }) => data)).toEqual(items.map(({ data }) => data))
  })
  it('are counted where the header does not say how many they are', async () => {
    const parts = buildParts(items, 8000, jpa)
    parts[0]?.writeUInt16LE(0, 25)
    write(parts)
    expect(await count()).toBe(30)
  })
  it('are named when they are missing, wherever', async () => {
    const parts = buildParts(items, 8000, jpa)
    for (let gone = 0; gone < parts.length; gone++) {
      write(parts)
      const name = jpa.partName('x', gone, parts.length)
      fs.rmSync(at(name))
      expect(() => open(), name).toThrow(missing(name))
      const found = await count('x.jpa', true)
      expect(found).toBeGreaterThan(0)
      expect(found).toBeLessThan(30)
    }
  })
  it('are said to be missing when only the last one is there, also one that begins within an entry', () => {
    const parts = buildParts(items, 8000, jpa)
    put('x.jpa', parts.at(-1) ?? '')
    expect(() => open()).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/NOT_FOUND|DAMAGED/) as unknown }),
    )
    expect(() => open()).toThrow(/x?\.j01.* missing/)
  })
  it('that were left over from another set are not taken for parts of one that has none', async () => {
    for (const stale of ['stale', buildParts(items, 8000, jpa)[0] ?? '', buildJpa(items.slice(0, 3))]) {
      put('x.jpa', buildJpa(items))
      put('x.j01', stale)
      using archive = open()
      expect(archive.parts.map(({ name }) => name)).toEqual(['x.jpa'])
      expect((await readAll(archive)).length).toBe(30)
    }
  })
  it('that were left over behind the last one are not taken for more of them', async () => {
    const parts = buildParts(items, 8000, jpa)
    write(parts)
    put(jpa.partName('x', parts.length - 1, parts.length + 1), 'stale')
    expect(await count()).toBe(30)
  })
  it('may be empty, and end anywhere in data', async () => {
    const parts = buildParts(items, 8000, jpa)
    const [a = Buffer.alloc(0), b = Buffer.alloc(0), ...rest] = parts
    const more = [a, Buffer.alloc(0), b, Buffer.alloc(0), ...rest]
    more[0] = Buffer.from(a)
    more[0].writeUInt16LE(more.length, 25)
    write(more)
    expect(await count()).toBe(30)
  })
  it('may be one, of an archive that was begun as a split one', async () => {
    write(buildParts(items, 1 << 20, jpa))
    expect(fs.readdirSync(folder)).toEqual(['x.jpa'])
    expect(await count()).toBe(30)
  })
  it('that became shorter, longer or were exchanged are damage', () => {
    const parts = buildParts(items, 8000, jpa)
    const [a = Buffer.alloc(0), b = Buffer.alloc(0), c = Buffer.alloc(0), ...rest] = parts
    const damage = expect.objectContaining({ code: 'ARCHIVE_DAMAGED' }) as unknown
    for (const wrong of [
      [a, b.subarray(0, -1), c, ...rest],
      [a, Buffer.concat([b, Buffer.from('x')]), c, ...rest],
      [a, c, b, ...rest],
      [a, b, b, ...rest],
    ]) {
      write(wrong)
      expect(() => open()).toThrow(damage)
    }
  })
})

describe('the format of an archive', () => {
  it('shows by its content, whatever it is called', async () => {
    for (const name of ['x.zip', 'x.jpa', 'x.bin', 'x']) {
      put(name, buildJpa(items))
      expect([formatOf(realDisk, at(name)), await count(name)]).toEqual(['jpa', 30])
      put(name, buildZip(items))
      expect([formatOf(realDisk, at(name)), await count(name)]).toEqual(['zip', 30])
    }
  })
  it('shows behind something else that lies before it', async () => {
    const stub = Buffer.alloc(5000, '<?php a program that unpacks itself; JPA, PK\n')
    for (const name of ['x.jpa', 'x.php']) {
      put(name, Buffer.concat([stub, jpaBytes([{ name: 'a', data: Buffer.from('a') }])]))
      expect([formatOf(realDisk, at(name)), await count(name)]).toEqual(['jpa', 1])
    }
    put('x.exe', Buffer.concat([stub, buildZip(items)]))
    expect([formatOf(realDisk, at('x.exe')), await count('x.exe')]).toEqual(['zip', 30])
  })
  it('is not that of an archive within it', async () => {
    put('x.zip', buildZip([{ name: 'old.jpa', data: buildJpa(items), how: 'store' }]))
    put('x.jpa', jpaBytes([{ name: 'old.zip', data: buildZip(items) }]))
    expect([await count('x.zip'), await count('x.jpa')]).toEqual([1, 1])
    const stub = Buffer.alloc(700, 'a program that unpacks what follows ')
    put('x.jpa', Buffer.concat([stub, jpaBytes([{ name: 'old.zip', data: buildZip(items) }])]))
    put('x.zip', Buffer.concat([stub, buildZip([{ name: 'old.jpa', data: buildJpa(items), how: 'store' }])]))
    expect([await count('x.zip'), await count('x.jpa')]).toEqual([1, 1])
  })
  it('of a split one shows by its first part', async () => {
    for (const format of [jpa, zip]) {
      const parts = buildParts(items, 8000, format)
      write(parts, format)
      expect(formatOf(realDisk, at(format.partName('x', 9, 10)))).toBe(format.name)
    }
    expect([await count('x.jpa'), await count('x.zip')]).toEqual([30, 30])
  })
  it('is said to be encrypted where it is, by any name', () => {
    const header = Buffer.concat([Buffer.from('4a50530200004c004a480001', 'hex'), Buffer.alloc(72)])
    for (const name of ['x.jps', 'x.jpa', 'x.zip']) {
      put(name, header)
      const refused = { code: 'ARCHIVE_UNSUPPORTED', message: expect.stringContaining('encrypted') as unknown }
      for (const salvage of [false, true]) expect(() => open(name, salvage)).toThrow(expect.objectContaining(refused))
    }
  })
  it('is told by the name only where the content says nothing', () => {
    for (const name of ['x.jpa', 'x.zip']) {
      put(name, 'no archive at all')
      expect(() => open(name)).toThrow(expect.objectContaining({ code: 'ARCHIVE_DAMAGED' }))
      expect(formatOf(realDisk, at(name))).toBe(name.slice(2))
      fs.rmSync(at(name))
      expect(() => open(name)).toThrow(missing(name))
    }
  })
})
