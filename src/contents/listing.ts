import { encodeManifestLine, type ManifestEntry } from '../archive/manifest.ts'
import type { BrowsedEntry } from '../engine/archives.ts'
import { entryFrom, seek, seekNear, type Line } from './lines.ts'
import { comparePaths, isWithin, labelOf } from './order.ts'
import { textOf, type Text } from './text.ts'

/** What lies below one first path component: its lines come in the order of `comparePaths`, in one run. */
interface Section {
  readonly label: Buffer
  readonly text: Text
  readonly start: number
  readonly end: number
}

export interface PageQuery {
  /** Empty: the whole archive. */
  readonly folder: Buffer
  /** All that lies below it, not only its own children. */
  readonly recursive: boolean
  readonly after: Buffer | null
  readonly limit: number
}

export interface Page {
  /** Null: nothing has this path. */
  readonly entries: BrowsedEntry[] | null
  /** Path to go on after; null at the end. */
  readonly next: Buffer | null
}

/** Sections up to this length are sorted in memory. Bytes. */
const SMALL = 1 << 20
/** Pieces of the manifest unpacked for one page; it then ends early. */
const MOST_COST = 24

/**
 * Pages of what an archive holds, out of the lines of its manifest. A source's entries come depth first, names by
 * their bytes, so a place is found by halving, and what lies below a folder is passed over without reading it.
 */
export class Listing implements Disposable {
  readonly #text: Text
  #sections: readonly Section[] | null = null

  constructor(text: Text) {
    this.#text = text
  }

  page(query: PageQuery): Page {
    const { folder, after } = query
    const sections = this.#all()
    const cost = this.#text.cost
    const page = new Growing(query, () => this.#text.cost - cost > MOST_COST)
    const label = folder.length === 0 ? null : labelOf(folder)
    let known = folder.length === 0
    for (const section of sections) {
      if (label !== null && !section.label.equals(label)) continue
      if (after !== null && Buffer.compare(section.label, labelOf(after)) < 0) continue
      const start = folder.length === 0 ? section.start : find(section, folder)
      const first = entryFrom(section.text, start, section.end)
      if (first === null || !isWithin(first.entry.path, folder)) continue
      known = true
      fill(section, first, query, page)
      if (page.full) break
    }
    return { entries: known ? page.entries : null, next: page.next }
  }

  /** The line about one path. */
  find(path: Buffer): ManifestEntry | null {
    for (const section of this.#all()) {
      if (!section.label.equals(labelOf(path))) continue
      const line = entryFrom(section.text, find(section, path), section.end)
      if (line?.entry.path.equals(path) === true) return line.entry
    }
    return null
  }

  [Symbol.dispose](): void {
    this.#text[Symbol.dispose]()
  }

  #all(): readonly Section[] {
    this.#sections ??= sorted(runsOf(this.#text))
    return this.#sections
  }
}

const find = ({ text, start, end }: Section, path: Buffer): number =>
  seek(text, start, end, (other) => comparePaths(other, path) < 0)

/** Runs of lines with one first component. */
function runsOf(text: Text): Section[] {
  const runs: Section[] = []
  for (let line = entryFrom(text, 0, text.size); line !== null;) {
    const label = labelOf(line.entry.path)
    const end = seekNear(text, line.at, text.size, (path) => labelOf(path).equals(label))
    runs.push({ label, text, start: line.at, end })
    line = entryFrom(text, end, text.size)
  }
  return runs
}

/**
 * One section a label, in the order of the labels. Databases that were named come in the order in which they were
 * copied, some before and some after the sources: sections so small are put in order here.
 */
function sorted(runs: readonly Section[]): Section[] {
  const byLabel = Map.groupBy(runs, ({ label }) => label.toString('latin1'))
  const sections = [...byLabel.values()].flatMap((some) => {
    const length = some.reduce((sum, { start, end }) => sum + end - start, 0)
    return length > SMALL ? some : [inMemory(some)]
  })
  return sections.toSorted((a, b) => Buffer.compare(a.label, b.label))
}

