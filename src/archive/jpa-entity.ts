import { isUtf8 } from 'node:buffer'
import zlib from 'node:zlib'
import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import type { ArchiveEntry } from './format.ts'
import { u64At } from './jpa-header.ts'
import * as j from './jpa-records.ts'
import type { ByteSource } from './reader.ts'
import { decodeName } from './zip-names.ts'
import { FLAG_UTF8, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './zip-records.ts'
import { crossesPart } from './zip-scan.ts'

/** A description block, decoded; numbers are not yet held against anything but each other. */
export interface Block {
  /** Of the whole block. */
  readonly length: number
  readonly path: Buffer
  readonly type: number
  readonly compression: number
  readonly stored: number
  readonly size: number
  readonly mode: number
  readonly time: number | null
  /** The sizes stand in it twice, and agree. */
  readonly twice: boolean
  readonly crc: number
}

/** An entry with where its data begins. */
export interface JpaEntry extends ArchiveEntry {
  readonly crc: null
  readonly headCrc: number
  readonly blockLength: number
}

interface Extras {
  readonly time: number | null
  readonly sizes: { readonly stored: number; readonly size: number } | null
}

/** Enough for the block with an ordinary path in one read. */
const GUESS = 512
const MOST_MODE = 0xffff
/** Longer than any system's path limit. Bytes. */
const MAX_LINK = 65_536
const EMPTY = Buffer.alloc(0)

/** What the extras say, unknown ones skipped; or what is wrong with them. */
function extrasIn(b: Buffer, from: number, end: number): Extras | string {
  let time: number | null = null
  let sizes: Extras['sizes'] = null
  let at = from
  for (; at + 4 <= end; at += b.readUInt16LE(at + 2)) {
    const id = b.readUInt16LE(at)
    const length = b.readUInt16LE(at + 2)
    if (length < 4 || at + length > end) return 'an extra field is longer than its block'
    if (id === j.EXTRA_TIME) {
      if (time !== null || length < j.TIME_LENGTH) return 'its time is there twice or too short'
      time = b.readUInt32LE(at + 4)
    }
    if (id !== j.EXTRA_SIZES) continue
    if (sizes !== null || length < j.SIZES_LENGTH) return 'its sizes are there twice or too short'
    const [stored, size] = [u64At(b, at + 4), u64At(b, at + 12)]
    if (stored === null || size === null) return 'it has an impossible size'
    sizes = { stored, size }
  }
  return at === end ? { time, sizes } : 'its extra fields do not end with its block'
}

function decode(b: Buffer): Block | string {
  const length = b.length
  const pathLength = b.readUInt16LE(5)
  const at = 7 + pathLength
  if (pathLength === 0) return 'it has no name'
  if (j.ENTITY_SIZE + pathLength > length) return 'its name is longer than its block'
  const extras = extrasIn(b, j.ENTITY_SIZE + pathLength, length)
  if (typeof extras === 'string') return extras
  const narrow = { stored: b.readUInt32LE(at + 2), size: b.readUInt32LE(at + 6) }
  const { stored, size } = extras.sizes ?? narrow
  if (stored % j.MODULO !== narrow.stored || size % j.MODULO !== narrow.size) return 'its sizes contradict each other'
  const mode = b.readUInt32LE(at + 10)
  if (mode > MOST_MODE) return 'it has an impossible mode'
  const compression = b.readUInt8(at + 1)
  if (compression === j.COMPRESSION.store && stored !== size) return 'it is stored, but with another size than its own'
  return {
    length,
    path: Buffer.from(b.subarray(7, at)),
    type: b.readUInt8(at),
    compression,
    stored,
    size,
    mode,
    time: extras.time,
    twice: extras.sizes !== null,
    crc: zlib.crc32(b),
  }
}

/**
 * The description block at `position`, or what is wrong there. `far`: nothing near it was read before, so that
 * reading ahead does not pay.
 */
export function readBlock(source: ByteSource, position: number, far = false): Block | string {
  let b = far && source.peek !== undefined ? source.peek(position, GUESS) : source.read(position, GUESS)
  if (b.length < j.ENTITY_SIZE || !b.subarray(0, 3).equals(j.SIG_ENTITY)) return 'no entity begins here'
  const length = b.readUInt16LE(3)
  if (length < j.ENTITY_SIZE) return 'the entity is shorter than any'
  if (length > b.length) b = source.read(position, length)
  if (length > b.length) return 'the entity is cut off'
  if (crossesPart(source, position, position + length)) return 'the entity lies in two parts'
  return decode(b.subarray(0, length))
}

const TYPE_BITS = { file: S_IFREG, dir: S_IFDIR, symlink: S_IFLNK } as const
const DEFAULT_PERMISSIONS = { file: 0o644, dir: 0o755, symlink: 0o777 } as const
/** Pipes, devices and sockets. */
const ODD: ReadonlySet<number> = new Set([0o010000, 0o020000, 0o060000, 0o140000])

function refusal(block: Block, kind: ArchiveEntry['kind'] | undefined): BackupError | undefined {
  const refuse = (code: 'ARCHIVE_UNSUPPORTED' | 'ENTRY_REFUSED', why: string): BackupError =>
    new BackupError(code, `entry ${displayName(block.path)} ${why}`)
  if (kind === undefined) return refuse('ARCHIVE_UNSUPPORTED', `is of type ${block.type}`)
  if (block.compression > j.COMPRESSION.deflate) {
    const name = block.compression === j.COMPRESSION.bzip2 ? ' (bzip2)' : ''
    return refuse('ARCHIVE_UNSUPPORTED', `uses compression ${block.compression}${name}`)
  }
  if (ODD.has(block.mode & S_IFMT)) return refuse('ENTRY_REFUSED', 'is a device, pipe or socket')
  if (kind === 'dir' && block.stored + block.size > 0) return refuse('ENTRY_REFUSED', 'is a folder with data')
  if (kind !== 'symlink') return undefined
  if (block.size > MAX_LINK) return refuse('ENTRY_REFUSED', `is a link with a target of ${block.size} bytes`)
  if (block.compression !== j.COMPRESSION.store) return refuse('ENTRY_REFUSED', 'is a link with a compressed target')
  return undefined
}

/** Links to folders are named `name/` by some writers, with the mode of what they point to. */
function modeOf(block: Block, kind: ArchiveEntry['kind']): number {
  const permissions = block.mode === 0 ? DEFAULT_PERMISSIONS[kind] : block.mode & 0o7777
  return TYPE_BITS[kind] | permissions
}

/** The entry that a block at `offset` describes. */
export function toEntry(block: Block, index: number, offset: number): JpaEntry {
  const known = j.TYPES[block.type]
  const kind = known ?? 'file'
  // Names are UTF-8 by the format; where they are not, they are what the file system had.
  const decoded = decodeName(block.path, isUtf8(block.path) ? FLAG_UTF8 : 0, EMPTY, true)
  const slash = kind !== 'file' && decoded.path.length > 1 && decoded.path.at(-1) === 0x2f
  const refused = refusal(block, known) ?? decoded.refused
  return {
    index,
    path: slash ? decoded.path.subarray(0, -1) : decoded.path,
    kind,
    mode: modeOf(block, kind),
    mtime: kind === 'file' ? block.time : null,
    size: block.size,
    stored: block.stored,
    method: block.compression === j.COMPRESSION.store ? 'store' : 'deflate',
    crc: null,
    offset,
    headCrc: block.crc,
    blockLength: block.length,
    ...(refused === undefined ? {} : { refused }),
  }
}
