import type { ByteSource } from './reader.ts'
import * as z from './zip-records.ts'

/** Looking for records in an archive whose directory is lost. */

const WINDOW = 1 << 20
const PK = Buffer.from('PK')
const KNOWN: ReadonlySet<number> = new Set([z.SIG_LOCAL, z.SIG_CENTRAL, z.SIG_END, z.SIG_END64, z.SIG_LOCATOR])

/** The signature at a place; 0 if there is none we know. At the end of the archive: `SIG_END`, as nothing is missing. */
export function signatureAt(source: ByteSource, position: number): number {
  if (position === source.size) return z.SIG_END
  const bytes = source.read(position, 4)
  const signature = bytes.length < 4 ? 0 : bytes.readUInt32LE(0)
  return KNOWN.has(signature) ? signature : 0
}

/** Every `PK` + two bytes from `from` on that `wanted` accepts, with its position; windows overlap by what a hit needs. */
function* hits(source: ByteSource, from: number, wanted: (signature: number) => boolean): Generator<number> {
  for (let base = from; base + 4 <= source.size;) {
    const window = source.read(base, WINDOW)
    if (window.length < 4) return
    for (let at = window.indexOf(PK); at !== -1 && at + 4 <= window.length; at = window.indexOf(PK, at + 1)) {
      if (wanted(window.readUInt32LE(at))) yield base + at
    }
    base += window.length - 3
  }
}

/** Position of the next record at or after `from`; the archive's size if there is none. */
export function nextRecord(source: ByteSource, from: number): number {
  for (const at of hits(source, from, (signature) => KNOWN.has(signature))) return at
  return source.size
}

/** Whether a part begins inside `from`…`to`. Headers and records never lie in two parts. */
export function crossesPart(source: ByteSource, from: number, to: number): boolean {
  let low = 0
  let high = source.partOffsets.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((source.partOffsets[middle] ?? 0) > from) high = middle
    else low = middle + 1
  }
  return (source.partOffsets[low] ?? source.size) < to
}

export interface Descriptor {
  readonly crc: number
  readonly stored: number
  readonly size: number
  /** Global offset behind it. */
  readonly end: number
}

/** Not proven to be a number of ours: it is only compared. */
const u64 = (b: Buffer, at: number): number => b.readUInt32LE(at + 4) * 0x1_0000_0000 + b.readUInt32LE(at)

/** A descriptor at `at` that says exactly how far it lies from the data's beginning, which chance hardly does. */
function descriptorAt(source: ByteSource, at: number, stored: number, signed: boolean): Descriptor | null {
  const body = at + (signed ? 4 : 0)
  const b = source.read(body, 20)
  if (b.length >= 20 && u64(b, 4) === stored) {
    const end = body + 20
    if (signatureAt(source, end) !== 0) return { crc: b.readUInt32LE(0), stored, size: u64(b, 12), end }
  }
  if (b.length < 12 || b.readUInt32LE(4) !== stored) return null
  const end = body + 12
  return signatureAt(source, end) === 0 ? null : { crc: b.readUInt32LE(0), stored, size: b.readUInt32LE(8), end }
}

function descriptorBefore(source: ByteSource, record: number, start: number): Descriptor | null {
  for (const length of [12, 20]) {
    const at = record - length
    if (at < start) continue
    const found = descriptorAt(source, at, at - start, false)
    if (found !== null && found.end === record) return found
  }
  return null
}

/**
 * The data descriptor of an entry whose data begins at `start` and whose header leaves the sizes open;
 * with or without its (optional) signature. Looks at most `reach` bytes far.
 */
export function findDescriptor(source: ByteSource, start: number, reach: number): Descriptor | null {
  const wanted = (signature: number): boolean => signature === z.SIG_DESCRIPTOR || KNOWN.has(signature)
  for (const at of hits(source, start, wanted)) {
    if (at - start > reach) return null
    const signed = source.read(at, 4).readUInt32LE(0) === z.SIG_DESCRIPTOR
    const found = signed ? descriptorAt(source, at, at - start, true) : descriptorBefore(source, at, start)
    if (found !== null) return found
  }
  return source.size - start > reach ? null : descriptorBefore(source, source.size, start)
}
