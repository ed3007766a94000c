import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import type { ArchiveEntry } from './format.ts'
import { decodeName } from './zip-names.ts'
import * as z from './zip-records.ts'

/** A central record, ZIP64 values resolved. `name` and `extra` are copies. */
export interface CentralRecord {
  readonly madeBy: number
  readonly flags: number
  readonly method: number
  readonly dos: z.DosTime
  readonly crc: number
  readonly stored: number
  readonly size: number
  readonly disk: number
  readonly attributes: number
  /** Within its disk. */
  readonly offset: number
  readonly name: Buffer
  readonly extra: Buffer
}

/** An entry with what the reader needs to find and prove its local header. */
export interface ZipEntry extends ArchiveEntry {
  readonly mtime: number
  readonly crc: number
  readonly name: Buffer
  readonly flags: number
  /** Method number as stored. */
  readonly methodId: number
  /** First byte that cannot belong to this entry: the next header or the directory. */
  readonly bound: number
}

const S_IFIFO = 0o010000
const HOST_UNIX = 3
const HOST_DARWIN = 19
/** Longer than any system's path limit. Bytes. */
const MAX_LINK = 65_536

/** Length of the whole record at `at`, or null if the window ends before it. */
export function centralLength(window: Buffer, at: number): number | null {
  if (at + z.CENTRAL_SIZE > window.length) return null
  const length =
    z.CENTRAL_SIZE + window.readUInt16LE(at + 28) + window.readUInt16LE(at + 30) + window.readUInt16LE(at + 32)
  return at + length > window.length ? null : length
}

/** Takes the ZIP64 values of the fields that are all ones, in their fixed order. */
export function wideValues(extra: Buffer, fields: readonly { value: number; ones: number; width: 4 | 8 }[]): number[] {
  if (fields.every(({ value, ones }) => value !== ones)) return fields.map(({ value }) => value)
  const field = z.findExtra(extra, z.EXTRA_ZIP64)
  let at = 0
  return fields.map(({ value, ones, width }) => {
    if (value !== ones) return value
    // A full disk or count field may mean itself; a full size or offset cannot.
    if (field === null && width === 4) return value
    if (field === null || at + width > field.length) throw z.damaged('a ZIP64 value is announced and missing')
    at += width
    return width === 8 ? z.readU64(field, at - 8) : field.readUInt32LE(at - 4)
  })
}

/** Decodes a record that lies whole in the window. ARCHIVE_DAMAGED on contradictions. */
export function decodeCentral(b: Buffer, at: number): CentralRecord {
  const nameAt = at + z.CENTRAL_SIZE
  const extraAt = nameAt + b.readUInt16LE(at + 28)
  const extra = Buffer.from(b.subarray(extraAt, extraAt + b.readUInt16LE(at + 30)))
  const [size = 0, stored = 0, offset = 0, disk = 0] = wideValues(extra, [
    { value: b.readUInt32LE(at + 24), ones: z.ONES32, width: 8 },
    { value: b.readUInt32LE(at + 20), ones: z.ONES32, width: 8 },
    { value: b.readUInt32LE(at + 42), ones: z.ONES32, width: 8 },
    { value: b.readUInt16LE(at + 34), ones: z.ONES16, width: 4 },
  ])
  return {
    madeBy: b.readUInt16LE(at + 4),
    flags: b.readUInt16LE(at + 8),
    method: b.readUInt16LE(at + 10),
    dos: { time: b.readUInt16LE(at + 12), date: b.readUInt16LE(at + 14) },
    crc: b.readUInt32LE(at + 16),
    stored,
    size,
    disk,
    attributes: b.readUInt32LE(at + 38),
    offset,
    name: Buffer.from(b.subarray(nameAt, extraAt)),
    extra,
  }
}

