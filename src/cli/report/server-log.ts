import { LOG_LEVEL_NAMES, levelName, type LogLevel } from '../../lib/log-level.ts'
import { createLogger, type Logger } from '../../lib/logger.ts'
import type { Redactor } from '../../lib/redact.ts'
import { UsageError } from '../failure.ts'
import { printable, time } from '../format.ts'
import type { Io } from '../io.ts'

/** The server's own log, on stderr: JSON lines, or text where somebody sits in front of it. */
export function serverLog(io: Io, settings: { level: LogLevel }, redactor: Redactor): Logger {
  const { stderr, clock } = io
  const level = levelOf(io.env['RATCHET_LOG']) ?? settings.level
  const write = (line: string): void => void stderr.write(stderr.isTTY === true ? textOf(line) : line)
  return createLogger({ clock, redactor, level, write })
}

function levelOf(text: string | undefined): LogLevel | undefined {
  if (text === undefined || text === '') return undefined
  const found = LOG_LEVEL_NAMES.find((name) => name === text)
  if (found === undefined) throw new UsageError(`RATCHET_LOG is none of ${LOG_LEVEL_NAMES.join(', ')}`)
  return found
}

function textOf(line: string): string {
  const { time: at, level, msg, stack, ...facts } = JSON.parse(line) as Record<string, unknown>
  const more = Object.entries(facts).map(([name, value]) => `${name}=${String(value)}`)
  const text = `${time(Number(at))} ${levelName(Number(level)).padEnd(5)} ${[msg, ...more].join(' ')}`
  const trace = typeof stack === 'string' ? stack.split('\n').map((entry) => `    ${printable(entry.trim())}\n`) : []
  return `${printable(text)}\n${trace.join('')}`
}
