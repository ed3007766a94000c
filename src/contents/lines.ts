import { decodeManifestLine, isOmission, type ManifestEntry } from '../archive/manifest.ts'
import { damaged } from '../archive/zip-records.ts'
import type { Text } from './text.ts'

/** A line that describes an entry, and where it stands. */
export interface Line {
  readonly at: number
  /** Where the next one begins. */
  readonly end: number
  readonly entry: ManifestEntry
}

const GUESS = 1 << 10
/** A longer line is not ours. Bytes. */
const LONGEST = 1 << 20
const LINE_FEED = 0x0a

/** The first line of an entry that begins at `at` (where a line begins) or behind it, but before `to`. */
export function entryFrom(text: Text, at: number, to: number): Line | null {
  for (let from = at; from < to;) {
    const end = endOfLine(text, from)
    const line = decodeManifestLine(text.read(from, end - from - 1).toString('utf8'))
    if (!isOmission(line)) return { at: from, end, entry: line }
    from = end
  }
  return null
}

/** Where the first line behind `at` begins. */
export function nextLine(text: Text, at: number): number {
  return at === 0 ? 0 : endOfLine(text, at - 1)
}

/** The offset behind the line feed that ends the line. ARCHIVE_DAMAGED. */
function endOfLine(text: Text, from: number): number {
  for (let at = from, length = GUESS; at - from < LONGEST; length = GUESS * 16) {
    const piece = text.read(at, length)
    const found = piece.indexOf(LINE_FEED)
    if (found >= 0) return at + found + 1
    if (piece.length < length) break
    at += piece.length
  }
  throw damaged('the manifest holds a line without an end')
}

/**
 * Where the first entry of [from, to) stands that is not `before` what is looked for; `to` if all are. Entries that
 * are `before` come first.
 */
export function seek(text: Text, from: number, to: number, before: (path: Buffer) => boolean): number {
  let low = from
  let high = to
  let answer = to
  while (high - low > NEAR) {
    const middle = Math.floor((low + high) / 2)
    const line = entryFrom(text, nextLine(text, middle), high)
    if (line === null) high = middle
    else if (before(line.entry.path)) low = line.end
    else {
      answer = line.at
      high = middle
    }
  }
  for (let line = entryFrom(text, low, answer); line !== null; line = entryFrom(text, line.end, answer)) {
    if (!before(line.entry.path)) return line.at
  }
  return answer
}

/** Looked through line by line. Bytes. */
const NEAR = 4 << 10

/** The same, where the answer is likely near: in steps that double. */
export function seekNear(text: Text, from: number, to: number, before: (path: Buffer) => boolean): number {
  let low = from
  for (let step = NEAR; low + step < to; step *= 2) {
    const line = entryFrom(text, nextLine(text, low + step), to)
    if (line === null) break
    if (!before(line.entry.path)) return seek(text, low, line.end, before)
    low = line.end
  }
  return seek(text, low, to, before)
}
