// Restores a backup without the program that made it. Usage: node restore.mjs --help
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import zlib from 'node:zlib'
import { Readable } from 'node:stream'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { isUtf8 } from 'node:buffer'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { pipeline } from 'node:stream/promises'
import { runInNewContext } from 'node:vm'
import { setFlagsFromString } from 'node:v8'

/** What ends the whole run: exit code 1, or 2 when the command line is to blame. */
class Fatal extends Error {
           code

  constructor(message        , code = 1) {
    super(message)
    this.code = code
  }
}

/** The archive's frame is damaged, without which nothing in it is found from here. */
const broken = (what        )        =>
  new Fatal(`${what}\nRatchet gives back what is intact: ratchet restore ARCHIVE --to FOLDER --salvage`)

const WINDOW = 512 << 10
/** Read at a place that is not near the last one: often it is only a header. */
const ALONE = 4 << 10
/** Bytes between two places of which the second is read because the first one was. */
const NEAR = 64 << 10

/** The parts of an archive joined into one run of bytes. Read only by position, so that each thread may hold its own. */
class Joined {
           files
           size
           starts
           #parts            = []
  /** Memory for `peek`, used again and again; how much of it is filled, and from where. */
  #window         = Buffer.alloc(0)
  #filled = 0
  #windowAt = 0

  constructor(files                   ) {
    this.files = files
    let from = 0
    for (const file of files) {
      const fd = fs.openSync(file, 'r')
      const { size } = fs.fstatSync(fd)
      this.#parts.push({ file, fd, from, size })
      from += size
    }
    this.size = from
    this.starts = this.#parts.map((part) => part.from)
  }

  /** Fills `into` from `position` on; returns how many bytes there were. */
  readInto(into        , position        )         {
    let done = 0
    for (const part of this.#parts) {
      while (done < into.length && position + done >= part.from && position + done < part.from + part.size) {
        const got = fs.readSync(part.fd, into, done, into.length - done, position + done - part.from)
        if (got === 0) throw new Fatal(`${part.file} became shorter while it was read`)
        done += got
      }
    }
    return done
  }

  read(position        , length        )         {
    const wanted = Math.max(0, Math.min(length, this.size - position))
    const bytes = Buffer.allocUnsafe(wanted)
    return bytes.subarray(0, this.readInto(bytes, position))
  }

