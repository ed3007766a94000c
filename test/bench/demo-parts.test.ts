import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compareTrees } from '../../bench/demo/compare.ts'
import { makeSample } from '../../bench/demo/sample.ts'

let folder = ''
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-sample-'))
  makeSample(path.join(folder, 'a'))
  makeSample(path.join(folder, 'b'))
})
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const differences = (): string[] => compareTrees(path.join(folder, 'a/odd'), path.join(folder, 'b/odd')).differences
const b = (name: string): string => path.join(folder, 'b', name)

describe('the sample site', () => {
  it('is the same at every run, with a few thousand entries', () => {
    const { entries, bytes, special, ...rest } = compareTrees(path.join(folder, 'a'), path.join(folder, 'b'))
    expect(rest.differences).toEqual([])
    expect(entries).toBeGreaterThan(3000)
    expect(bytes).toBeGreaterThan(40_000_000)
    expect(special).toBe(0)
  })
})

describe('the comparer sees', () => {
  const cases: [string, RegExp, () => () => void][] = [
    [
      'a changed byte at the end of a file',
      /content differs/,
      () => rewrite(b('odd/back\\slash'), (c) => c.write('x', c.length - 1)),
    ],
    ['a file that has grown', /content differs/, () => rewrite(b('odd/empty'), () => 0, 'x')],
    ['another mode', /mode 600/, () => swapMode(b('odd/-rf'), 0o644)],
    ['a time 2 µs off', /modified at/, () => swapTime(b('odd/-rf'))],
    [
      'a missing folder',
      /missing/,
      () =>
        undo(
          () => fs.rmdirSync(b('odd/nothing')),
          () => fs.mkdirSync(b('odd/nothing')),
          b('odd'),
        ),
    ],
    [
      'something more',
      /only here/,
      () =>
        undo(
          () => fs.mkdirSync(b('odd/more')),
          () => fs.rmdirSync(b('odd/more')),
          b('odd'),
        ),
    ],
    ['another link target', /points elsewhere/, () => relink(b('odd/link-to-nothing'), 'there')],
    ['a folder that became a link', /came back as link/, () => folderToLink(b('odd/nothing'))],
  ]
  it.each(cases)('%s', (_what, expected, damage) => {
    const repair = damage()
    expect(differences().join('\n')).toMatch(expected)
    repair()
  })
})

/** Does something, and gives back how to undo it with the times of the folder. */
function undo(act: () => void, back: () => void, ...touched: string[]): () => void {
  const times = touched.map((at) => [at, fs.lstatSync(at)] as const)
  act()
  return () => {
    back()
    for (const [at, stat] of times) fs.lutimesSync(at, stat.atimeMs / 1000, stat.mtimeMs / 1000)
  }
}

function rewrite(file: string, change: (content: Buffer) => number, more = ''): () => void {
  const content = fs.readFileSync(file)
  const changed = Buffer.concat([content, Buffer.from(more)])
  change(changed)
  return undo(
    () => fs.writeFileSync(file, changed),
    () => fs.writeFileSync(file, content),
    file,
  )
}

function swapMode(file: string, mode: number): () => void {
  const before = fs.statSync(file).mode
  return undo(
    () => fs.chmodSync(file, mode),
    () => fs.chmodSync(file, before),
  )
}

function swapTime(file: string): () => void {
  const { mtimeMs, atimeMs } = fs.statSync(file)
  return undo(
    () => fs.utimesSync(file, atimeMs / 1000, mtimeMs / 1000 + 2e-6),
    () => fs.utimesSync(file, atimeMs / 1000, mtimeMs / 1000),
  )
}

function relink(link: string, target: string): () => void {
  const before = fs.readlinkSync(link)
  const put = (to: string): void => {
    fs.unlinkSync(link)
    fs.symlinkSync(to, link)
  }
  return undo(
    () => put(target),
    () => put(before),
    link,
    path.dirname(link),
  )
}

function folderToLink(at: string): () => void {
  const act = (): void => {
    fs.rmdirSync(at)
    fs.symlinkSync('cache', at)
  }
  const back = (): void => {
    fs.unlinkSync(at)
    fs.mkdirSync(at)
  }
  return undo(act, back, at, path.dirname(at))
}
