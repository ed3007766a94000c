import type { AuditEntry } from '../engine/services.ts'
import { readFully, type Disk } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'
import { trailFile, trailFiles } from './audit-files.ts'
import { decodeEntry, MAX_LINE } from './audit-line.ts'

/** Reading the trail in pieces: it grows for years. */

const CHUNK = 64 * 1024

/** Runs `work` with the open file and its size; null if there is no file. */
export function withTrail<T>(disk: Disk, file: string, work: (fd: number, size: number) => T): T | null {
  let fd: number
  try {
    fd = disk.open(file, 'read')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  try {
    return work(fd, disk.fstat(fd).size)
  } finally {
    disk.close(fd)
  }
}

/** Lines from byte `at` on, which must begin one. A last one without its newline comes with `whole: false`. */
export function* linesFrom(
  disk: Disk,
  fd: number,
  at: number,
): Generator<{ text: string; at: number; whole: boolean }> {
  const chunk = Buffer.alloc(CHUNK)
  let rest = Buffer.alloc(0)
  for (let from = at; ; from += CHUNK) {
    const read = readFully(disk, fd, chunk, CHUNK, from)
    let bytes = Buffer.concat([rest, chunk.subarray(0, read)])
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a)) {
      yield { text: bytes.toString('utf8', 0, end), at, whole: true }
      bytes = bytes.subarray(end + 1)
      at += end + 1
    }
    // Nobody of ours writes a longer line: what has none for so long is passed on in pieces.
    if (read < CHUNK || bytes.length > MAX_LINE) {
      if (bytes.length > 0) yield { text: bytes.toString('utf8'), at, whole: false }
      if (read < CHUNK) return
      at += bytes.length
      bytes = Buffer.alloc(0)
    }
    rest = Buffer.from(bytes)
  }
}

/** Entries from number `from` on, at most `limit`; lines that are none are left out (`verify` names them). */
export function readEntries(disk: Disk, folder: string, from: number, limit: number): AuditEntry[] {
  const firsts = trailFiles(disk, folder)
  const begin = Math.max(
    0,
    firsts.findLastIndex((first) => first <= from),
  )
  const found: AuditEntry[] = []
  for (const first of firsts.slice(begin)) {
    withTrail(disk, trailFile(folder, first), (fd, size) => {
      for (const { text } of linesFrom(disk, fd, startFor(disk, fd, size, from))) {
        if (found.length >= limit) return
        const entry = decodeEntry(text)
        if (typeof entry !== 'string' && entry.seq >= from) found.push(entry)
      }
    })
    if (found.length >= limit) break
  }
  return found
}

/** Where a line begins that lies before entry `from`, and not far. */
function startFor(disk: Disk, fd: number, size: number, from: number): number {
  let low = 0
  let high = size
  while (high - low > CHUNK) {
    const middle = Math.floor((low + high) / 2)
    const lines = linesFrom(disk, fd, middle)
    lines.next() // most likely begins within a line
    const line = lines.next()
    const entry = line.done === true ? 'none' : decodeEntry(line.value.text)
    if (line.done !== true && typeof entry !== 'string' && entry.seq < from) low = line.value.at
    else high = middle
  }
  return low
}