  /** As `read`, from a window that is read ahead: for many small pieces one behind the other. Valid until the next call. */
  peek(position        , length        )         {
    const at = position - this.#windowAt
    if (at >= 0 && at + length <= this.#filled) return this.#window.subarray(at, at + length)
    if (this.#window.length < Math.max(length, WINDOW)) this.#window = Buffer.allocUnsafeSlow(Math.max(length, WINDOW))
    const goesOn = at >= 0 && at <= this.#filled + NEAR
    const most = goesOn ? this.#window.length : Math.max(length, ALONE)
    const wanted = Math.max(0, Math.min(most, this.size - position))
    this.#filled = this.readInto(this.#window.subarray(0, wanted), position)
    this.#windowAt = position
    return this.#window.subarray(0, Math.min(length, this.#filled))
  }

  close()       {
    for (const { fd } of this.#parts) fs.closeSync(fd)
  }
}


/**
 * Names as bytes. Formats hold UTF-8; what is not UTF-8 was written as U+FFFD and two hexadecimal digits a byte,
 * which is undone here, and only where it is exactly what the program that wrote the archive would have written.
 */
const REPLACEMENT = '\uFFFD'

const shown = (byte        )         => REPLACEMENT + byte.toString(16).toUpperCase().padStart(2, '0')

/** Length of the valid UTF-8 sequence at `at`, or 0. */
function utf8At(bytes        , at        )         {
  const first = bytes[at] ?? 0
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0
  return length > 0 && at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0
}

function escaped(bytes        )         {
  let out = ''
  for (let at = 0; at < bytes.length;) {
    const length = utf8At(bytes, at)
    const piece = length === 0 ? REPLACEMENT : bytes.toString('utf8', at, at + length)
    const span = Math.max(1, length)
    if (piece === REPLACEMENT || piece === '\\') for (let i = 0; i < span; i++) out += shown(bytes[at + i] ?? 0)
    else out += piece
    at += span
  }
  return out
}

/** The bytes behind a stored name; null if it must not be used: not UTF-8, or a raw backslash. */
function nameBytes(stored        )                {
  if (stored.includes(0x5c) || !isUtf8(stored)) return null
  const text = stored.toString('utf8')
  if (!text.includes(REPLACEMENT)) return Buffer.from(stored)
  const pieces           = []
  let at = 0
  for (const match of text.matchAll(/\uFFFD([0-9A-F]{2})/g)) {
    pieces.push(Buffer.from(text.slice(at, match.index), 'utf8'), Buffer.from(match[1] ?? '', 'hex'))
    at = match.index + match[0].length
  }
  pieces.push(Buffer.from(text.slice(at), 'utf8'))
  const bytes = Buffer.concat(pieces)
  return escaped(bytes) === text ? bytes : Buffer.from(stored)
}

/** A name in one line of text for people. */
function printable(name        )         {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return escaped(name).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

const WINDOWS_DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(\.|$)/i

/** Why a path must not be written below the target; null if it may. */
function pathFault(name        , windows         )                {
  const text = name.toString('latin1')
  if (text === '') return 'its name is empty'
  if (text.startsWith('/')) return 'its name is absolute'
  if (/^[A-Za-z]:/.test(text)) return 'its name begins with a drive letter'
  if (text.includes('\0')) return 'its name holds a NUL'
  for (const part of text.split('/')) {
    if (part === '' || part === '.' || part === '..') return 'its name leads out of the target'
    if (part.length > 255) return 'a part of its name is longer than 255 bytes'
    if (!windows) continue
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    const forbidden = /[\u0000-\u001f<>:"|?*\\]|[. ]$/.test(part) || WINDOWS_DEVICE.test(part)
    if (forbidden) return 'Windows does not allow its name'
  }
  return null
}

/** One entry as its archive describes it. */




const LOCAL = 0x04034b50
const CENTRAL = 0x02014b50
const END = 0x06054b50
const END64 = 0x06064b50
const LOCATOR = 0x07064b50
const ONES = 0xffffffff

const u64At = (b        , at        )         => b.readUInt32LE(at + 4) * 0x1_0000_0000 + b.readUInt32LE(at)

/** Offset of the end record in `tail`, the archive's last bytes, or -1. */
function endIn(tail        )         {
  let at = tail.length - 22
  while (at >= 0 && !(tail.readUInt32LE(at) === END && at + 22 + tail.readUInt16LE(at + 20) === tail.length)) at--
  return at
}

/** How many parts the last one says there are; null if it does not tell. */
function zipPartsSaid(last        )                {
  const tailAt = Math.max(0, last.size - 22 - 0xffff)
  const tail = last.read(tailAt, last.size - tailAt)
  const at = endIn(tail)
  const disk = at < 0 ? 0xffff : tail.readUInt16LE(at + 4)
  return disk === 0xffff ? null : disk + 1
}

/** Where the central directory lies. Only archives that begin with their first byte: what Ratchet writes. */
function centralOf(archive        )               {
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

function partStart(archive        , part        )         {
  const start = archive.starts[part]
  if (start === undefined)
    throw new Fatal(`part ${part + 1} of the archive is missing; ${archive.starts.length} are here`)
  return start
}

/** All entries, from the central directory. Damage of the directory itself ends the run. */
function* zipItems(archive        )                                   {
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

function decodeRecord(archive        , b        )       {
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

const withoutSlash = (name        )         => (name.at(-1) === 0x2f ? name.subarray(0, -1) : name)

function refusalOf(b        , { name, type, method, kind, size, packed }          )                {
  if (name === null) return 'its name is not UTF-8 or holds a backslash'
  if ((b.readUInt16LE(8) & 0x2041) !== 0) return 'it is encrypted'
  if (method !== 0 && method !== 8) return `it uses compression method ${method}`
  if (![0, 0o100000, 0o040000, 0o120000].includes(type)) return 'it is a device, pipe or socket'
  if (kind === 'dir' && size > 0) return 'it is a folder with data'
  return method === 0 && size !== packed ? 'its sizes contradict each other' : null
}

function wideFields(extra        , narrow          )           {
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

function extraField(extra        , id        )                {
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (extra.readUInt16LE(at) === id && end <= extra.length) return extra.subarray(at + 4, end)
    at = end
  }
  return null
}

/** The extended timestamp, or the DOS time read as UTC. */
function timeOf(extra        , dos        )         {
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
function localLength(bytes        )                {
  if (bytes.length < 30 || bytes.readUInt32LE(0) !== LOCAL) return null
  return 30 + bytes.readUInt16LE(26) + bytes.readUInt16LE(28)
}



/** How far the archive may begin behind the file's first byte. */
const FIRST_WITHIN = 128 << 10
/** Begins the header's field with the number of parts. */
const SPANNED = 0x0101504a
const KINDS = ['dir', 'file', 'symlink']

const wideAt = (b        , at        )         => b.readUInt32LE(at + 4) * 0x1_0000_0000 + b.readUInt32LE(at)

/** Where the archive's header begins, or -1: it is no JPA archive. */
const jpaStart = (archive        )         => archive.read(0, FIRST_WITHIN).indexOf('JPA', 0, 'latin1')

/** How many parts the archive's header says there are: 1 without a word about it; null without a header, or unfinished. */
function jpaPartsSaid(first        )                {
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
function* jpaItems(archive        )                                   {
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

function decodeBlock(archive        , at        , index        , count        )                              {
  const bad = (why        )        => broken(`entry ${index + 1} of ${count} ${why}; is a part missing?`)
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
  const item       = {
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

/** Pipes, devices and sockets, by their bits in a mode. */
const ODD                      = new Set([0o010000, 0o020000, 0o060000, 0o140000])

function faultOf({ kind, method, mode, raw, stored }         )                {
  if (kind === undefined) return 'it is of an unknown kind'
  if (method > 1) return 'it uses another compression'
  if (ODD.has(mode & 0o170000)) return 'it is a device, pipe or socket'
  if (kind === 'file' && raw.at(-1) === 0x2f) return 'its name is that of a folder'
  return kind === 'dir' && stored > 0 ? 'it is a folder with data' : null
}

function extrasOf(extra        )                                         {
  let time = 0
  let sizes                = null
  for (let at = 0; at + 4 <= extra.length;) {
    const length = extra.readUInt16LE(at + 2)
    if (length < 4 || at + length > extra.length) break
    if (extra.readUInt16LE(at) === 0x0100 && length >= 8) time = extra.readUInt32LE(at + 4)
    if (extra.readUInt16LE(at) === 0x0200 && length >= 20) sizes = extra.subarray(at + 4, at + 20)
    at += length
  }
  return { time, sizes }
}


/** All parts of the archive that `named` is one of, in order: `x.z01 … x.zip`, `x.j01 … x.jpa`. */
function partsOf(named        )           {
  const match = /^(.*)\.(zip|jpa|z\d\d+|j\d\d+)$/is.exec(path.resolve(named))
  const [, base = '', ending = ''] = match ?? []
  if (match === null) throw new Fatal(`${named} is not called like an archive (.zip, .jpa, or a part of one)`, 2)
  const letter = ending.charAt(0)
  const last = `${base}.${lastEnding(ending)}`
  if (!fs.existsSync(last)) throw new Fatal(`${last}, the archive's last part, does not exist`)
  const nameOf = (number        )         => `${base}.${letter}${String(number).padStart(2, '0')}`
  const said = /z/i.test(letter) ? fromFile(last, zipPartsSaid) : jpaParts(last, nameOf(1))
  const parts           = []
  // As many as the archive says there are: a further one may have been left by another archive.
  for (let number = 1; said === null ? fs.existsSync(nameOf(number)) : number < said; number++) {
    const part = nameOf(number)
    if (!fs.existsSync(part)) throw new Fatal(`${part} is missing: part ${number} of ${said}`)
    parts.push(part)
  }
  return [...parts, last]
}

/** A file with a header of its own that says so is the whole archive; else the first part knows. */
function jpaParts(last        , first        )                {
  const alone = fromFile(last, jpaPartsSaid)
  if (alone === 1) return 1
  if (!fs.existsSync(first)) throw new Fatal(`${last} is no JPA archive, or ${first}, its first part, is missing`)
  return fromFile(first, jpaPartsSaid)
}

function fromFile   (file        , read                        )    {
  const archive = new Joined([file])
  try {
    return read(archive)
  } finally {
    archive.close()
  }
}

function lastEnding(ending        )         {
  const upper = ending === ending.toUpperCase() && /[A-Z]/.test(ending)
  const last = /^z/i.test(ending) ? 'zip' : 'jpa'
  return upper ? last.toUpperCase() : last
}


/** What the manifest (`installation/manifest.jsonl`) says of one entry; the fields are those of its lines. */

const CHUNK = 256 << 10
/** No line is longer: names and extended attributes have their limits. Bytes. */
const LONGEST_LINE = 16 << 20
/** How far ahead a line is looked for when the next one belongs to another entry. */
const AHEAD = 1024

/** The manifest's lines in step with the entries: both come in the archive's order. */
class Lines {
           #fd
           #ahead         = []
           #missing
  #buffer         = Buffer.alloc(0)
  #at = 0

  constructor(file        , missing                      ) {
    this.#fd = fs.openSync(file, 'r')
    this.#missing = missing
  }

  /** The entry's line, or null; lines before it belong to entries that the archive lacks. */
  lineFor(name        )              {
    for (let i = 0; i < AHEAD; i++) {
      const line = this.#ahead[i] ?? this.#next(true)
      if (line === null) return null
      if (!line.name.equals(name)) continue
      for (const skipped of this.#ahead.splice(0, i + 1)) if (skipped !== line) this.#missing(skipped)
      return line
    }
    return null
  }

  /** After the last entry: what is listed beyond it is missing. */
  end()       {
    for (const line of this.#ahead.splice(0)) this.#missing(line)
    for (let line = this.#next(false); line !== null; line = this.#next(false)) this.#missing(line)
  }

  close()       {
    fs.closeSync(this.#fd)
  }

  #next(queue         )              {
    for (let text = this.#text(); text !== null; text = this.#text()) {
      const line = decodeLine(text)
      if (line === null) continue
      if (queue) this.#ahead.push(line)
      return line
    }
    return null
  }

  #text()                {
    let end = this.#buffer.indexOf(10)
    while (end < 0) {
      const more = Buffer.allocUnsafe(CHUNK)
      const got = fs.readSync(this.#fd, more, 0, CHUNK, this.#at)
      if (got === 0) return null
      if (this.#buffer.length > LONGEST_LINE) throw unreadable()
      this.#at += got
      this.#buffer = Buffer.concat([this.#buffer, more.subarray(0, got)])
      end = this.#buffer.indexOf(10)
    }
    const text = this.#buffer.toString('utf8', 0, end)
    this.#buffer = this.#buffer.subarray(end + 1)
    return text
  }
}

/** Null for a line that is no entry's: what was left out of the backup. */
function decodeLine(text        )              {
  const raw = objectIn(text)
  const { p, o, m, d, i, x } = raw
  if (typeof p !== 'string' || typeof o === 'string') return null
  const number = (value         )         => (typeof value === 'number' ? value : 0)
  return {
    name: p.startsWith('b64:') ? Buffer.from(p.slice(4), 'base64') : Buffer.from(p, 'utf8'),
    mode: number(raw['mode']) & 0o7777,
    mtimeNs: typeof m === 'string' && /^-?\d{1,25}$/.test(m) ? BigInt(m) : 0n,
    uid: number(raw['u']),
    gid: number(raw['g']),
    digest: typeof d === 'string' ? d : null,
    group: typeof i === 'string' ? i : null,
    xattrs: typeof x === 'object' && x !== null,
  }
}

const unreadable = ()        =>
  new Fatal('the list of files in the archive (its manifest, or the seal of it) is damaged')

function objectIn(text        )                          {
  try {
    const raw          = JSON.parse(text)
    if (typeof raw === 'object' && raw !== null) return raw
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw unreadable()
}


const MIB = 1 << 20

/** `zlib.crc32`, where this Node has it (20.15 and later). */
const crcOf = (zlib                                                       ).crc32

/** Follows content as it passes, in the way its digest was taken, and says at the end whether it is the one that was backed up. */
class Proof {
           #wanted
           #kind
           #outer       = createHash('sha256')
  #inner              = null
  #inBlock = 0
  #crc = 0

  /** `digest` as the manifest has it; without one the CRC, where there is one. */
  constructor(digest               , crc               ) {
    const [kind, wanted = ''] = digest?.split(':') ?? []
    if (kind === 'sha256' || kind === 'sha256-1m') this.#kind = kind === 'sha256' ? 'whole' : 'blocks'
    else this.#kind = crc !== null && crcOf !== undefined ? 'crc' : 'none'
    this.#wanted = this.#kind === 'crc' ? String(crc) : wanted
  }

  get isNone()          {
    return this.#kind === 'none'
  }

  update(bytes        )       {
    if (this.#kind === 'whole') this.#outer.update(bytes)
    else if (this.#kind === 'crc') this.#crc = crcOf?.(bytes, this.#crc) ?? 0
    else if (this.#kind === 'blocks') this.#blocks(bytes)
  }

  holds()          {
    if (this.#kind === 'none') return true
    if (this.#kind === 'crc') return String(this.#crc) === this.#wanted
    if (this.#kind === 'blocks') this.#closeBlock()
    return this.#outer.digest('hex') === this.#wanted
  }

  #blocks(bytes        )       {
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + MIB - this.#inBlock)
      this.#inner ??= createHash('sha256')
      this.#inner.update(piece)
      this.#inBlock += piece.length
      at += piece.length
      if (this.#inBlock === MIB) this.#closeBlock()
    }
  }

  #closeBlock()       {
    if (this.#inner === null) return
    this.#outer.update(this.#inner.digest())
    this.#inner = null
    this.#inBlock = 0
  }
}


/** Bytes after which short-lived buffers are collected; every second time, what has grown older as well. */
const EVERY = 3 << 20

let since = 0
let times = 0
let collect

function collector()                 {
  setFlagsFromString('--expose-gc')
  const found          = runInNewContext('typeof gc === "function" ? gc : null')
  setFlagsFromString('--no-expose-gc')
  return typeof found === 'function' ? (found           ) : null
}

/** Buffers of so many bytes are garbage now: V8 itself lets tens of megabytes of them wait in each thread. */
function discarded(bytes        )       {
  since += bytes
  if (since < EVERY) return
  since = 0
  collect ??= collector()
  collect?.({ type: times++ % 2 === 0 ? 'minor' : 'major' })
}



/** Content up to this is unpacked in one piece. Bytes. */
const ONE_PIECE = 256 << 10
const PIECE = 64 << 10
/** After so many bytes of one file whoever else has something to do gets a turn: signals, the other thread's answers. */
const TURN = 16 << 20
/** A ZIP header, its name and extra fields: nearly always no longer. */
const HEADER_GUESS = 512

/** What is wrong with one entry: it is named, and the others go on. */
class Damage extends Error {}

/** Gives an entry's plain bytes to `take`, in order. Throws `Damage` if they do not decode to exactly its size. */
async function unpack(archive        , item      , take                         )                {
  const start = item.offset + headerLength(archive, item)
  let done = 0
  const count = (bytes        )       => {
    done += bytes.length
    if (done > item.size) throw new Damage('its content is longer than announced')
    take(bytes)
  }
  if (!item.deflated) await copyStored(archive, item, start, count)
  else if (item.size <= ONE_PIECE && item.stored <= ONE_PIECE) {
    count(inflate(archive.peek(start, item.stored), item.size))
    discarded(2 * item.size)
  } else await inflateLong(archive, item, start, count)
  if (done !== item.size) throw new Damage('its content is shorter than announced')
}

async function copyStored(archive        , item      , start        , take                         )                {
  let since = 0
  for (const piece of storedPieces(archive, item, start)) {
    take(piece)
    since += piece.length
    if (since < TURN) continue
    since = 0
    await turn()
  }
}

function headerLength(archive        , item      )         {
  if (item.headerLength !== null) return item.headerLength
  const length = localLength(archive.peek(item.offset, Math.min(archive.size - item.offset, HEADER_GUESS)))
  if (length === null) throw new Damage('its own header is damaged')
  return length
}

function* storedPieces(archive        , item      , start        )                                     {
  for (let at = 0; at < item.stored;) {
    const length = Math.min(PIECE, item.stored - at)
    const piece = archive.peek(start + at, length)
    if (piece.length === 0) throw new Damage('it is cut off')
    yield piece
    at += piece.length
  }
}

function inflate(data        , size        )         {
  try {
    return zlib.inflateRawSync(data, { maxOutputLength: Math.max(1, size), chunkSize: Math.max(64, size) })
  } catch (error) {
    throw new Damage(`its content does not unpack (${textOf(error)})`)
  }
}

async function inflateLong(archive        , item      , start        , take                         )                {
  const stored = Readable.from(copies(storedPieces(archive, item, start)))
  try {
    await pipeline(stored, zlib.createInflateRaw({ chunkSize: PIECE }), async (plain                       ) => {
      for await (const piece of plain) {
        take(piece)
        discarded(2 * piece.length)
      }
    })
  } catch (error) {
    const inData = String((error                         ).code).startsWith('Z_')
    throw inData ? new Damage(`its content does not unpack (${textOf(error)})`) : error
  }
}

/** The stream keeps what it is given until it has been unpacked; the window is used again before. */
function* copies(pieces                  )                                     {
  for (const piece of pieces) yield Buffer.from(piece)
}

/** The rest of the event loop's turn goes first. */
const turn = ()                => new Promise((resolve) => setImmediate(resolve))

const textOf = (error         )         => (error instanceof Error ? error.message : String(error))


/** Named one by one; of what comes after them only the number is kept. */
const NAMED = 1000

/** What could not be restored or proven. */
class Faults {
           named          = []
  count = 0

  add(name        , why        )       {
    this.count++
    if (this.named.length < NAMED) this.named.push({ name, why })
  }
}

/** What file systems answer that do not take one name, kind or size, but others. */
const OF_ONE                      = new Set(
  'ENAMETOOLONG EINVAL EILSEQ ENOTDIR EISDIR ELOOP EEXIST EFBIG ENOTSUP EOPNOTSUPP ENOSYS'.split(' '),
)

const codeOf = (error         )         => String((error                                )?.code ?? '')

/** Why one entry is not in place, for errors that say nothing about the others; null for those that do. */
function faultIn(error         )                {
  return error instanceof Damage || OF_ONE.has(codeOf(error)) ? textOf(error) : null
}



/** Folder in the target with what is not in place yet. Its presence says that a restore was interrupted. */
const WORK_FOLDER = '.ratchet-restore'
const ZEROS = Buffer.alloc(256 << 10)
/** A run of zeros of at least this is left as a hole. Bytes. */
const HOLE_FROM = 64 << 10
/** Folders of which a thread remembers that they are there. */
const REMEMBERED = 20_000

/** One file to be restored. Plain data: it goes to another thread. */

/** Folders below the target, made when they are first needed, and never through a link. */
class Tree {
  /** An earlier run was interrupted here: what is there already is its work. */
           resumed
           #root
           #known = new Set        ()

  constructor(root        , resumed         ) {
    this.#root = Buffer.from(root)
    this.resumed = resumed
  }

  at(name        )         {
    return Buffer.concat([this.#root, SLASH, name])
  }

  /** Makes the folder `name` and those above it. Throws `Damage` where something else is in the way. */
  folder(name        )       {
    const key = name.toString('latin1')
    if (name.length === 0 || this.#known.has(key)) return
    this.#parentOf(name)
    const place = this.at(name)
    try {
      fs.mkdirSync(place, 0o700)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
      const found = fs.lstatSync(place)
      if (!found.isDirectory()) throw new Damage('something that is no folder is in the way')
      // The earlier run may have given it its own mode already, which may shut us out.
      if (this.resumed && (found.mode & 0o700) !== 0o700) fs.chmodSync(place, 0o700)
    }
    if (this.#known.size >= REMEMBERED) this.#known.clear()
    this.#known.add(key)
  }

  /** What is there under a name, after the folders above it have been made. Throws `Damage` as `folder` does. */
  find(name        )                       {
    this.#parentOf(name)
    return fs.lstatSync(this.at(name), { throwIfNoEntry: false })
  }

  #parentOf(name        )       {
    this.folder(name.subarray(0, Math.max(0, name.lastIndexOf(0x2f))))
  }
}

const SLASH = Buffer.from('/')

/** Puts files into the target: written under another name, proven, then given their own. */
class Placer {
           #archive
           #tree
           #staged

  /** `id`: of this thread. */
  constructor(archive        , target        , id        , resumed         ) {
    this.#archive = archive
    this.#tree = new Tree(target, resumed)
    this.#staged = path.join(target, WORK_FOLDER, `file-${id}`)
  }

  /** Throws `Damage` when the content is not what was backed up; then nothing is in place. */
  async place(task      )                {
    const { item } = task
    const found = this.#tree.find(item.name)
    const place = this.#tree.at(item.name)
    if (found !== undefined) {
      if (!this.#tree.resumed || !found.isFile()) throw new Damage('something of this name is there already')
      if (found.size === item.size && isProven(place, task)) return
    }
    fs.rmSync(this.#staged, { force: true })
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants
    const fd = fs.openSync(this.#staged, O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), 0o600)
    try {
      await this.#write(fd, task)
      if (task.owner !== null) fs.fchownSync(fd, task.owner.uid, task.owner.gid)
      fs.fchmodSync(fd, task.mode)
      fs.futimesSync(fd, task.mtime, task.mtime)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(this.#staged, place)
  }

  async #write(fd        , { item, digest }      )                {
    const proof = new Proof(digest, item.crc)
    let at = 0
    await unpack(this.#archive, item, (bytes) => {
      proof.update(bytes)
      for (let from = 0; from < bytes.length; from += ZEROS.length) {
        const piece = bytes.subarray(from, from + ZEROS.length)
        if (piece.length < HOLE_FROM || !piece.equals(ZEROS.subarray(0, piece.length))) writeAll(fd, piece, at)
        at += piece.length
      }
    })
    if (!proof.holds()) throw new Damage('its content is not what was backed up')
    fs.ftruncateSync(fd, at)
  }
}

function writeAll(fd        , bytes        , position        )       {
  for (let done = 0; done < bytes.length;) {
    done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done)
  }
}

/** Whether the file in place is the one wanted: read again, for a run that was interrupted may have lost its last writes. */
function isProven(place        , { item, digest }      )          {
  const proof = new Proof(digest, item.crc)
  if (proof.isNone) return false
  const fd = openOwn(place)
  if (fd === null) return false
  try {
    const chunk = Buffer.allocUnsafe(256 << 10)
    for (let got = fs.readSync(fd, chunk); got > 0; got = fs.readSync(fd, chunk)) proof.update(chunk.subarray(0, got))
    return proof.holds()
  } finally {
    fs.closeSync(fd)
  }
}

/** Null for a file whose mode, as it was backed up, does not let its owner read it: it is written again. */
function openOwn(place        )                {
  try {
    return fs.openSync(place, 'r')
  } catch (error) {
    if (codeOf(error) !== 'EACCES') throw error
    return null
  }
}

/** Only looks whether the content is what was backed up. */
async function checkContent(archive        , { item, digest }      )                {
  const proof = new Proof(digest, item.crc)
  await unpack(archive, item, (bytes) => proof.update(bytes))
  if (!proof.holds()) throw new Damage('its content is not what was backed up')
}



/** Folders of SQL that were restored, named one by one up to here. */
const MOST_DATABASES = 100

/** Databases of servers come as SQL: how each is loaded by its vendor's own client. */
class Databases {
           #orders           = []

  note(name        )       {
    if (this.#orders.length < MOST_DATABASES && /^databases\/[^/]+\/load\.sql$/.test(name.toString('latin1')))
      this.#orders.push(name)
  }

  notes(tree      , target        )           {
    return this.#orders
      .filter((name) => tree.find(name)?.isFile() === true)
      .map((name) => howToLoad(tree.at(name), name, target))
  }
}

function howToLoad(place        , name        , target        )         {
  const folder = printable(name.subarray(0, name.lastIndexOf('/')))
  // The order file of PostgreSQL speaks to psql; that of MySQL and MariaDB names files alone.
  const client = fs.readFileSync(place, 'latin1').startsWith('source ')
    ? 'mariadb (or mysql) NEW < load.sql'
    : 'psql -X -d NEW -f load.sql'
  return `to load ${folder}: make an empty database, NEW; then cd ${target}/${folder} && ${client}`
}



/** What begins like this the archive's maker put into it. */
const OWN = Buffer.from('installation/')
const MANIFEST = 'installation/manifest.jsonl'
/** In archives of a format without checksums: lines for all our own entries, the manifest's among them. */
const SEAL = 'installation/seal.jsonl'
const SCRIPT = 'installation/restore.mjs'
/** No seal is longer. Bytes. */
const SEAL_MOST = 64 << 10
const MANIFEST_NAMED = 'list of files in the archive (its manifest)'
const SEAL_NAMED = 'seal of the list of files in the archive (its manifest)'

const isOwn = (name        )          => name.subarray(0, OWN.length).equals(OWN)

/** The entries, by whatever format. */
function* itemsIn(archive        )                                   {
  const named = /\.jpa$/i.test(archive.files.at(-1) ?? '')
  yield* named || jpaStart(archive) === 0 ? jpaItems(archive) : zipItems(archive)
}

/** What the archive says about itself: all else is compared with it. */

/** Finds the manifest and its seal, proves them, and puts the manifest into `folder`. `look` sees every entry. */
async function readCatalogue(archive        , folder        , look                      )                     {
  const found = new Map              ()
  for (const item of itemsIn(archive)) {
    look(item)
    if (isOwn(item.name)) found.set(item.name.toString('latin1'), item)
  }
  const [manifest, seal] = [found.get(MANIFEST), found.get(SEAL)]
  const missing           = []
  if (manifest === undefined && (seal !== undefined || found.has(SCRIPT))) missing.push(MANIFEST)
  if (manifest?.crc === null && seal === undefined) missing.push(SEAL)
  const own = seal === undefined ? null : await readSeal(archive, seal)
  if (manifest === undefined) return { manifest: null, own, missing }
  const digest = own?.get(MANIFEST) ?? null
  if (own !== null && digest === null) throw damagedList(SEAL_NAMED)
  return { manifest: await copyOut(archive, manifest, digest, folder), own, missing }
}

async function readSeal(archive        , seal      )                               {
  if (seal.size > SEAL_MOST) throw damagedList(SEAL_NAMED)
  const pieces           = []
  await unpackList(archive, seal, SEAL_NAMED, (bytes) => void pieces.push(Buffer.from(bytes)))
  const digests = new Map                ()
  for (const text of Buffer.concat(pieces).toString('utf8').split('\n')) {
    const line = text === '' ? null : decodeLine(text)
    if (line !== null && line.digest !== null) digests.set(line.name.toString('latin1'), line.digest)
  }
  return digests
}

async function copyOut(archive        , item      , digest               , folder        )                  {
  const { bavail, bsize } = fs.statfsSync(folder)
  if (item.size > bavail * bsize) throw new Fatal(`${folder} has no room for the list of files: ${item.size} bytes`)
  const file = path.join(folder, 'manifest.jsonl')
  const fd = fs.openSync(file, 'w', 0o600)
  const proof = new Proof(digest, item.crc)
  let at = 0
  try {
    await unpackList(archive, item, MANIFEST_NAMED, (bytes) => {
      proof.update(bytes)
      writeAll(fd, bytes, at)
      at += bytes.length
    })
  } finally {
    fs.closeSync(fd)
  }
  if (!proof.holds()) throw damagedList(MANIFEST_NAMED)
  return file
}

async function unpackList(archive        , item      , what        , take                         )                {
  try {
    await unpack(archive, item, take)
  } catch (error) {
    throw error instanceof Damage ? damagedList(what) : error
  }
}

const damagedList = (what        )        => new Fatal(`the ${what} is damaged`)

/** Why one of our own entries cannot be trusted; null if it can, or nothing would tell. */
function ownFault({ own }           , name        )                {
  const text = name.toString('latin1')
  return own === null || text === SEAL || own.has(text) ? null : 'the seal does not list it'
}

/** The same for the same archive: its length and both its ends. */
function identityOf(archive        )         {
  const head = archive.read(0, 1 << 16)
  const tail = archive.read(archive.size - Math.min(archive.size, 1 << 16), 1 << 16)
  return createHash('sha256').update(`${archive.size}\n`).update(head).update(tail).digest('hex')
}


/** The folder for what is not in place yet, and the mark in it that says which archive is being restored. */

const MARK = 'archive'

/** Makes the target ours, which is new or empty, or holds an unfinished restore of the archive with this `identity`. */
function claim(target        , identity        )       {
  const folder = path.join(target, WORK_FOLDER)
  const mark = path.join(folder, MARK)
  fs.mkdirSync(target, { recursive: true })
  if (fs.lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new Fatal(`${folder} is not a folder`, 2)
  }
  if (fs.existsSync(mark)) {
    if (fs.readFileSync(mark, 'utf8') === identity) return { folder, resumed: true }
    throw new Fatal(`${target} holds an unfinished restore of another archive`, 2)
  }
  const found = fs.readdirSync(target).filter((name) => name !== WORK_FOLDER)
  if (found.length > 0) {
    removeEmpty(folder)
    throw new Fatal(`${target} is not empty; restore into a new folder`, 2)
  }
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeMark(mark, identity)
  return { folder, resumed: false }
}

/** Left without its mark by a run that ended between the two last things it does. */
function removeEmpty(folder        )       {
  if (fs.existsSync(folder) && fs.readdirSync(folder).length === 0) fs.rmdirSync(folder)
}

/** Whole under its name, or not there: half a mark would be that of another archive. */
function writeMark(mark        , identity        )       {
  const growing = `${mark}.new`
  const fd = fs.openSync(growing, 'w', 0o600)
  try {
    fs.writeSync(fd, identity)
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
  fs.renameSync(growing, mark)
}

/** Everything is in place: onto the disk with it, and only then is it no restore any more that could be gone on with. */
function settle(target        , { folder }      )       {
  sync(target)
  for (const name of fs.readdirSync(folder)) {
    if (name !== MARK) fs.rmSync(path.join(folder, name), { recursive: true, force: true })
  }
  fs.rmSync(folder, { recursive: true, force: true })
}

/** Node has no call for it; where the program is missing the system does it in its own time. */
function sync(target        )       {
  try {
    execFileSync('sync', ['-f', target], { stdio: 'ignore', timeout: 600_000 })
  } catch (error) {
    process.stderr.write(`note: ${target} could not be synced (${textOf(error)})\n`)
  }
}

/** A folder for a run that writes nothing else; gone when the program ends, however it does. */
function passing()       {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ratchet-check-'))
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  return { folder, resumed: false }
}


/** Batches that the second thread has got and not finished. */
const QUEUED = 2

/** The system does not let it go on: a full disk, a file system that is gone. */
class Stopped extends Fatal {}

const bufferOf = (bytes            )         => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** What each thread does: one batch after the other, in order. */
function workInThread()       {
  const data = workerData
  const archive = new Joined(data.files)
  const placer = data.target === null ? null : new Placer(archive, data.target, data.id, data.resumed)
  let last                   = Promise.resolve()
  parentPort?.on('message', (tasks        ) => {
    last = last.then(async () => parentPort?.postMessage(await batch(archive, placer, tasks)))
  })
}

async function batch(archive        , placer               , tasks                 )                  {
  const faults          = []
  for (const sent of tasks) {
    const task = { ...sent, item: { ...sent.item, name: bufferOf(sent.item.name) } }
    try {
      await (placer === null ? checkContent(archive, task) : placer.place(task))
    } catch (error) {
      const why = faultIn(error)
      if (why === null) return { faults, fatal: textOf(error) }
      faults.push({ name: task.item.name, why })
    }
  }
  return { faults, fatal: null }
}

/** Hands batches to a second thread, does some itself meanwhile, and gathers what comes of them. */
class Crew {
           #faults
           #thread
           #archive
           #placer
  #waiting = 0
  #failed               = null

  /** What it cannot do goes into `faults`. */
  constructor(data                      , faults        ) {
    const { files, target, resumed } = data
    this.#faults = faults
    this.#archive = new Joined(files)
    this.#placer = target === null ? null : new Placer(this.#archive, target, 0, resumed)
    const resourceLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 32 }
    this.#thread = new Worker(new URL(import.meta.url), { workerData: { ...data, id: 1 }, resourceLimits })
    this.#thread.on('message', (answer        ) => {
      this.#waiting--
      this.#note(answer)
    })
    this.#thread.on('error', (error) => (this.#failed ??= error))
  }

  async give(tasks                 )                {
    await turn()
    this.#check()
    if (this.#waiting >= QUEUED) return this.#note(await batch(this.#archive, this.#placer, tasks))
    this.#waiting++
    this.#thread.postMessage(tasks)
  }

  async finish()                {
    try {
      while (this.#failed === null && this.#waiting > 0) await once(this.#thread, 'message')
    } finally {
      await this.#thread.terminate()
      this.#archive.close()
    }
    this.#check()
  }

  #note({ faults, fatal }        )       {
    for (const { name, why } of faults) this.#faults.add(bufferOf(name), why)
    if (fatal !== null) this.#failed ??= new Stopped(fatal)
  }

  #check()       {
    if (this.#failed !== null) throw this.#failed
  }
}



/** What comes after all files are in place: links, further names of files, and what only holds for a finished folder. */

const LONGEST_LINK = 4095
/** What file systems answer that know no second names, or no more of them. */
const NO_NAMES                      = new Set('EPERM EMLINK EXDEV ENOTSUP EOPNOTSUPP ENOSYS EINVAL'.split(' '))

/** The path a link points to. Throws `Damage` unless its content is proven. */
async function linkTarget(archive        , { item, digest }      )                  {
  if (item.size > LONGEST_LINK) throw new Damage(`it is a link of ${item.size} bytes`)
  const proof = new Proof(digest, item.crc)
  const pieces           = []
  await unpack(archive, item, (bytes) => {
    proof.update(bytes)
    pieces.push(Buffer.from(bytes))
  })
  const target = Buffer.concat(pieces)
  if (!proof.holds()) throw new Damage('its content is not what was backed up')
  if (target.length === 0 || target.includes(0)) throw new Damage('its target is no path')
  return target
}

/** Whether a link in the folder of `name` leads out of the restored tree, judged by its text alone. */
function leadsOut(name        , target        )          {
  if (target[0] === 0x2f) return true
  let depth = name.toString('latin1').split('/').length - 1
  let below = false
  for (const part of target.toString('latin1').split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') {
      depth++
      below = true
      continue
    }
    // A name before `..` may itself be a link that leads elsewhere.
    if (below || --depth < 0) return true
  }
  return false
}

function makeLink(tree      , task      , target        )       {
  const { name } = task.item
  const found = tree.find(name)
  const place = tree.at(name)
  if (found === undefined) fs.symlinkSync(target, place)
  else if (!found.isSymbolicLink() || !fs.readlinkSync(place, { encoding: 'buffer' }).equals(target)) {
    throw new Damage('something of this name is there already')
  }
  if (task.owner !== null) fs.lchownSync(place, task.owner.uid, task.owner.gid)
  fs.lutimesSync(place, task.mtime, task.mtime)
}

/** A further name of a file that is in place. False where there can be none: the name has content of its own. */
function makeName(tree      , first        , name        )          {
  const of = tree.find(first)
  if (of === undefined || !of.isFile()) return false
  const found = tree.find(name)
  const place = tree.at(name)
  if (found !== undefined) {
    if (found.isFile() && found.ino === of.ino) return true
    if (!tree.resumed || !found.isFile()) throw new Damage('something of this name is there already')
    fs.rmSync(place) // of a file that had to be written again
  }
  try {
    fs.linkSync(tree.at(first), place)
    return true
  } catch (error) {
    if (!NO_NAMES.has(codeOf(error))) throw error
    return false
  }
}

/** Modes and times of folders; `later` are those that would shut us out, the deepest first. */
class Folders {
           #tree
           #later         = []

  constructor(tree      ) {
    this.#tree = tree
  }

  finish(task      )       {
    if (!this.#tree.find(task.item.name)?.isDirectory()) return // named already: something else is in its place
    if ((task.mode & 0o100) === 0) this.#later.push(task)
    else this.apply(task)
  }

  get later()                  {
    return this.#later.toReversed()
  }

  apply({ item, mode, mtime, owner }      )       {
    const place = this.#tree.at(item.name)
    if (owner !== null) fs.chownSync(place, owner.uid, owner.gid)
    fs.utimesSync(place, mtime, mtime)
    fs.chmodSync(place, mode)
  }
}



const USAGE = `Restores a backup made by Ratchet. Needs Node 20 or newer, and nothing else.

  node restore.mjs ARCHIVE --to FOLDER      restore everything into FOLDER (new or empty)
  node restore.mjs ARCHIVE --check          only compare every file with its digest

ARCHIVE is the .zip or .jpa file; further parts (.z01, .j01 …) must lie beside it. Without ARCHIVE: the
only archive in this folder. Interrupted? The same command again goes on where it was.

  --only PATTERN        only what matches; * and ? within a folder, ** across; may be repeated
  --owners              owners and special mode bits as they were (as root)
  --outside-links       also links that lead out of FOLDER
  --with-installation   also the folder "installation" of the archive

Ends with 0: all is there; 1: it could not be done; 2: wrong command line; 3: done, but for what is named.
`

const OPTIONS = {
  to: { type: 'string' },
  check: { type: 'boolean' },
  only: { type: 'string', multiple: true },
  owners: { type: 'boolean' },
  'outside-links': { type: 'boolean' },
  'with-installation': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
}

/** Null: help was asked for. */
function readOptions(args                   )                 {
  const { values, positionals } = parsed(args)
  if (values.help === true) return null
  const { to, check } = values
  if (positionals.length > 1) throw new Fatal(`one archive at a time; "${positionals[1]}" is too many`, 2)
  if ((to === undefined) === (check !== true)) throw new Fatal('say either --to FOLDER or --check', 2)
  if (to === '') throw new Fatal('--to names no folder', 2)
  const patterns = (values.only ?? []).map(patternOf)
  return {
    archive: positionals[0] ?? onlyArchive(process.cwd()),
    target: to === undefined ? null : path.resolve(to),
    chosen: patterns.length > 0,
    wanted: (name) => patterns.length === 0 || patterns.some((pattern) => pattern.test(name.toString('utf8'))),
    owners: values.owners === true,
    outsideLinks: values['outside-links'] === true,
    installation: values['with-installation'] === true,
  }
}

const parse = (args          ) => parseArgs({ args, options: OPTIONS, allowPositionals: true })

function parsed(args                   )                           {
  try {
    return parse([...args])
  } catch (error) {
    throw new Fatal(error instanceof Error ? error.message : String(error), 2)
  }
}

const WILD                                   = { '*': '[^/]*', '?': '[^/]', '**/': '(?:.*/)?' }

/** The pattern, and all that lies below what it matches. */
function patternOf(text        )         {
  const source = text
    .replace(/\/+$/, '')
    .replace(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replace(/\*\*\/?|\*|\?/g, (wild) => WILD[wild] ?? '.*')
  return new RegExp(`^${source}(?:/|$)`, 'su')
}

function onlyArchive(folder        )         {
  const found = fs.readdirSync(folder).filter((name) => /\.(zip|jpa)$/i.test(name))
  const [first] = found
  if (first !== undefined && found.length === 1) return path.join(folder, first)
  throw new Fatal(`name the archive: there are ${found.length} in ${folder}`, 2)
}



/** Names of one file share the group. */

/** Whether an entry is asked for; our own ones only by name, or where all is checked. */
function isWanted({ installation, target, wanted }         , name        )          {
  return (installation || target === null || !isOwn(name)) && wanted(name)
}

/** The archive's entries with what the manifest says of each. */
class Entries {
  /** Of those told about: how many have extended attributes. */
  xattrs = 0
           #archive
           #options
           #catalogue

  constructor(archive        , options         , catalogue           ) {
    this.#archive = archive
    this.#options = options
    this.#catalogue = catalogue
  }

  /** Every entry that is asked for and can be trusted. `tell`: where those that cannot are named, and what is missing. */
  *all(tell               )                                      {
    const miss = ({ name }      )       => {
      if (isWanted(this.#options, name)) tell?.add(name, 'the archive does not hold it any more')
    }
    const { manifest } = this.#catalogue
    const lines = manifest === null ? null : new Lines(manifest, miss)
    try {
      for (const item of itemsIn(this.#archive)) {
        const line = lines?.lineFor(item.name) ?? null
        if (!isWanted(this.#options, item.name)) continue
        const fault = item.refused ?? nameFault(item.name) ?? this.#unlisted(item, lines, line)
        if (fault === null) yield this.#taskOf(item, line)
        else tell?.add(item.name, fault)
        if (tell !== null && line?.xattrs === true) this.xattrs++
      }
      if (tell !== null) lines?.end()
    } finally {
      lines?.close()
    }
  }

  #unlisted({ name }      , lines              , line             )                {
    if (isOwn(name)) return ownFault(this.#catalogue, name)
    return lines === null || line !== null ? null : 'the manifest does not list it'
  }

  #taskOf(item      , line             )          {
    const { owners } = this.#options
    return {
      item,
      digest: line?.digest ?? this.#catalogue.own?.get(item.name.toString('latin1')) ?? null,
      mode: (line?.mode ?? item.mode) & (owners ? 0o7777 : 0o1777),
      mtime: line === null ? item.mtime : secondsOf(line.mtimeNs),
      owner: owners && line !== null ? { uid: line.uid, gid: line.gid } : null,
      group: line?.group ?? null,
    }
  }
}

/** A double of seconds is cut to microseconds below us: half a one is added, so that none is lost on the way. */
const secondsOf = (ns        )         => (Number(ns / 1000n) + 0.5) / 1e6

function nameFault(name        )                {
  const [first] = name.toString('latin1').split('/')
  if (first?.toLowerCase() === WORK_FOLDER) return 'its name is the one of the folder in which files wait'
  return pathFault(name, process.platform === 'win32')
}



/** Files, and their bytes as stored, that are handed to a thread together. */
const BATCH_FILES = 64
const BATCH_BYTES = 1 << 20
/** Files with several names that are remembered by their first one; beyond them names become copies. */
const FIRST_NAMES = 50_000
/** What packs better than this is zeros, which come back as holes. */
const RATIO = 100

/** One restore, or one check, from the first byte to the last. */
class Run {
           #options
           #archive
           #faults = new Faults()
  /** By group: the name under which the file is in place, and its digest. */
           #firsts = new Map                                          ()
           #say
           #databases = new Databases()
  #files = 0
  #bytes = 0
  /** Whether there was any among what is wanted. */
  #folders = false

  /** `say` is told how much of the archive has been handed out, 0 to 1. */
  constructor(options         , say                        ) {
    this.#options = options
    this.#archive = new Joined(partsOf(options.archive))
    this.#say = say
  }

  async run()                  {
    const { target } = this.#options
    const work = target === null ? passing() : claim(target, identityOf(this.#archive))
    const catalogue = await this.#open(work)
    for (const name of catalogue.missing) this.#faults.add(Buffer.from(name), 'it is missing, and proves the others')
    const entries = new Entries(this.#archive, this.#options, catalogue)
    const crew = new Crew({ files: this.#archive.files, target, resumed: work.resumed }, this.#faults)
    try {
      for await (const tasks of this.#batches(entries)) await crew.give(tasks)
    } finally {
      await crew.finish()
    }
    if (target !== null) {
      await this.#finish(entries, target, work.resumed)
      settle(target, work)
    }
    const nothing = this.#options.chosen && this.#files === 0 && !this.#folders && this.#faults.count === 0
    const notes = notesOf(catalogue, entries, nothing)
    if (target !== null) notes.push(...this.#databases.notes(new Tree(target, false), target))
    return { files: this.#files, bytes: this.#bytes, faults: this.#faults, notes }
  }

  /** An archive that cannot be read leaves the target free for one that can. */
  async #open(work      )                     {
    const { target } = this.#options
    try {
      let needed = 0
      const catalogue = await readCatalogue(this.#archive, work.folder, (item) => (needed += this.#room(item)))
      if (target !== null && !work.resumed) checkRoom(target, needed)
      return catalogue
    } catch (error) {
      if (!work.resumed && error instanceof Fatal) fs.rmSync(work.folder, { recursive: true, force: true })
      throw error
    }
  }

  #room({ kind, name, size, stored }      )         {
    return kind === 'file' && isWanted(this.#options, name) ? Math.min(size, stored * RATIO) : 0
  }

  async *#batches(entries         )                                          {
    let tasks         = []
    let bytes = 0
    for (const task of this.#tasks(entries)) {
      this.#say(task.item.offset / this.#archive.size)
      tasks.push(task)
      bytes += task.item.stored
      if (tasks.length < BATCH_FILES && bytes < BATCH_BYTES) continue
      yield tasks
      tasks = []
      bytes = 0
    }
    if (tasks.length > 0) yield tasks
  }

  /** What a thread is to deal with; links and further names come at the end, unless all is only looked at. */
  *#tasks(entries         )                                   {
    for (const task of entries.all(this.#faults)) {
      const { item } = task
      this.#folders ||= item.kind === 'dir'
      if (item.kind === 'dir') continue
      this.#files++
      this.#databases.note(item.name)
      this.#bytes += item.size
      if (this.#options.target === null || (item.kind === 'file' && this.#firstOf(task) === null)) yield task
    }
  }

  /** The name that the file has already; null if this is the first, or the only one. */
  #firstOf({ group, digest, item }         )                {
    if (group === null || digest === null) return null
    const name = item.name.toString('latin1')
    const first = this.#firsts.get(group)
    if (first === undefined && this.#firsts.size < FIRST_NAMES) this.#firsts.set(group, { name, digest })
    return first === undefined || first.digest !== digest || first.name === name
      ? null
      : Buffer.from(first.name, 'latin1')
  }

  async #finish(entries         , target        , resumed         )                {
    const tree = new Tree(target, resumed)
    const placer = new Placer(this.#archive, target, 2, resumed)
    for (const task of entries.all(null)) await this.#attempt(task, () => this.#place(task, tree, placer))
    // Only now: whatever is made in a folder gives it another time. With a tree that changes no mode any more.
    const folders = new Folders(new Tree(target, false))
    for (const task of entries.all(null)) {
      if (task.item.kind === 'dir') await this.#attempt(task, () => folders.finish(task))
    }
    for (const task of folders.later) await this.#attempt(task, () => folders.apply(task))
  }

  async #place(task         , tree      , placer        )                {
    const { kind, name } = task.item
    if (kind === 'dir') return tree.folder(name)
    if (kind === 'file') {
      const first = this.#firstOf(task)
      if (first !== null && !makeName(tree, first, name)) await placer.place(task)
      return
    }
    const to = await linkTarget(this.#archive, task)
    if (!this.#options.outsideLinks && leadsOut(name, to)) {
      throw new Damage('it is a link that leads out of the target (--outside-links allows it)')
    }
    makeLink(tree, task, to)
  }

  async #attempt({ item }      , work                            )                {
    try {
      await work()
    } catch (error) {
      const why = faultIn(error)
      if (why === null) throw error
      this.#faults.add(item.name, why)
    }
  }
}

function checkRoom(target        , bytes        )       {
  const { bavail, bsize } = fs.statfsSync(target)
  if (bytes > bavail * bsize) {
    throw new Fatal(`${target} has room for ${bavail * bsize} bytes; the files need ${bytes}`)
  }
}

function notesOf({ manifest }           , { xattrs }         , nothing         )           {
  const notes           = []
  if (nothing) notes.push('nothing in the archive matches --only; its names begin with those of the folders backed up')
  if (manifest === null) notes.push('the archive holds no manifest: contents are compared with their CRC at most')
  if (xattrs > 0) notes.push(`extended attributes of ${xattrs} entries were not restored: ratchet restore does`)
  return notes
}


const GOES_ON = 'What is restored so far stays; the same command goes on where it was.\n'

function meter()                         {
  let last = -1
  return (done) => {
    const percent = Math.floor(done * 100)
    if (!process.stderr.isTTY || percent === last) return
    last = percent
    process.stderr.write(`\r${String(percent).padStart(3)} %`)
  }
}

function tell({ files, bytes, faults, notes }        , target               )         {
  if (process.stderr.isTTY) process.stderr.write('\r')
  const { named, count } = faults
  for (const { name, why } of named) process.stderr.write(`${printable(name)}: ${why}\n`)
  if (count > named.length) process.stderr.write(`and ${count - named.length} more\n`)
  for (const note of notes) process.stderr.write(`note: ${note}\n`)
  const done = target === null ? 'checked' : `restored to ${target}`
  const all = `${files} files and links, ${bytes} bytes`
  process.stdout.write(
    count === 0 ? `${all}, ${done}\n` : `${done}: of ${all} ${count} not; what is missing or damaged is named above\n`,
  )
  return count === 0 ? 0 : 3
}

/** Ended from outside: with the code that a shell gives for the signal. */
function endOn(signal                      , code        , target               )       {
  process.once(signal, () => {
    process.stderr.write(`\ninterrupted. ${target === null ? '\n' : GOES_ON}`)
    process.exit(code)
  })
}

async function main()                  {
  let target                = null
  try {
    const options = readOptions(process.argv.slice(2))
    if (options === null) {
      process.stdout.write(USAGE)
      return 0
    }
    target = options.target
    endOn('SIGINT', 130, target)
    endOn('SIGTERM', 143, target)
    return tell(await new Run(options, meter()).run(), target)
  } catch (error) {
    return explain(error, target)
  }
}

/** What ended the run, in words; a stack only where it is a fault of this program. */
function explain(error         , target               )         {
  const refused = error instanceof Fatal && !(error instanceof Stopped) // again, however often it is asked
  const outer = !refused && (error instanceof Stopped || codeOf(error) !== '')
  const known = refused || outer || error instanceof Damage
  process.stderr.write(`${known ? textOf(error) : ((error         ).stack ?? textOf(error))}\n`)
  const code = error instanceof Fatal ? error.code : 1
  if (code === 2) process.stderr.write('node restore.mjs --help tells how it is used\n')
  else if (outer && target !== null) process.stderr.write(GOES_ON)
  return code
}

if (isMainThread) process.exitCode = await main()
else workInThread()
