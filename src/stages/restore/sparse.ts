import { writeFully, type Disk } from '../../lib/disk.ts'

/** Zeros are left out in pieces of this size, aligned in the file. Bytes. */
const PAGE = 4096
const ZEROS = Buffer.alloc(PAGE)

/**
 * Writes `bytes` at `position`, leaving out whole pages of zeros, which thus become holes. Returns
 * whether the last bytes were left out: the file then has to be lengthened in the end.
 */
export function writeSparse(disk: Disk, fd: number, bytes: Buffer, position: number): boolean {
  let from = 0
  for (let at = (PAGE - (position % PAGE)) % PAGE; at + PAGE <= bytes.length;) {
    if (!isZero(bytes, at)) {
      at += PAGE
      continue
    }
    if (at > from) writeFully(disk, fd, bytes.subarray(from, at), position + from)
    while (at + PAGE <= bytes.length && isZero(bytes, at)) at += PAGE
    from = at
  }
  if (from < bytes.length) writeFully(disk, fd, bytes.subarray(from), position + from)
  return from === bytes.length && bytes.length > 0
}

function isZero(bytes: Buffer, at: number): boolean {
  // Most pages are told by their first byte; only then is the whole page compared.
  return bytes[at] === 0 && bytes[at + PAGE - 1] === 0 && ZEROS.compare(bytes, at, at + PAGE) === 0
}
