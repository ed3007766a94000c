import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeManifestLine, type ManifestEntry } from '../../src/archive/manifest.ts'
import { Listing } from '../../src/contents/listing.ts'
import { comparePaths, isWithin } from '../../src/contents/order.ts'
import { textOf } from '../../src/contents/text.ts'

/** Pages against a model that holds all paths in an array. */

const bytes = (path: string): Buffer => Buffer.from(path, 'latin1')
const text = (path: Buffer): string => path.toString('latin1')

function entryOf(path: string, type: ManifestEntry['type']): ManifestEntry {
  const common = { mtimeNs: 1_500_000_000_000_000_000n, mode: 0o100644, uid: 0, gid: 0, digest: null }
  return { path: bytes(path), type, size: 7, ...common }
}

/** Lines of a manifest in which sources come one after the other, each in its order, with omissions between. */
function manifestOf(
  files: readonly string[],
  folders: ReadonlySet<string>,
  labels: readonly string[],
  noise: number,
): Buffer {
  const paths = [...files, ...folders].map(bytes).toSorted(comparePaths).map(text)
  const lines: string[] = []
  for (const label of labels) {
    for (const path of paths) {
      if (path !== label && !path.startsWith(`${label}/`)) continue
      lines.push(encodeManifestLine(entryOf(path, folders.has(path) ? 'dir' : 'file')))
      // What was left out says nothing about the order.
      for (let i = 0; i < noise; i++)
        lines.push(encodeManifestLine({ path: bytes(`${label}/~~${'x'.repeat(40)}`), omitted: 'changed' }))
    }
  }
  return Buffer.from(lines.map((line) => `${line}\n`).join(''))
}

/** All pages of a folder, one after the other. */
function all(listing: Listing, folder: string, recursive: boolean, limit: number): string[] | null {
  const found: string[] = []
  for (let after: Buffer | null = null; ;) {
    const { entries, next }: ReturnType<Listing['page']> = listing.page({
      folder: bytes(folder),
      recursive,
      after,
      limit,
    })
    if (entries === null) return null
    if (entries.length > limit) throw new Error('a page is longer than asked')
    if (next !== null && entries.length === 0) throw new Error('an empty page that is not the last')
    found.push(...entries.map(({ path, kind }) => text(path) + (kind === 'dir' ? '/' : '')))
    if (next === null) return found
    after = next
  }
}

function model(files: readonly string[], folders: ReadonlySet<string>, folder: string, recursive: boolean): string[] {
  const ancestors = files.flatMap((path) => path.split('/').map((_, i, parts) => parts.slice(0, i).join('/')))
  const implied = new Set(ancestors.filter((path) => path !== '' && !folders.has(path)))
  const known = [...files, ...folders, ...(recursive ? [] : implied)].map(bytes).toSorted(comparePaths)
  return known
    .filter((path) => isWithin(path, bytes(folder)) && !path.equals(bytes(folder)))
    .filter(
      (path) =>
        recursive ||
        !text(path)
          .slice(folder === '' ? 0 : folder.length + 1)
          .includes('/'),
    )
    .map((path) => text(path) + (folders.has(text(path)) || implied.has(text(path)) ? '/' : ''))
}

// Names around the slash in the order of bytes, since `a-b` comes before `a/b` as a text and after it as a path.
const name = fc.stringMatching(/^[-.0a\xff]{1,3}$/)
const tree = fc
  .array(fc.array(name, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 60 })
  .map((paths) => [...new Set(paths.map((parts) => parts.join('/')))])
  // Nothing is a file and a folder at once.
  .map((paths) => paths.filter((path) => !paths.some((other) => other.startsWith(`${path}/`))))

describe('pages', () => {
  test('of any tree, folder by folder and whole, in pages of any length', () => {
    const pad = fc.integer({ min: 0, max: 3 })
    fc.assert(
      fc.property(
        tree,
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 9 }),
        pad,
        (files, listed, recursive, limit, noise) => {
          const every = files.flatMap((path) => path.split('/').map((_, i, parts) => parts.slice(0, i).join('/')))
          const folders = new Set(listed ? every.filter((path) => path !== '') : [])
          const labels = [...new Set(files.map((path) => path.split('/')[0] ?? ''))]
          using listing = new Listing(textOf(manifestOf(files, folders, labels, noise)))
          for (const folder of ['', ...every]) {
            if (folder === '' || every.includes(folder))
              expect(all(listing, folder, recursive, limit)).toEqual(model(files, folders, folder, recursive))
          }
          for (const file of files) {
            expect(all(listing, file, recursive, limit)).toEqual([file])
            expect(listing.find(bytes(file))?.path).toEqual(bytes(file))
            expect(all(listing, `${file}/none`, recursive, limit)).toBeNull()
          }
          expect(listing.find(bytes('none'))).toBeNull()
        },
      ),
      { numRuns: 300 },
    )
  })

  test('a large tree: sections too large for memory are halved, folders passed over', () => {
    const files: string[] = []
    for (let i = 0; i < 20_000; i++) files.push(`big/d${i % 37}/e${i % 11}/f${i}`)
    for (let i = 0; i < 3; i++) files.push(`databases/db${i}`)
    const folders = new Set(
      files.flatMap((path) =>
        !path.startsWith('big')
          ? []
          : ['big', path.slice(0, path.lastIndexOf('/')), path.split('/').slice(0, 2).join('/')],
      ),
    )
    using listing = new Listing(textOf(manifestOf(files, folders, ['databases', 'big'], 0)))
    expect(all(listing, '', false, 5)).toEqual(['big/', 'databases/'])
    for (const folder of ['big', 'big/d7', 'big/d36/e10', 'databases'])
      expect(all(listing, folder, false, 100)).toEqual(model(files, folders, folder, false))
    expect(all(listing, 'big/d3', true, 1000)).toEqual(model(files, folders, 'big/d3', true))
    expect(all(listing, '', true, 1000)).toEqual(model(files, folders, '', true))
  })

  test('databases that were copied before and after the sources are one folder, in order', () => {
    const lines = ['databases/zz/zz.db', 'www', 'www/a', 'databases/aa/aa.db', 'databases/mm/mm.db']
      .map((path) => `${encodeManifestLine(entryOf(path, path === 'www' ? 'dir' : 'file'))}\n`)
      .join('')
    using listing = new Listing(textOf(Buffer.from(lines)))
    expect(all(listing, 'databases', false, 2)).toEqual(['databases/aa/', 'databases/mm/', 'databases/zz/'])
    expect(all(listing, '', true, 2)).toEqual([
      'databases/aa/aa.db',
      'databases/mm/mm.db',
      'databases/zz/zz.db',
      'www/',
      'www/a',
    ])
  })

  test('nonsense is refused, and ends', () => {
    for (const nonsense of ['{}\n', 'x', '{"p":"a"}\n', '\n\n', '{"p":"a","t":"file"']) {
      using listing = new Listing(textOf(Buffer.from(nonsense)))
      expect(() => listing.page({ folder: bytes(''), recursive: true, after: null, limit: 10 })).toThrow(/manifest/)
    }
    const unordered = ['b/z', 'b/a', 'a/q', 'b/c', 'b/z', 'a/q'].map(
      (path) => `${encodeManifestLine(entryOf(path, 'file'))}\n`,
    )
    using listing = new Listing(textOf(Buffer.from(unordered.join(''))))
    expect(all(listing, '', true, 10)?.length).toBeGreaterThan(0)
  })
})
