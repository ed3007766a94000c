import fc from 'fast-check'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { AppendFile } from '../../src/lib/append-file.ts'
import { realDisk } from '../../src/lib/disk.ts'
import { Batch, MergedNames, readTable, writeTable, type Name, type Run } from '../../src/source/name-list.ts'
import { temporaryFolder } from '../helpers/tree.ts'

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())
let n = 0
const newFile = (): AppendFile => AppendFile.open(realDisk, path.join(folder.path, String(n++)), 0)

function readAll(names: MergedNames): string[] {
  const found: string[] = []
  for (let name = names.next(); name !== null; name = names.next()) found.push(name.name.toString('latin1'))
  return found
}

function writeRun(file: AppendFile, names: readonly Name[]): Run {
  const batch = new Batch()
  for (const name of names) batch.add(name)
  return batch.write(file)
}

const nameOf = (text: string): Name => ({ name: Buffer.from(text, 'latin1'), kind: 'file' })
const bytes = fc.string({
  unit: fc.integer({ min: 1, max: 255 }).map((c) => String.fromCharCode(c)),
  minLength: 1,
  maxLength: 255,
})

test('runs read back in order, each name once, from any name on', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(bytes, { minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 5 }),
      bytes,
      (runs, from) => {
        const file = newFile()
        const written = runs.map((run) => writeRun(file, run.map(nameOf)))
        const table = writeTable(file, written)
        expect(readTable(file, table)).toEqual(written)
        const all = [...new Set(runs.flat())].toSorted((a, b) =>
          Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1')),
        )
        expect(readAll(new MergedNames(file, written, null))).toEqual(all)
        const rest = all.filter((name) => Buffer.compare(Buffer.from(name, 'latin1'), Buffer.from(from, 'latin1')) >= 0)
        expect(readAll(new MergedNames(file, written, Buffer.from(from, 'latin1')))).toEqual(rest)
        file.close()
      },
    ),
    { numRuns: 60 },
  )
})

test('a name that two runs hold is given once', () => {
  const file = newFile()
  const runs = [
    ['a', 'b', 'b'],
    ['b', 'c'],
    ['a', 'c'],
  ].map((names) => writeRun(file, names.map(nameOf)))
  expect(readAll(new MergedNames(file, runs, null))).toEqual(['a', 'b', 'c'])
  file.close()
})

test('kinds are kept as the folder told them', () => {
  const file = newFile()
  const names: Name[] = [
    { name: Buffer.from('a'), kind: null },
    { name: Buffer.from('b'), kind: 'dir' },
    { name: Buffer.from('c'), kind: 'block' },
  ]
  const merged = new MergedNames(file, [writeRun(file, [...names])], null)
  expect([merged.next(), merged.next(), merged.next(), merged.next()]).toEqual([...names, null])
  file.close()
})

test('finding a name in many pages reads few of them', () => {
  const file = newFile()
  const run = writeRun(
    file,
    Array.from({ length: 20_000 }, (_, i) => nameOf(String(i).padStart(60, '0'))),
  )
  let read = 0
  const counting = new Proxy(file, {
    get: (target, key) => {
      if (key === 'read') return (at: number, length: number) => ((read += length), target.read(at, length))
      return Reflect.get(target, key, target) as unknown
    },
  })
  expect(new MergedNames(counting, [run], Buffer.from('12345'.padStart(60, '0'))).next()?.name.toString()).toMatch(
    /12345$/,
  )
  expect(run.length).toBeGreaterThan(1_000_000)
  expect(read).toBeLessThan(40_000)
  file.close()
})
