import { levelName, LOG_LEVELS } from '../lib/log-level.ts'
import { Redactor } from '../lib/redact.ts'
import type { LogLine } from './services.ts'

/** How pino begins a line: enough to pass over those that are not asked for. */
const BEGIN = /^\{"level":(\d{1,3}),/

/** Of a line as it lies in the file; what is not one of ours counts as a warning. */
export function levelOf(bytes: Buffer): number {
  const found = BEGIN.exec(bytes.toString('latin1', 0, 16))
  return found === null ? LOG_LEVELS.warn : Number(found[1])
}

/** Of a damaged line; it may be anything, so secrets are looked for once more. Characters. */
const SHOWN = 2_000
const redactor = new Redactor()

/** What a line of the file says. It never throws: a damaged one is shown as it is. */
export function lineOf(line: number, bytes: Buffer): LogLine {
  const raw = parsed(bytes)
  if (raw === null) {
    const message = redactor.text(bytes.toString('utf8', 0, 4 * SHOWN)).slice(0, SHOWN)
    return { line, time: 0, level: 'warn', message, damaged: true }
  }
  const { time, level, msg, step, stage, domain, code, path, stack } = raw
  return {
    line,
    time,
    level: levelName(level),
    message: msg,
    ...(typeof step === 'number' ? { step } : {}),
    ...texts({ stage, domain, code, path, stack }),
  }
}

interface RawLine extends Record<string, unknown> {
  time: number
  level: number
  msg: string
}

function parsed(bytes: Buffer): RawLine | null {
  try {
    const raw: unknown = JSON.parse(bytes.toString('utf8'))
    return isLine(raw) ? raw : null
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return null
  }
}

function isLine(raw: unknown): raw is RawLine {
  if (typeof raw !== 'object' || raw === null) return false
  const { time, level, msg } = raw as Record<string, unknown>
  return Number.isFinite(time) && Number.isFinite(level) && typeof msg === 'string'
}

/** Those members that are texts. */
function texts<K extends string>(members: Record<K, unknown>): Partial<Record<K, string>> {
  const found = Object.entries(members).filter(([, value]) => typeof value === 'string')
  return Object.fromEntries(found) as Partial<Record<K, string>>
}
