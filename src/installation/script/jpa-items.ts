import type { Item } from './entry.ts'
import { nameBytes } from './names.ts'
import { broken, Fatal, type Joined } from './parts.ts'
import { withoutSlash } from './zip-items.ts'

/** How far the archive may begin behind the file's first byte. */
const FIRST_WITHIN = 128 << 10
/** Begins the header's field with the number of parts. */
const SPANNED = 0x0101504a
const KINDS = ['dir', 'file', 'symlink'] as const

const wideAt = (b: Buffer, at: number): number => b.readUInt32LE(at + 4) * 0x1_0000_0000 + b.readUInt32LE(at)

/** Where the archive's header begins, or -1: it is no JPA archive. */
export const jpaStart = (archive: Joined): number => archive.read(0, FIRST_WITHIN).indexOf('JPA', 0, 'latin1')

/** How many parts the archive's header says there are: 1 without a word about it; null without a header, or unfinished. */
export function jpaPartsSaid(first: Joined): number | null {
  const head = first.read(0, 0xffff)
  if (head.length < 19 || head.toString('latin1', 0, 3) !== 'JPA' || head[5] !== 1) return null
  const end = Math.min(head.readUInt16LE(3), head.length)
  for (let at = 19; at + 8 <= end; at += 4 + head.readUInt16LE(at + 4)) {
    if (head.readUInt32LE(at) !== SPANNED) continue
    const parts = head.readUInt16LE(at + 6)
    return parts === 0 || parts === 0xffff ? null : parts
  }
  return 1
}

/** All entries, one header after the other. The header's count must be met: the format has no end mark. */
export function* jpaItems(archive: Joined): Generator<Item, void, undefined> {
  const begin = jpaStart(archive)
  const header = archive.read(begin, 19)
  if (begin < 0 || header.length < 19 || header[5] !== 1) throw new Fatal('this is not a JPA archive of version 1')
  const count = header.readUInt32LE(7)
  if (count === 0) throw broken('the archive was never finished: its header counts no entries')
  let at = begin + header.readUInt16LE(3)
  for (let index = 0; index < count; index++) {
    const { item, end } = decodeBlock(archive, at, index, count)
    yield item
    at = end
  }
  if (at !== archive.size) throw new Fatal(`the archive goes on behind its ${count} entries: a part is not its own`)
}

function decodeBlock(archive: Joined, at: number, index: number, count: number): { item: Item; end: number } {
  const bad = (why: string): Fatal => broken(`entry ${index + 1} of ${count} ${why}; is a part missing?`)
  const start = archive.peek(at, 7)
  if (start.length < 7 || start.toString('latin1', 0, 3) !== 'JPF') throw bad('has no header')
  const length = start.readUInt16LE(3)
  const pathEnd = 7 + start.readUInt16LE(5)
  const b = Buffer.from(archive.peek(at, length))
  if (b.length < length || pathEnd + 14 > length) throw bad('has a damaged header')
  const { time, sizes } = extrasOf(b.subarray(pathEnd + 14))
  const stored = sizes === null ? b.readUInt32LE(pathEnd + 2) : wideAt(sizes, 0)
  const size = sizes === null ? b.readUInt32LE(pathEnd + 6) : wideAt(sizes, 8)
  const kind = KINDS[b[pathEnd] ?? 9]
  const method = b[pathEnd + 1] ?? 9
  const raw = b.subarray(7, pathEnd)
  const name = nameBytes(raw)
  if (at + length + stored > archive.size) throw bad('is cut off')
  const mode = b.readUInt32LE(pathEnd + 10)
  const item: Item = {
    name: withoutSlash(name ?? raw),
    kind: kind ?? 'file',
    mode: mode === 0 ? (kind === 'dir' ? 0o755 : 0o644) : mode & 0o7777,
    mtime: time,
    size,
    stored,
    deflated: method === 1,
    crc: null,
    offset: at,
    headerLength: length,
    refused:
      name === null ? 'its name is not UTF-8 or holds a backslash' : faultOf({ kind, method, mode, raw, stored }),
  }
  return { item, end: at + length + stored }
}

interface Strange {
  readonly kind: Item['kind'] | undefined
  readonly method: number
  readonly mode: number
  readonly raw: Buffer
  readonly stored: number
}

/** Pipes, devices and sockets, by their bits in a mode. */
const ODD: ReadonlySet<number> = new Set([0o010000, 0o020000, 0o060000, 0o140000])

function faultOf({ kind, method, mode, raw, stored }: Strange): string | null {
  if (kind === undefined) return 'it is of an unknown kind'
  if (method > 1) return 'it uses another compression'
  if (ODD.has(mode & 0o170000)) return 'it is a device, pipe or socket'
  if (kind === 'file' && raw.at(-1) === 0x2f) return 'its name is that of a folder'
  return kind === 'dir' && stored > 0 ? 'it is a folder with data' : null
}

function extrasOf(extra: Buffer): { time: number; sizes: Buffer | null } {
  let time = 0
  let sizes: Buffer | null = null
  for (let at = 0; at + 4 <= extra.length;) {
    const length = extra.readUInt16LE(at + 2)
    if (length < 4 || at + length > extra.length) break
    if (extra.readUInt16LE(at) === 0x0100 && length >= 8) time = extra.readUInt32LE(at + 4)
    if (extra.readUInt16LE(at) === 0x0200 && length >= 20) sizes = extra.subarray(at + 4, at + 20)
    at += length
  }
  return { time, sizes }
}
