import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import zlib from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { crcCombine } from '../../src/archive/crc.ts'
import { packBlock } from '../../src/archive/pack-block.ts'
import type { EntryTotals } from '../../src/archive/format.ts'
import { openParts } from '../../src/archive/parts.ts'
import { zip } from '../../src/archive/zip.ts'
import { openZip } from '../../src/archive/zip-reader.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { buildParts, readAll, sample, type Item } from '../archive/build.ts'

/** Other people's programs read what we write, and we read what they write. */

const MIB = 1 << 20
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-interop-'))
afterAll(() => fs.rmSync(folder, { recursive: true }))

const has = (tool: string): boolean => spawnSync('which', [tool]).status === 0
function run(tool: string, ...args: string[]): { status: number | null; out: string } {
  const done = spawnSync(tool, args, { cwd: folder, encoding: 'utf8', maxBuffer: 64 * MIB })
  return { status: done.status, out: done.stdout + done.stderr }
}
function passes(tool: string, ...args: string[]): string {
  const { status, out } = run(tool, ...args)
  expect(status, `${tool} ${args.join(' ')}\n${out}`).toBe(0)
  return out
}
for (const tool of ['unzip', '7z', 'bsdtar', 'zip', 'python3']) {
  if (!has(tool)) console.warn(`skipped: ${tool} is not installed`)
}

const items: Item[] = [
  { name: 'site', kind: 'dir' },
  { name: 'site/index.html', data: sample(40_000) },
  { name: 'site/größe €.txt', data: Buffer.from('ü'), mode: 0o100600 },
  { name: 'site/photo.jpg', data: sample(300_000, 'noise'), how: 'store' },
  { name: 'site/big.log', data: Buffer.concat([sample(2 * MIB), sample(MIB, 'noise'), sample(77)]), how: 'blocks' },
  { name: 'site/sparse.img', data: Buffer.alloc(5 * MIB), how: 'blocks' },
  { name: 'site/empty' },
  { name: 'site/link', kind: 'symlink', data: Buffer.from('index.html') },
  { name: 'site/old', data: Buffer.from('old'), mtime: -1 },
  { name: 'site/late', data: Buffer.from('late'), mtime: 2 ** 31 },
  { name: 'site/run.sh', data: Buffer.from('#!/bin/sh\n'), mode: 0o100755 },
]
const files = items.filter(({ kind }) => kind === undefined)
const single = path.join(folder, 'single.zip')
fs.writeFileSync(single, Buffer.concat(buildParts(items)))
const began = path.join(folder, 'began-split.zip')
fs.writeFileSync(began, Buffer.concat(buildParts(items, 64 * MIB)))

function writeSet(base: string, partSize: number): number {
  const parts = buildParts(items, partSize)
  parts.forEach((bytes, i) => fs.writeFileSync(path.join(folder, zip.partName(base, i, parts.length)), bytes))
  return parts.length
}

describe.each([
  ['a single file', single],
  ['a split set that came to one part', began],
])('%s', (_title, file) => {
  it.skipIf(!has('unzip'))('unzip -t', () => {
    expect(passes('unzip', '-t', file)).toContain('No errors detected')
  })
  it.skipIf(!has('7z'))('7z t', () => {
    const out = passes('7z', 't', file)
    expect(out).toContain('Everything is Ok')
    expect(out).not.toMatch(/warning/i)
  })
  it.skipIf(!has('bsdtar'))('bsdtar -tf, by seeking and as a stream', () => {
    for (const out of [passes('bsdtar', '-tf', file), passes('bash', '-c', `bsdtar -tf - < "${file}"`)]) {
      expect(out.trim().split('\n').length).toBe(items.length)
    }
  })
  it.skipIf(!has('python3'))('zipfile of Python', () => {
    const script =
      'import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(len(z.namelist()))'
    expect(passes('python3', '-c', script, file).trim()).toBe(String(items.length))
  })
  it.skipIf(!has('unzip'))('unzip restores content, modes, links and times', () => {
    const to = fs.mkdtempSync(path.join(folder, 'out-'))
    const done = spawnSync('unzip', ['-q', file, '-d', to], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    })
    expect(done.status, done.stderr).toBe(0)
    for (const { name, data, mode, mtime } of files) {
      const target = path.join(to, String(name))
      expect(fs.readFileSync(target).equals(data ?? Buffer.alloc(0))).toBe(true)
      const stat = fs.statSync(target)
      expect(stat.mode).toBe(mode ?? 0o100644)
      const dosOnly = mtime === 2 ** 31 || mtime === -1 // unzip does not take a time before 1970 from the UT field
      if (!dosOnly) expect(stat.mtimeMs / 1000).toBe(mtime ?? 1_700_000_000)
    }
    expect(fs.readlinkSync(path.join(to, 'site/link'))).toBe('index.html')
  })
})