/** Seconds since 1970: extended timestamp, else NTFS time, else DOS time read as UTC. */
function mtimeOf(record: Pick<CentralRecord, 'extra' | 'dos'>): number {
  const ut = z.findExtra(record.extra, z.EXTRA_UT)
  if (ut !== null && ut.length >= 5 && ((ut[0] ?? 0) & 1) === 1) return ut.readInt32LE(1)
  const ntfs = z.findExtra(record.extra, z.EXTRA_NTFS)
  if (ntfs !== null && ntfs.length >= 16 && ntfs.readUInt16LE(4) === 1) {
    return Number(ntfs.readBigUInt64LE(8)) / 1e7 - 11_644_473_600 // 100 ns since 1601
  }
  return z.fromDosTime(record.dos)
}

const TYPE_BITS = { file: z.S_IFREG, dir: z.S_IFDIR, symlink: z.S_IFLNK } as const
const DEFAULT_PERMISSIONS = { file: 0o644, dir: 0o755, symlink: 0o777 } as const

interface Kind {
  readonly kind: ArchiveEntry['kind']
  readonly mode: number
  readonly odd: boolean
}

function kindOf(record: CentralRecord, slash: boolean, unix: boolean): Kind {
  const mode = unix ? record.attributes >>> 16 : 0
  const type = mode & z.S_IFMT
  if (type === z.S_IFLNK) return { kind: 'symlink', mode, odd: false }
  const dir = slash || type === z.S_IFDIR || (type === 0 && (record.attributes & 0x10) !== 0)
  const kind = dir ? 'dir' : 'file'
  // Info-ZIP gives what it read from a pipe the type of the pipe: with content it is a file.
  const piped = type === S_IFIFO && record.size > 0
  const odd = type !== 0 && type !== z.S_IFDIR && type !== z.S_IFREG && !piped
  const permissions = mode === 0 ? DEFAULT_PERMISSIONS[kind] : mode & 0o7777
  return { kind, mode: TYPE_BITS[kind] | permissions, odd }
}

function refusal(record: CentralRecord, kind: Kind): BackupError | undefined {
  const refuse = (code: 'ARCHIVE_UNSUPPORTED' | 'ENTRY_REFUSED', why: string): BackupError =>
    new BackupError(code, `entry ${displayName(record.name)} ${why}`)
  if ((record.flags & (z.FLAG_ENCRYPTED | z.FLAG_STRONG | z.FLAG_MASKED)) !== 0) {
    return refuse('ARCHIVE_UNSUPPORTED', 'is encrypted')
  }
  if ((record.flags & z.FLAG_PATCHED) !== 0) return refuse('ARCHIVE_UNSUPPORTED', 'is a patch')
  if (record.method !== 0 && record.method !== 8) {
    return refuse('ARCHIVE_UNSUPPORTED', `uses compression method ${record.method}`)
  }
  if (kind.odd) return refuse('ENTRY_REFUSED', 'is a device, pipe or socket')
  if (kind.kind === 'dir' && record.size > 0) return refuse('ENTRY_REFUSED', 'is a folder with data')
  if (kind.kind === 'symlink' && record.size > MAX_LINK) {
    return refuse('ENTRY_REFUSED', `is a link with a target of ${record.size} bytes`)
  }
  return undefined
}

/** The entry a record describes. `offset` and `bound` are global. */
export function toEntry(record: CentralRecord, index: number, offset: number, bound: number): ZipEntry {
  const host = record.madeBy >> 8
  const unix = host === HOST_UNIX || host === HOST_DARWIN
  const decoded = decodeName(record.name, record.flags, record.extra, unix)
  const slash = decoded.path.at(-1) === 0x2f
  const kind = kindOf(record, slash, unix)
  const refused = refusal(record, kind) ?? decoded.refused
  return {
    index,
    path: slash ? decoded.path.subarray(0, -1) : decoded.path,
    kind: kind.kind,
    mode: kind.mode,
    mtime: mtimeOf(record),
    size: record.size,
    stored: record.stored,
    method: record.method === 8 ? 'deflate' : 'store',
    crc: record.crc,
    offset,
    ...(refused === undefined ? {} : { refused }),
    name: record.name,
    flags: record.flags,
    methodId: record.method,
    bound,
  }
}
