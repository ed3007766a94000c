import { errnoOf } from '../lib/errors.ts'
import { readFileIfThere } from '../lib/durable-file.ts'
import { writeFully, type Disk } from '../lib/disk.ts'
import type { Clock } from '../lib/clock.ts'
import type { LogLine } from './services.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/**
 * The job's log: one JSON object a line. Lines are gathered and appended at each commit, and the
 * intent of a step before it starts, so that the reason of a death is known after it (R41).
 */
export class JobLog {
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #path: string
  #lines: string[] = []

  constructor(disk: Disk, clock: Clock, path: string) {
    this.#disk = disk
    this.#clock = clock
    this.#path = path
  }

  add(level: LogLevel, message: string): void {
    this.#lines.push(JSON.stringify({ time: this.#clock.wall(), level, message: message.slice(0, 2000) }))
  }

  /** Appends what was gathered. A log that cannot be written never stops a backup. */
  flush(): void {
    if (this.#lines.length === 0) return
    const bytes = Buffer.from(this.#lines.join('\n') + '\n', 'utf8')
    this.#lines = []
    try {
      const fd = this.#open()
      try {
        writeFully(this.#disk, fd, bytes, this.#disk.fstat(fd).size)
      } finally {
        this.#disk.close(fd)
      }
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
  }

  #open(): number {
    try {
      return this.#disk.open(this.#path, 'append')
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      this.#disk.close(this.#disk.open(this.#path, 'create'))
      return this.#disk.open(this.#path, 'append')
    }
  }
}

interface RawLine {
  time: number
  level: string
  message: string
}

function parseLine(text: string): RawLine {
  try {
    const raw: unknown = JSON.parse(text)
    if (typeof raw === 'object' && raw !== null && 'time' in raw && 'level' in raw && 'message' in raw) {
      return { time: Number(raw.time), level: String(raw.level), message: String(raw.message) }
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error // a torn line is shown as it is
  }
  return { time: 0, level: 'warn', message: text.slice(0, 2000) }
}

/** Lines `from` (1-based) onwards, at most `limit`. */
export function readLog(
  disk: Disk,
  path: string,
  from: number,
  limit: number,
): { lines: LogLine[]; next: number; total: number } {
  const text = readFileIfThere(disk, path)?.toString('utf8') ?? ''
  const all = text.split('\n').filter((line) => line !== '')
  const lines = all.slice(from - 1, from - 1 + limit).map((line, i) => ({ line: from + i, ...parseLine(line) }))
  return { lines, next: from + lines.length, total: all.length }
}