describe('split sets', () => {
  it.skipIf(!has('7z')).each([65_536, 100_000, 777_777])('7z reads parts of %d bytes', (partSize) => {
    const base = `split-${partSize}`
    expect(writeSet(base, partSize)).toBeGreaterThan(2)
    const out = passes('7z', 't', `${base}.zip`)
    expect(out).toContain('Everything is Ok')
    const to = fs.mkdtempSync(path.join(folder, 'out-'))
    passes('7z', 'x', `-o${to}`, `${base}.zip`)
    for (const { name, data } of files) {
      expect(fs.readFileSync(path.join(to, String(name))).equals(data ?? Buffer.alloc(0))).toBe(true)
    }
  })
  it.skipIf(!has('zip'))('we read what Info-ZIP split', async () => {
    fs.writeFileSync(path.join(folder, 'noise'), sample(200_000, 'noise'))
    passes('zip', '-q', '-s', '64k', 'theirs.zip', 'noise', 'single.zip')
    using source = openParts(realDisk, path.join(folder, 'theirs.zip'))
    expect(source.names.length).toBeGreaterThan(5)
    const found = await readAll(openZip(source))
    expect(found.map(({ path: p, data }) => [p, data.length])).toEqual([
      ['noise', 200_000],
      ['single.zip', fs.statSync(single).size],
    ])
  })
})

describe('we read', () => {
  const write = (name: string, ...command: string[]): string => {
    passes(command[0] ?? '', ...command.slice(1))
    return path.join(folder, name)
  }
  it.skipIf(!has('7z') || !has('zip') || !has('bsdtar')).each([
    ['zip', ['zip', '-q', '-r', '--symlinks', 'a1.zip', 'tree']],
    ['7z', ['7z', 'a', '-snl', 'a2.zip', 'tree']],
    ['7z from a stream', ['bash', '-c', '7z a -sitree/text a3.zip < tree/text']],
    ['bsdtar', ['bsdtar', '-a', '-cf', 'a4.zip', 'tree']],
    ['python3', ['python3', '-m', 'zipfile', '-c', 'a5.zip', 'tree']],
  ])('%s', async (_who, command) => {
    fs.mkdirSync(path.join(folder, 'tree/empty'), { recursive: true })
    const text = sample(3 * MIB)
    fs.writeFileSync(path.join(folder, 'tree/text'), text)
    fs.writeFileSync(path.join(folder, 'tree/größe'), 'x')
    const name = command.join(' ').match(/a[0-9]\.zip/)?.[0] ?? ''
    using source = openParts(realDisk, write(name, ...command))
    const found = await readAll(openZip(source))
    expect(found.find((e) => e.path === 'tree/text')?.data.equals(text)).toBe(true)
    if (found.length > 1) expect(found.map((e) => Buffer.from(e.path, 'latin1').toString())).toContain('tree/größe')
  })
})

if (process.env['RATCHET_LONG'] !== undefined)
  describe('ZIP64 in earnest', () => {
    it('an entry of 4.2 GiB, an entry behind it, and 70,000 entries', async () => {
      const file = path.join(folder, 'wide.zip')
      const count = writeWide(file, 4300, 70_000)
      const out = passes('7z', 't', file)
      expect(out).toContain('Everything is Ok')
      expect(passes('unzip', '-tq', file)).toContain('No errors detected')
      passes('bsdtar', '-tf', file)
      const script =
        'import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(len(z.namelist()))'
      expect(passes('python3', '-c', script, file).trim()).toBe(String(count))
      using source = openParts(realDisk, file)
      const reader = openZip(source)
      expect(reader.count).toBe(count)
      let crc = 0
      for (const entry of reader.entries()) {
        for await (const { bytes } of reader.content(entry)) crc = zlib.crc32(bytes, crc)
        expect(crc).toBe(entry.crc)
        break
      }
    }, 600_000)
  })

/** `blocks` MiB of zeros in one entry (a few MB deflated), then `small` empty files. */
function writeWide(file: string, blocks: number, small: number): number {
  const piece = packBlock({ bytes: Buffer.alloc(MIB), mode: 'block', level: 6 })
  let crc = 0
  for (let i = 0; i < blocks; i++) crc = crcCombine(crc, piece.crc, MIB)
  const body = Buffer.concat([...Array.from({ length: blocks }, () => piece.data), Buffer.from('0300', 'hex')])
  const common = { kind: 'file', mode: 0o100644, mtime: 1_700_000_000, uid: 0, gid: 0, part: 0 } as const
  const big: EntryTotals = {
    ...common,
    name: Buffer.from('zeros'),
    size: blocks * MIB,
    method: 'deflate',
    crc,
    stored: body.length,
    offset: 0,
  }
  const head = zip.writer.openHead(big)
  for (const { at, bytes } of zip.writer.patches(big)) bytes.copy(head, at)
  const out = [head, body]
  const records = [zip.writer.record(big)]
  let offset = head.length + body.length
  for (let i = 0; i < small; i++) {
    const entry: EntryTotals = {
      ...common,
      name: Buffer.from(`f${i}`),
      size: 0,
      method: 'store',
      crc: 0,
      stored: 0,
      offset,
    }
    const header = zip.writer.head(entry)
    out.push(header)
    records.push(zip.writer.record(entry))
    offset += header.length
  }
  const directory = Buffer.concat(records)
  const entries = small + 1
  const end = zip.writer.epilogue({
    entries,
    parts: 1,
    uncompressed: 0,
    stored: 0,
    directoryPart: 0,
    directoryOffset: offset,
    directoryLength: directory.length,
    lastPartRecords: entries,
    epilogueOffset: offset + directory.length,
    split: false,
  })
  fs.writeFileSync(file, Buffer.concat([...out, directory, end]))
  return entries
}