function inMemory(runs: readonly Section[]): Section {
  const entries: ManifestEntry[] = []
  for (const { text, start, end } of runs) {
    for (let line = entryFrom(text, start, end); line !== null; line = entryFrom(text, line.end, end))
      entries.push(line.entry)
  }
  const text = sortedText(entries)
  return { label: runs[0]?.label ?? Buffer.alloc(0), text, start: 0, end: text.size }
}

/** Entries as the text of a manifest, in order. */
export function sortedText(entries: readonly ManifestEntry[]): Text {
  const lines = entries
    .toSorted((a, b) => comparePaths(a.path, b.path))
    .map((entry) => `${encodeManifestLine(entry)}\n`)
  return textOf(Buffer.from(lines.join(''), 'utf8'))
}

/** A page that grows until it is full, or has cost enough. */
class Growing {
  readonly entries: BrowsedEntry[] = []
  next: Buffer | null = null
  readonly #limit: number
  readonly #spent: () => boolean

  constructor({ limit }: PageQuery, spent: () => boolean) {
    this.#limit = limit
    this.#spent = spent
  }

  get full(): boolean {
    return this.next !== null
  }

  /** False: there is no room; whoever asks again goes on here. */
  add(entry: BrowsedEntry): boolean {
    const last = this.entries.at(-1)
    if (last !== undefined && (this.entries.length >= this.#limit || this.#spent())) {
      this.next = last.path
      return false
    }
    this.entries.push(entry)
    return true
  }
}

/** What of a section lies in the folder, from `first` on, into the page. */
function fill(section: Section, first: Line, query: PageQuery, page: Growing): void {
  const { text, end } = section
  const { folder, recursive, after } = query
  let line: Line | null = first
  if (after !== null) {
    const before = recursive
      ? (path: Buffer) => comparePaths(path, after) <= 0
      : (path: Buffer) => comparePaths(path, after) < 0 || isWithin(path, after)
    line = entryFrom(text, seek(text, line.at, end, before), end)
  }
  while (line !== null && isWithin(line.entry.path, folder)) {
    const { path } = line.entry
    const isFolder = line.entry.type === 'dir' && path.equals(folder)
    const child = recursive || path.equals(folder) ? path : childOf(path, folder)
    if (!isFolder && !page.add(child.length === path.length ? shown(line.entry) : implied(child))) return
    line = recursive || isFolder ? entryFrom(text, line.end, end) : behind(section, line, child)
  }
}

/** The first line that is not of this child or below it. */
function behind({ text, end }: Section, { end: from }: Line, child: Buffer): Line | null {
  const next = entryFrom(text, from, end)
  if (next === null || !isWithin(next.entry.path, child)) return next
  return entryFrom(
    text,
    seekNear(text, next.at, end, (path) => isWithin(path, child)),
    end,
  )
}

/** The ancestor of `path`, or itself, that lies directly in the folder. */
function childOf(path: Buffer, folder: Buffer): Buffer {
  const from = folder.length === 0 ? 0 : folder.length + 1
  const cut = path.indexOf(0x2f, from)
  return cut < 0 ? path : path.subarray(0, cut)
}

const shown = ({ path, type, size, mode, mtimeNs, digest, link }: ManifestEntry): BrowsedEntry => ({
  path,
  kind: type,
  size: type === 'file' ? size : 0,
  mode,
  // Archives of others may hold none.
  mtimeMs: mtimeNs === 0n ? null : Number(mtimeNs / 1_000_000n),
  digest,
  ...(link === undefined ? {} : { link }),
})

/** A folder that shows only by what lies in it. */
const implied = (path: Buffer): BrowsedEntry => ({
  path,
  kind: 'dir',
  size: 0,
  mode: null,
  mtimeMs: null,
  digest: null,
})
