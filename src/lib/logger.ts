import { pino } from 'pino'
import type { Clock } from './clock.ts'
import { LOG_LEVELS, type LogLevel } from './log-level.ts'
import { Redactor } from './redact.ts'
import { isSecretName, REDACTED } from './secret-patterns.ts'

/** Facts of a line, beside its text. Undefined ones are left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>

export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void
}

export interface LoggerOptions {
  readonly clock: Clock
  /** Takes one line with its line feed: JSON as pino writes it, free of secrets. */
  readonly write: (line: string) => void
  readonly redactor?: Redactor
  /** Graver ones and this are written; default: all. */
  readonly level?: LogLevel
  /** Members that every line has. */
  readonly base?: LogFields
  /** The same, asked for at each line. */
  readonly where?: () => LogFields
}

/** Looked through for secrets before it is cut, so that no half of one is left. Characters. */
const LOOKED_AT = 16_384
const LONGEST = 2_000
/** A stack says more at its end than a message does. */
const LONGEST_STACK = 6_000

/** The only place that makes log lines: whatever goes into a log goes past the redactor. */
export function createLogger(options: LoggerOptions): Logger {
  const { clock, write, redactor = new Redactor(), where = () => ({}) } = options
  const lines = pino(
    {
      level: options.level ?? 'debug',
      base: clean(redactor, options.base ?? {}),
      timestamp: () => `,"time":${clock.wall()}`,
    },
    { write },
  )
  return {
    log(level, message, fields = {}) {
      if (LOG_LEVELS[level] < lines.levelVal) return
      // As an object alone: pino would take per cent signs in a message for a format.
      lines[level]({ ...clean(redactor, { ...where(), ...fields }), msg: shortened(redactor, message, LONGEST) })
    },
  }
}

/** A member whose name says that it holds a secret loses its value whatever that is. */
function clean(redactor: Redactor, fields: LogFields): Record<string, unknown> {
  const cleaned = Object.entries(fields).map(([name, value]) => {
    if (isSecretName(name)) return [name, REDACTED]
    if (typeof value !== 'string') return [name, value]
    return [name, shortened(redactor, value, name === 'stack' ? LONGEST_STACK : LONGEST)]
  })
  return Object.fromEntries(cleaned) as Record<string, unknown>
}

function shortened(redactor: Redactor, text: string, longest: number): string {
  const shown = redactor.text(text.slice(0, LOOKED_AT))
  return shown.length <= longest ? shown : `${shown.slice(0, longest - 1)}…`
}
