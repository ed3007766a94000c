import type { Clock } from '../lib/clock.ts'
import { writeFully, type Disk } from '../lib/disk.ts'
import { errnoOf } from '../lib/errors.ts'
import { LOG_LEVELS, type LogLevel } from '../lib/log-level.ts'
import { createLogger, type LogFields, type Logger } from '../lib/logger.ts'
import type { Redactor } from '../lib/redact.ts'

/** From this size on only errors are logged. Bytes. */
export const LOG_LIMIT = 32 << 20
/** Room for them. */
const ERRORS_ROOM = 1 << 20

export interface JobLogOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly path: string
  readonly job: number
  /** Step, stage and domain at that moment. */
  readonly where: () => LogFields
  readonly redactor?: Redactor
  readonly limit?: number
}

interface Line {
  level: LogLevel
  text: string
}

/**
 * The job's log: one JSON object a line, in pino's shape. Lines are gathered and appended at each commit, and the
 * intent of a step before it starts, so that the reason of a death is known after it (R41). Nothing is ever read from
 * it but what people want to see, so it is not synced, and a line that a death tore is left as it is.
 */
export class JobLog {
  readonly #options: JobLogOptions
  readonly #limit: number
  readonly #logger: Logger
  #level: LogLevel = 'info'
  #lines: Line[] = []
  /** Whether the file is known to end with a whole line. */
  #whole = false

  constructor(options: JobLogOptions) {
    this.#options = options
    this.#limit = options.limit ?? LOG_LIMIT
    const { clock, where, redactor } = options
    this.#logger = createLogger({
      clock,
      where,
      base: { job: options.job },
      write: (text) => void this.#lines.push({ level: this.#level, text }),
      ...(redactor === undefined ? {} : { redactor }),
    })
  }

  add(level: LogLevel, message: string, fields?: LogFields): void {
    this.#level = level
    this.#logger.log(level, message, fields)
  }

  /** Appends what was gathered. A log that cannot be written never stops a backup. */
  flush(): void {
    if (this.#lines.length === 0) return
    try {
      this.#append()
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    } finally {
      this.#lines = []
    }
  }

  #append(): void {
    const { disk } = this.#options
    const fd = this.#open()
    try {
      const { size } = disk.fstat(fd)
      const text = this.#fitting(size)
      if (text === '') return
      const torn = !this.#whole && size > 0 && !endsWhole(disk, this.#options.path, size)
      this.#whole = false
      writeFully(disk, fd, Buffer.from(torn ? `\n${text}` : text, 'utf8'), size)
      this.#whole = true
    } finally {
      disk.close(fd)
    }
  }

  /** What still has room. The line that reaches the limit is followed by one that says so: a log must not fill the disk. */
  #fitting(size: number): string {
    const fitting: string[] = []
    let end = size
    const take = (text: string): void => {
      fitting.push(text)
      end += Buffer.byteLength(text)
    }
    for (let i = 0; i < this.#lines.length; i++) {
      const { level, text } = this.#lines[i] as Line
      const full = end >= this.#limit
      if (full && (LOG_LEVELS[level] < LOG_LEVELS.error || end >= this.#limit + ERRORS_ROOM)) continue
      take(text)
      if (full || end < this.#limit) continue
      this.add('warn', `the log has reached ${this.#limit} bytes: from here on it tells of errors only`)
      take(this.#lines.pop()?.text ?? '')
    }
    return fitting.join('')
  }

  #open(): number {
    const { disk, path } = this.#options
    try {
      return disk.open(path, 'append')
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      disk.close(disk.open(path, 'create'))
      return disk.open(path, 'append')
    }
  }
}

const LINE_FEED = 10

/** Whether a death left half a line at the end. */
function endsWhole(disk: Disk, path: string, size: number): boolean {
  const fd = disk.open(path, 'read')
  try {
    const last = Buffer.alloc(1)
    return disk.read(fd, last, 0, 1, size - 1) === 1 && last[0] === LINE_FEED
  } finally {
    disk.close(fd)
  }
}
