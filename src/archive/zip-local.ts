import { displayName } from '../lib/entry-path.ts'
import type { ByteSource } from './reader.ts'
import { wideValues, type ZipEntry } from './zip-entry.ts'
import * as z from './zip-records.ts'

export interface LocalHeader {
  readonly needed: number
  readonly flags: number
  readonly method: number
  readonly dos: z.DosTime
  readonly crc: number
  readonly stored: number
  readonly size: number
  readonly name: Buffer
  readonly extra: Buffer
  /** Length of the whole header. */
  readonly length: number
}

/** Enough for the header, an ordinary name and its extra fields in one read. */
const GUESS = 512

/** The local header at `offset`, or null if there is none. ARCHIVE_DAMAGED if it contradicts itself. */
export function readLocal(source: ByteSource, offset: number): LocalHeader | null {
  let b = source.read(offset, GUESS)
  if (b.length < z.LOCAL_SIZE || b.readUInt32LE(0) !== z.SIG_LOCAL) return null
  const nameEnd = z.LOCAL_SIZE + b.readUInt16LE(26)
  const length = nameEnd + b.readUInt16LE(28)
  if (length > b.length) b = source.read(offset, length)
  if (length > b.length) return null
  const extra = b.subarray(nameEnd, length)
  const flags = b.readUInt16LE(6)
  const narrow = { size: b.readUInt32LE(22), stored: b.readUInt32LE(18) }
  const [size = 0, stored = 0] = wideValues(extra, [
    { value: narrow.size, ones: z.ONES32, width: 8 },
    { value: narrow.stored, ones: z.ONES32, width: 8 },
  ])
  return {
    needed: b.readUInt16LE(4),
    flags,
    method: b.readUInt16LE(8),
    dos: { time: b.readUInt16LE(10), date: b.readUInt16LE(12) },
    crc: b.readUInt32LE(14),
    stored,
    size,
    name: b.subarray(z.LOCAL_SIZE, nameEnd),
    extra,
    length,
  }
}

/**
 * Global offset of the entry's data, once its local header is proven to say the same as the directory.
 * With a data descriptor the header may leave CRC and sizes zero. ARCHIVE_DAMAGED where they differ or
 * the data runs into what follows.
 */
export function dataStart(source: ByteSource, entry: ZipEntry): number {
  const differs = (what: string): Error =>
    z.damaged(`entry ${displayName(entry.path)}: ${what} in its own header and in the directory differ`)
  const local = readLocal(source, entry.offset)
  if (local === null) throw z.damaged(`entry ${displayName(entry.path)}: its header is missing`)
  if (!local.name.equals(entry.name)) throw differs('the name')
  if (local.method !== entry.methodId) throw differs('the method')
  if (((local.flags ^ entry.flags) & (z.FLAG_ENCRYPTED | z.FLAG_STRONG | z.FLAG_DESCRIPTOR)) !== 0) {
    throw differs('the flags')
  }
  const later = (local.flags & z.FLAG_DESCRIPTOR) !== 0
  const same = (mine: number, theirs: number): boolean => mine === theirs || (later && mine === 0)
  if (!same(local.size, entry.size) || !same(local.stored, entry.stored)) throw differs('the size')
  if (!same(local.crc, entry.crc)) throw differs('the CRC')
  if (local.needed === z.NEEDED_LINK && entry.kind !== 'symlink') throw differs('the kind')
  const start = entry.offset + local.length
  if (start + entry.stored > entry.bound) {
    throw z.damaged(`entry ${displayName(entry.path)}: its data runs into what follows`)
  }
  return start
}
