import { writeFullyAsync, type Disk } from '../../lib/disk.ts'

/** Zeros are left out in pieces of this size, aligned in the file. Bytes. */
const PAGE = 4096
const ZEROS = Buffer.alloc(PAGE)

/** `hole`: the last bytes are left out, so the file has to be lengthened in the end. */
export interface SparseWrite {
  readonly hole: boolean
  /** Until it settles, the handle stays open and the bytes untouched. */
  readonly written: Promise<void>
}

/** Writes `bytes` at `position` in the background, leaving out whole pages of zeros, which thus become holes. */
export function writeSparse(disk: Disk, fd: number, bytes: Buffer, position: number): SparseWrite {
  const runs = [...runsOf(bytes, position)]
  const hole = bytes.length > 0 && runs.at(-1)?.to !== bytes.length
  return { hole, written: writeRuns(disk, fd, bytes, position, runs) }
}

interface Run {
  readonly from: number
  readonly to: number
}

async function writeRuns(disk: Disk, fd: number, bytes: Buffer, position: number, runs: Run[]): Promise<void> {
  for (const { from, to } of runs) await writeFullyAsync(disk, fd, bytes.subarray(from, to), position + from)
}

/** What lies between the pages of zeros. */
function* runsOf(bytes: Buffer, position: number): Generator<Run> {
  let from = 0
  for (let at = (PAGE - (position % PAGE)) % PAGE; at + PAGE <= bytes.length;) {
    if (!isZero(bytes, at)) {
      at += PAGE
      continue
    }
    if (at > from) yield { from, to: at }
    while (at + PAGE <= bytes.length && isZero(bytes, at)) at += PAGE
    from = at
  }
  if (from < bytes.length) yield { from, to: bytes.length }
}

function isZero(bytes: Buffer, at: number): boolean {
  // Most pages are told by their first byte; only then is the whole page compared.
  return bytes[at] === 0 && bytes[at + PAGE - 1] === 0 && ZEROS.compare(bytes, at, at + PAGE) === 0
}
