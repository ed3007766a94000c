import fs from 'node:fs'
import { expect } from 'vitest'
import { escapeName } from '../../src/lib/entry-path.ts'
import type { Entry, Mark, Source, SourceItem } from '../../src/source/source.ts'

/** What every source promises. Each function takes a maker of fresh sources over the same, quiet content. */
export type MakeSource = () => Source

/** All items of a run, pauses left out. */
export async function collect(
  source: Source,
  after: Mark | null = null,
): Promise<Exclude<SourceItem, { type: 'pause' }>[]> {
  const items: Exclude<SourceItem, { type: 'pause' }>[] = []
  for await (const item of source.items(after)) if (item.type !== 'pause') items.push(item)
  return items
}

/** An item in one line: what a reader of a failed test wants to see. */
export function line(item: SourceItem): string {
  if (item.type === 'pause') return 'pause'
  const path = escapeName(item.path)
  return item.type === 'entry' ? `${item.kind} ${path}` : `omission ${path} ${item.reason}${item.quiet ? ' quiet' : ''}`
}

export async function lines(source: Source, after: Mark | null = null): Promise<string[]> {
  return (await collect(source, after)).map(line)
}

export function content(entry: Entry): Buffer {
  const open = entry.open()
  try {
    const bytes = Buffer.alloc(open.identity.size)
    expect(open.read(bytes, bytes.length, 0)).toBe(bytes.length)
    open.prove()
    return bytes
  } finally {
    open.close()
  }
}

export async function givesTheSameItemsTwice(make: MakeSource): Promise<void> {
  expect(await lines(make())).toEqual(await lines(make()))
}

/** A step may end after any item; what follows is exactly the rest, marks included. */
export async function resumesAfterEveryMark(make: MakeSource): Promise<void> {
  const all = await collect(make())
  const expected = all.map((item) => `${line(item)} ${item.mark}`)
  for (const [i, item] of all.entries()) {
    const rest = (await collect(make(), item.mark)).map((found) => `${line(found)} ${found.mark}`)
    expect(rest, `after ${line(item)}`).toEqual(expected.slice(i + 1))
  }
}

export async function putsFoldersBeforeTheirContent(make: MakeSource): Promise<void> {
  const source = make()
  const seen = new Set<string>([''])
  for (const item of await collect(source)) {
    const path = item.path.toString('latin1')
    expect(path === source.label || path.startsWith(source.label + '/')).toBe(true)
    expect(seen, path).toContain(path.slice(0, Math.max(0, path.lastIndexOf('/'))))
    if (item.type === 'entry') seen.add(path)
  }
}

/** Each path once, no path ends in a slash, marks fit into a record. */
export async function namesEachEntryOnce(make: MakeSource): Promise<void> {
  const entries = (await collect(make())).filter((item) => item.type === 'entry')
  const paths = entries.map((entry) => entry.path.toString('latin1'))
  expect(new Set(paths).size).toBe(paths.length)
  expect(paths.filter((path) => path.endsWith('/'))).toEqual([])
  for (const entry of entries) expect(Buffer.byteLength(JSON.stringify(entry.mark))).toBeLessThanOrEqual(6000)
}

/** Entries can be opened while the walk goes on, and after it has ended. */
export async function opensEntriesLate(make: MakeSource): Promise<void> {
  const early = new Map<string, string>()
  for await (const item of make().items(null)) {
    if (item.type === 'entry' && item.kind === 'file') early.set(item.mark, content(item).toString('hex'))
  }
  for (const item of await collect(make())) {
    if (item.type !== 'entry' || item.kind !== 'file') continue
    expect(content(item).toString('hex')).toBe(early.get(item.mark))
  }
}

/** Whether the walk ends or is left in the middle, every handle is given back; an entry opened later leaves none either. */
export async function leavesNoHandles(make: MakeSource): Promise<void> {
  const handles = (): number => fs.readdirSync('/proc/self/fd').length
  const total = (await collect(make())).length
  const before = handles()
  for (const cut of [1, Math.ceil(total / 2), total + 1]) {
    let n = 0
    let last: Entry | null = null
    for await (const item of make().items(null)) {
      if (item.type === 'entry' && item.kind === 'file') content((last = item))
      if (++n >= cut) break
    }
    if (last !== null) content(last)
    expect(handles(), `left after ${cut}`).toBe(before)
  }
}

/** The suite by name, for `test.each`. */
export const SOURCE_SUITE: readonly (readonly [string, (make: MakeSource) => Promise<void>])[] = [
  ['gives the same items twice', givesTheSameItemsTwice],
  ['resumes after every mark with exactly the rest', resumesAfterEveryMark],
  ['puts folders before their content', putsFoldersBeforeTheirContent],
  ['names each entry once', namesEachEntryOnce],
  ['opens entries late', opensEntriesLate],
  ['leaves no handles', leavesNoHandles],
]
