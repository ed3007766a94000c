import { buildZip, sample, type Item } from './build.ts'

/** Tools to bend a good archive: edits by record, with the counts and lengths around them put right. */

export const A: Item = { name: 'a.txt', data: Buffer.from('the first file, '.repeat(20)) }
export const B: Item = { name: 'd/b.bin', data: sample(600, 'noise'), how: 'store' }
export const L: Item = { name: 'l', kind: 'symlink', data: Buffer.from('a.txt') }
export const D: Item = { name: 'd', kind: 'dir' }
export const base = (): Buffer => buildZip([D, A, B, L])

/** Offsets of the records: locals, centrals, end. */
function layout(bytes: Buffer): { local: number[]; central: number[]; end: number } {
  const find = (signature: string): number[] => {
    const all: number[] = []
    for (let at = bytes.indexOf(signature, 0, 'hex'); at !== -1; at = bytes.indexOf(signature, at + 1, 'hex'))
      all.push(at)
    return all
  }
  return { local: find('504b0304'), central: find('504b0102'), end: bytes.lastIndexOf('504b0506', undefined, 'hex') }
}
export type Edit = (
  bytes: Buffer,
  at: { l: (i: number) => number; c: (i: number) => number; e: number },
) => Buffer | void

export function crafted(edit: Edit, items: readonly Item[] = [D, A, B, L]): Buffer {
  const bytes = buildZip(items)
  const { local, central, end } = layout(bytes)
  const pick = (all: number[]) => (i: number) => all[i] ?? Number.NaN
  return edit(bytes, { l: pick(local), c: pick(central), e: end }) ?? bytes
}
export const u16 = (value: number) => (bytes: Buffer, at: number) => void bytes.writeUInt16LE(value, at)
export const u32 = (value: number) => (bytes: Buffer, at: number) => void bytes.writeUInt32LE(value, at)
/** Puts bytes in at a place before the directory and corrects what the end record says. */
export function insert(bytes: Buffer, at: number, more: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
}
/** A directory record of its own making, appended to the directory; counts and length follow. */
export function appendRecord(bytes: Buffer, end: number, record: Buffer, count = 1): Buffer {
  const out = insert(bytes, end, record)
  const e = end + record.length
  out.writeUInt16LE(out.readUInt16LE(e + 8) + count, e + 8)
  out.writeUInt16LE(out.readUInt16LE(e + 10) + count, e + 10)
  out.writeUInt32LE(out.readUInt32LE(e + 12) + record.length, e + 12)
  return out
}
export const recordAt = (bytes: Buffer, at: number): Buffer => {
  const length = 46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32)
  return Buffer.from(bytes.subarray(at, at + length))
}
export function withEnd64(
  bytes: Buffer,
  end: number,
  change: (record: Buffer, locator: Buffer, narrow: Buffer) => void,
): Buffer {
  const record = Buffer.alloc(56)
  const narrow = Buffer.from(bytes.subarray(end))
  record.write('504b06062c00000000000000', 'hex')
  record.writeUInt16LE(0x31e, 12)
  record.writeUInt16LE(45, 14)
  record.writeBigUInt64LE(BigInt(narrow.readUInt16LE(8)), 24)
  record.writeBigUInt64LE(BigInt(narrow.readUInt16LE(10)), 32)
  record.writeBigUInt64LE(BigInt(narrow.readUInt32LE(12)), 40)
  record.writeBigUInt64LE(BigInt(narrow.readUInt32LE(16)), 48)
  const locator = Buffer.alloc(20)
  locator.write('504b0607', 'hex')
  locator.writeBigUInt64LE(BigInt(end), 8)
  locator.writeUInt32LE(1, 16)
  change(record, locator, narrow)
  return Buffer.concat([bytes.subarray(0, end), record, locator, narrow])
}
