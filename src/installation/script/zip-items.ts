import type { Item } from './entry.ts'
import { nameBytes } from './names.ts'
import { broken, Fatal, type Joined } from './parts.ts'

const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
const END64 = 0x06064b50
const LOCATOR = 0x07064b50
const ONES = 0xffffffff

const u64At = (b: Buffer, at: number): number => b.readUInt32LE(at + 4) * 0x1_0000_0000 + b.readUInt32LE(at)

interface CentralPlace {
  readonly count: number
  readonly start: number
  readonly end: number
}

/** Offset of the end record in `tail`, the archive's last bytes, or -1. */
function endIn(tail: Buffer): number {
  let at = tail.length - 22
  while (at >= 0 && !(tail.readUInt32LE(at) === END && at + 22 + tail.readUInt16LE(at + 20) === tail.length)) at--
  return at
}

/** How many parts the last one says there are; null if it does not tell. */
export function zipPartsSaid(last: Joined): number | null {
  const tailAt = Math.max(0, last.size - 22 - 0xffff)
  const tail = last.read(tailAt, last.size - tailAt)
  const at = endIn(tail)
  const disk = at < 0 ? 0xffff : tail.readUInt16LE(at + 4)
  return disk === 0xffff ? null : disk + 1
}

/** Where the central directory lies. Only archives that begin with their first byte: what Ratchet writes. */
function centralOf(archive: Joined): CentralPlace {
  const tailAt = Math.max(0, archive.size - 22 - 0xffff)
  const tail = archive.read(tailAt, archive.size - tailAt)
  const at = endIn(tail)
  if (at < 0) throw broken('the archive has no end: it was cut off, or its last part is missing')
  const wideAt = at - 20
  const wide = wideAt >= 0 && tail.readUInt32LE(wideAt) === LOCATOR
  if (!wide) {
    const start = partStart(archive, tail.readUInt16LE(at + 6)) + tail.readUInt32LE(at + 16)
    return { count: tail.readUInt16LE(at + 10), start, end: tailAt + at }
  }
  const record = partStart(archive, tail.readUInt32LE(wideAt + 4)) + u64At(tail, wideAt + 8)
  const b = archive.read(record, 56)
  if (b.length < 56 || b.readUInt32LE(0) !== END64) throw broken('the end of the archive is damaged (ZIP64 record)')
  return { count: u64At(b, 32), start: partStart(archive, b.readUInt32LE(20)) + u64At(b, 48), end: record }
}

function partStart(archive: Joined, part: number): number {
  const start = archive.starts[part]
  if (start === undefined)
    throw new Fatal(`part ${part + 1} of the archive is missing; ${archive.starts.length} are here`)
  return start
}

/** All entries, from the central directory. Damage of the directory itself ends the run. */
export function* zipItems(archive: Joined): Generator<Item, void, undefined> {
  const { count, start, end } = centralOf(archive)
  let reached = 0
  let at = start
  for (let index = 0; index < count; index++) {
    const fixed = archive.peek(at, 46)
    if (at + 46 > end || fixed.length < 46 || fixed.readUInt32LE(0) !== CENTRAL) {
      throw broken(`the directory of the archive is damaged at entry ${index + 1} of ${count}`)
    }
    const length = 46 + fixed.readUInt16LE(28) + fixed.readUInt16LE(30) + fixed.readUInt16LE(32)
    const item = decodeRecord(archive, Buffer.from(archive.peek(at, length)))
    if (item.offset < reached || item.offset + 30 + item.stored > start) {
      throw new Fatal(`entry ${index + 1} of the archive overlaps another one`)
    }
    reached = item.offset + 30 + item.stored
    yield item
    at += length
  }
  if (at !== end) throw new Fatal('the directory of the archive is longer than its entries')
}

function decodeRecord(archive: Joined, b: Buffer): Item {
  const nameEnd = 46 + b.readUInt16LE(28)
  const stored = b.subarray(46, nameEnd)
  const extra = b.subarray(nameEnd, nameEnd + b.readUInt16LE(30))
  const [size = 0, packed = 0, offset = 0] = wideFields(extra, [
    b.readUInt32LE(24),
    b.readUInt32LE(20),
    b.readUInt32LE(42),
  ])
  const mode = b.readUInt16LE(40)
  const type = mode & 0o170000
  const slash = stored.at(-1) === 0x2f
  const kind = type === 0o120000 ? 'symlink' : slash || type === 0o040000 ? 'dir' : 'file'
  const method = b.readUInt16LE(10)
  const name = nameBytes(stored)
  return {
    name: withoutSlash(name ?? stored),
    kind,
    mode: type === 0 ? (kind === 'dir' ? 0o755 : 0o644) : mode & 0o7777,
    mtime: timeOf(extra, b.readUInt32LE(12)),
    size,
    stored: packed,
    deflated: method === 8,
    crc: b.readUInt32LE(16),
    offset: partStart(archive, b.readUInt16LE(34)) + offset,
    headerLength: null,
    refused: refusalOf(b, { name, type, method, kind, size, packed }),
  }
}

export const withoutSlash = (name: Buffer): Buffer => (name.at(-1) === 0x2f ? name.subarray(0, -1) : name)

interface Doubtful {
  readonly name: Buffer | null
  readonly type: number
  readonly method: number
  readonly kind: Item['kind']
  readonly size: number
  readonly packed: number
}

function refusalOf(b: Buffer, { name, type, method, kind, size, packed }: Doubtful): string | null {
  if (name === null) return 'its name is not UTF-8 or holds a backslash'
  if ((b.readUInt16LE(8) & 0x2041) !== 0) return 'it is encrypted'
  if (method !== 0 && method !== 8) return `it uses compression method ${method}`
  if (![0, 0o100000, 0o040000, 0o120000].includes(type)) return 'it is a device, pipe or socket'
  if (kind === 'dir' && size > 0) return 'it is a folder with data'
  return method === 0 && size !== packed ? 'its sizes contradict each other' : null
}

function wideFields(extra: Buffer, narrow: number[]): number[] {
  const field = extraField(extra, 0x0001)
  let at = 0
  return narrow.map((value) => {
    if (value !== ONES) return value
    if (field === null || at + 8 > field.length)
      throw new Fatal('the directory of the archive is damaged (ZIP64 sizes)')
    at += 8
    return u64At(field, at - 8)
  })
}

function extraField(extra: Buffer, id: number): Buffer | null {
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (extra.readUInt16LE(at) === id && end <= extra.length) return extra.subarray(at + 4, end)
    at = end
  }
  return null
}

/** The extended timestamp, or the DOS time read as UTC. */
function timeOf(extra: Buffer, dos: number): number {
  const stamp = extraField(extra, 0x5455)
  if (stamp !== null && stamp.length >= 5 && ((stamp[0] ?? 0) & 1) === 1) return stamp.readInt32LE(1)
  const [day, time] = [dos >>> 16, dos & 0xffff]
  const date = Date.UTC(
    1980 + (day >> 9),
    ((day >> 5) & 15) - 1,
    day & 31,
    time >> 11,
    (time >> 5) & 63,
    (time & 31) * 2,
  )
  return date / 1000
}

/** Length of the local header at the beginning of `bytes`; null if it does not begin with one. */
export function localLength(bytes: Buffer): number | null {
  if (bytes.length < 30 || bytes.readUInt32LE(0) !== LOCAL) return null
  return 30 + bytes.readUInt16LE(26) + bytes.readUInt16LE(28)
}
