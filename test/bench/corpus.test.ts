import crypto from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import zlib from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CORPORA, makeCorpus, type Corpus } from '../../bench/corpus.ts'
import { Random } from '../../bench/random.ts'

const roots: string[] = []
function scratch(): string {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-corpus-'))
  roots.push(root)
  return root
}
afterAll(() => {
  for (const root of roots) fs.rmSync(root, { recursive: true, force: true })
})

function files(root: string): string[] {
  return fs
    .readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .toSorted()
}

function digest(root: string): string {
  const hash = crypto.createHash('sha256')
  for (const file of files(root)) hash.update(path.relative(root, file)).update(fs.readFileSync(file))
  return hash.digest('hex')
}

const deflated = (list: string[]): number => {
  let before = 0
  let after = 0
  for (const file of list) {
    const bytes = fs.readFileSync(file)
    before += bytes.length
    after += zlib.deflateRawSync(bytes, { level: 6 }).length
  }
  return after / before
}

describe('the benchmark corpus', () => {
  let mixed: Corpus
  beforeAll(() => {
    mixed = makeCorpus('mixed', scratch(), 0.02)
  })

  it.each(CORPORA)('%s is the same bytes every time', (name) => {
    const scale = name.startsWith('million') ? 0.0005 : 0.002
    const [one, two] = [makeCorpus(name, scratch(), scale), makeCorpus(name, scratch(), scale)]
    expect(one.files).toBe(files(one.path).length)
    expect(digest(one.path)).toBe(digest(two.path))
    expect(one.bytes).toBe(files(one.path).reduce((sum, file) => sum + fs.statSync(file).size, 0))
  })

  it('holds text that deflates to about 0.3, images that do not, and large files that do by half', () => {
    const all = files(mixed.path)
    const below = (folder: string): string[] => all.filter((file) => file.startsWith(path.join(mixed.path, folder)))
    expect(deflated(below('text'))).toBeGreaterThan(0.25)
    expect(deflated(below('text'))).toBeLessThan(0.35)
    expect(deflated(below('images'))).toBeGreaterThan(0.99)
    const large = deflated(below('large'))
    expect(large).toBeGreaterThan(0.3)
    expect(large).toBeLessThan(0.9)
  })

  it('is used again while its stamp fits, and made anew when the scale or the folder changed', () => {
    const root = scratch()
    const first = makeCorpus('many', root, 0.001)
    const [file = ''] = files(first.path)
    fs.writeFileSync(file, 'touched')
    expect(makeCorpus('many', root, 0.001)).toEqual(first)
    expect(fs.readFileSync(file, 'utf8')).toBe('touched')
    expect(makeCorpus('many', root, 0.002).files).toBe(400)
    expect(fs.readFileSync(file, 'utf8')).not.toBe('touched')
  })
})

describe('Random', () => {
  it('fills bytes with the numbers it would have given one by one', () => {
    const state = new Random('x')
    const twin = new Random('x')
    const bytes = new Uint8Array(4001)
    state.fill(bytes)
    const words = new DataView(bytes.buffer)
    for (let i = 0; i < 1000; i++) expect(words.getUint32(i * 4, true)).toBe(twin.next())
    expect(bytes[4000]).toBe(twin.next() & 0xff)
    expect(state.next()).toBe(twin.next())
  })

  it('draws evenly and log-normally', () => {
    const random = new Random('spread')
    const boxes = Array.from({ length: 10 }, () => 0)
    let sum = 0
    for (let i = 0; i < 20_000; i++) {
      const box = random.below(10)
      boxes[box] = (boxes[box] ?? 0) + 1
      sum += random.logNormal(14_000, 1)
    }
    expect(Math.min(...boxes)).toBeGreaterThan(1800)
    expect(Math.max(...boxes)).toBeLessThan(2200)
    expect(sum / 20_000).toBeGreaterThan(13_000)
    expect(sum / 20_000).toBeLessThan(15_000)
  })
})
