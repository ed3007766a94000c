import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { realDisk, type Disk } from '../../src/lib/disk.ts'
import { openDirectory, type DirectoryEnv } from '../../src/source/directory.ts'
import { countDirectory, newCount } from '../../src/source/count.ts'
import { dropLists } from '../../src/source/list-store.ts'
import type { Mark, Source } from '../../src/source/source.ts'
import { TestListStore } from '../helpers/list-store.ts'
import { envFor } from '../helpers/source-env.ts'
import { temporaryFolder } from '../helpers/tree.ts'
import { line } from '../suites/source.ts'

const COUNT = 30_000
const folder = temporaryFolder()
const root = path.join(folder.path, 'many')
let names: string[]

beforeAll(() => {
  fs.mkdirSync(root)
  names = Array.from({ length: COUNT }, (_, i) => `${((i * 7919) % COUNT).toString(36)}-${'x'.repeat(i % 40)}`)
  for (const name of names) fs.closeSync(fs.openSync(path.join(root, name), 'w'))
  names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}, 60_000)
afterAll(() => folder[Symbol.dispose]())

let store: TestListStore
let listings: number
let longest: number
let said: string[]
beforeEach(() => {
  const work = fs.mkdtempSync(path.join(folder.path, 'work-'))
  store = new TestListStore(realDisk, work)
  listings = 0
  longest = 0
  said = []
})

/** Counts how often the large folder is listed, and how many names are read between two items. */
function env(): DirectoryEnv {
  const disk: Disk = {
    ...realDisk,
    opendir(at) {
      const reader = realDisk.opendir(at)
      listings++
      return { next: () => (longest++, reader.next()), close: () => reader.close() }
    },
  }
  return { ...envFor(disk), list: store, log: (_, message) => said.push(message) }
}

const source = (with_ = env()): Source =>
  openDirectory({ type: 'directory', path: root, label: 'm', xattrs: false }, with_)

/** One step: until the first item after `most` of them, or the first pause. */
async function step(after: Mark | null, most: number): Promise<{ paths: string[]; mark: Mark | null; ended: boolean }> {
  const paths: string[] = []
  let mark = after
  for await (const item of source().items(after)) {
    if (item.type === 'pause') return { paths, mark, ended: false }
    paths.push(line(item))
    mark = item.mark
    if (paths.length >= most) return { paths, mark, ended: false }
  }
  return { paths, mark, ended: true }
}

const expected = (): string[] => ['dir m', ...names.map((name) => `file m/${name}`)]

test('a large folder is listed once, in order, with a step at every pause', async () => {
  const all: string[] = []
  let mark: Mark | null = null
  let steps = 0
  for (let ended = false; !ended; steps++) {
    const done = await step(mark, 4000)
    all.push(...done.paths)
    mark = done.mark
    ended = done.ended
    await store.commit()
  }
  expect(all).toEqual(expected())
  expect(listings).toBe(1)
  expect(steps).toBeGreaterThan(15)
})

test('a pause comes after a few thousand names at the latest', async () => {
  let most = 0
  for await (const item of source().items(null)) {
    if (item.type !== 'pause') break
    most = Math.max(most, longest)
    longest = 0
  }
  for await (const item of source().items('>u')) {
    if (item.type !== 'pause') break
    most = Math.max(most, longest)
    longest = 0
  }
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThan(13_000)
})

test('a complete list serves every later process', async () => {
  let mark: Mark | null = null
  const all: string[] = []
  for (let ended = false; !ended;) {
    const done = await step(mark, 9000)
    all.push(...done.paths)
    mark = done.mark
    ended = done.ended
    await store.commit()
    if (all.length > 1) store.lose()
  }
  expect(all).toEqual(expected())
  expect(listings).toBe(1)
})

test('a listing lost with its process begins again; lost twice, it runs to its end without a pause', async () => {
  let mark: Mark | null = null
  const counts: number[] = []
  for (let steps = 0; steps < 4; steps++) {
    const done = await step(mark, 3)
    mark = done.mark
    counts.push(done.paths.length)
    await store.commit()
    store.lose()
  }
  // The folder's own entry, then a pause; lost; a pause; lost; and then names.
  expect(counts).toEqual([1, 0, 3, 3])
  expect(listings).toBe(3)
  expect(said).toHaveLength(1)
})

test('a listing whose step failed is not trusted', async () => {
  const first = await step(null, 1)
  await step(first.mark, 1)
  await store.commit()
  // Enough for a sorted run to be written, which the failure then takes back.
  for (let i = 0; i < 6; i++) await step(first.mark, 1)
  expect(store.file('names-1').length).toBeGreaterThan(0)
  store.fail()
  const all = [...first.paths]
  for (let done = await step(first.mark, COUNT + 1); ; done = await step(done.mark, COUNT + 1)) {
    all.push(...done.paths)
    await store.commit()
    if (done.ended) break
  }
  expect(all).toEqual(expected())
  expect(listings).toBe(2)
})

test('names that come and go during the walk neither loop nor hide others', async () => {
  const extra = path.join(root, '000-new')
  let seen = 0
  try {
    for await (const item of source().items(null)) {
      if (item.type === 'pause') continue
      if (++seen === 10) fs.writeFileSync(extra, '')
    }
  } finally {
    fs.rmSync(extra)
  }
  expect(seen).toBe(COUNT + 1)
})

test('counting can be cut at every yield', async () => {
  const state = newCount()
  for (let cuts = 0; !state.done && cuts < 500; cuts++) {
    for await (const now of countDirectory({ type: 'directory', path: root, label: 'm' }, env(), state)) {
      expect(now).toBe(state)
      break
    }
    await store.commit()
    Object.assign(state, JSON.parse(JSON.stringify(state)))
  }
  expect(state).toMatchObject({ files: COUNT, entries: COUNT + 1, bytes: 0, done: true })
  expect(listings).toBe(1)
})

test('lists are given up when a source is done, and never more than a few are kept', async () => {
  for await (const item of source().items(null)) if (item.type === 'entry') break
  for await (const item of source().items(null)) if (item.type === 'entry' && item.kind === 'file') break
  expect(store.slot().lists).toHaveLength(1)
  dropLists(store)
  expect(store.slot().lists).toEqual([])
  expect(store.dropped).toHaveLength(1)
})

test('without a store the names are sorted in memory', async () => {
  const found: string[] = []
  for await (const item of source({ ...envFor(), list: null }).items(null)) found.push(line(item))
  expect(found).toEqual(expected())
})

test('trouble with our own work file is not taken for the end of the folder', async () => {
  const full: Disk = {
    ...realDisk,
    write: () => {
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write' })
    },
  }
  store = new TestListStore(full, fs.mkdtempSync(path.join(folder.path, 'full-')))
  const run = async (): Promise<void> => {
    for await (const item of source().items(null)) void item
  }
  await expect(run()).rejects.toMatchObject({ code: 'ENOSPC' })
})
