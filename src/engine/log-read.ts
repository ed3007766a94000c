import { readFully, type Disk } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'
import { LOG_LEVELS, type LogLevel } from '../lib/log-level.ts'
import { lineOf, levelOf } from './log-line.ts'
import type { LogLine, LogPage, LogQuery } from './services.ts'

const LINE_FEED = 10
const BLOCK = 256 << 10
/** The index knows where every so many lines begin. */
const STRIDE = 512
/** A call that looks for few lines among many gives up after so many bytes; the caller goes on from `next`. */
const MOST_READ = 8 << 20
/** Logs whose index is kept. */
const KEPT = 16

/** Where lines begin in one log, as far as it has been read: logs only grow. */
interface Index {
  /** Tells a log from another one of that name. */
  readonly file: string
  /** Whole lines seen, and where the last of them ends. */
  lines: number
  end: number
  /** Where lines 1, 513, 1025, … begin. */
  readonly marks: number[]
}

/**
 * Pages of logs by line number. A log is read whole once, to count its lines; from then on a page costs what it holds,
 * wherever it lies, since only what has been added is counted.
 */
export class LogReader {
  readonly #disk: Disk
  readonly #indexes = new Map<string, Index>()

  constructor(disk: Disk) {
    this.#disk = disk
  }

  page(path: string, { from = 1, limit = 1000, level = 'debug' }: LogQuery): LogPage {
    const fd = this.#open(path)
    if (fd === null) return { lines: [], next: from, total: 0 }
    try {
      const index = this.#upToDate(path, fd)
      return this.#read(fd, index, from, limit, level)
    } finally {
      this.#disk.close(fd)
    }
  }

  #open(path: string): number | null {
    try {
      return this.#disk.open(path, 'read')
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
  }

  #upToDate(path: string, fd: number): Index {
    const { dev, ino, size } = this.#disk.fstat(fd)
    const file = `${dev}:${ino}`
    const known = this.#indexes.get(path)
    const index = known?.file === file && known.end <= size ? known : { file, lines: 0, end: 0, marks: [0] }
    this.#count(fd, index, size)
    this.#indexes.delete(path)
    this.#indexes.set(path, index)
    for (const oldest of this.#indexes.keys()) {
      if (this.#indexes.size <= KEPT) break
      this.#indexes.delete(oldest)
    }
    return index
  }

  #count(fd: number, index: Index, size: number): void {
    const block = Buffer.allocUnsafe(Math.min(BLOCK, size - index.end))
    for (let at = index.end; at < size;) {
      const got = readFully(this.#disk, fd, block, Math.min(block.length, size - at), at)
      if (got === 0) return
      const read = block.subarray(0, got)
      for (let i = read.indexOf(LINE_FEED); i >= 0; i = read.indexOf(LINE_FEED, i + 1)) {
        index.end = at + i + 1
        if (++index.lines % STRIDE === 0) index.marks.push(index.end)
      }
      at += got
    }
  }

  #read(fd: number, index: Index, from: number, limit: number, level: LogLevel): LogPage {
    const lines: LogLine[] = []
    if (from > index.lines) return { lines, next: from, total: index.lines }
    const mark = Math.floor((from - 1) / STRIDE)
    const begin = index.marks[mark] ?? 0
    let line = mark * STRIDE
    for (const { bytes, end } of this.#lines(fd, begin, index.end)) {
      line++
      if (line < from) continue
      if (levelOf(bytes) >= LOG_LEVELS[level]) lines.push(lineOf(line, bytes))
      if (lines.length === limit || end - begin > MOST_READ) break
    }
    return { lines, next: line + 1, total: index.lines }
  }

  /** The lines between two line starts, without their line feeds. */
  *#lines(fd: number, begin: number, end: number): Generator<{ bytes: Buffer; end: number }> {
    let rest: Buffer = Buffer.alloc(0)
    for (let at = begin; at < end;) {
      const block = Buffer.allocUnsafe(Math.min(BLOCK, end - at))
      const got = readFully(this.#disk, fd, block, block.length, at)
      if (got === 0) return
      at += got
      const read = Buffer.concat([rest, block.subarray(0, got)])
      let done = 0
      for (let i = read.indexOf(LINE_FEED); i >= 0; i = read.indexOf(LINE_FEED, done)) {
        yield { bytes: read.subarray(done, i), end: at - (read.length - i - 1) }
        done = i + 1
      }
      rest = read.subarray(done)
    }
  }
}
