import { createHash } from 'node:crypto'
import type { AuditEntry, AuditEvent } from '../engine/services.ts'

/** One line of `audit.jsonl`: JSON with the hash of the line before and its own. Pure. */

export const FIRST_PREV = '0'.repeat(64)
/** No line is longer: bytes, its newline included. */
export const MAX_LINE = 4_096

const KEYS = ['event', 'actor', 'face', 'address', 'object', 'result', 'request'] as const

/** Control and bidirectional characters could forge a line where somebody reads the file. */
const plain = (text: string): string =>
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  text.slice(0, 128).replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, '?')

const hashOf = (prev: string, body: string): string => createHash('sha256').update(`${prev}\n${body}`).digest('hex')

const bodyOf = (entry: Omit<AuditEntry, 'prev' | 'hash'>): string =>
  JSON.stringify([entry.seq, entry.time, ...KEYS.map((key) => entry[key])])

export function makeEntry(seq: number, time: number, prev: string, event: AuditEvent): AuditEntry {
  const texts = Object.fromEntries(KEYS.map((key) => [key, plain(event[key])])) as unknown as AuditEvent
  const entry = { seq, time, ...texts }
  return { ...entry, prev, hash: hashOf(prev, bodyOf(entry)) }
}

/** Always the same members in the same order, each once. */
export function encodeEntry(entry: AuditEntry): string {
  const texts = Object.fromEntries(KEYS.map((key) => [key, entry[key]]))
  return `${JSON.stringify({ seq: entry.seq, time: entry.time, ...texts, prev: entry.prev, hash: entry.hash })}\n`
}

/** The entry, or why the line is none. Whether it fits its neighbours is for the caller to see. */
export function decodeEntry(line: string): AuditEntry | string {
  let raw: unknown
  try {
    raw = JSON.parse(line)
  } catch {
    return 'is not JSON'
  }
  if (!isEntry(raw)) return 'is not an entry'
  if (encodeEntry(raw) !== `${line}\n`) return 'is not written as an entry is'
  return hashOf(raw.prev, bodyOf(raw)) === raw.hash ? raw : 'does not have the hash it names: it was changed'
}

function isEntry(raw: unknown): raw is AuditEntry {
  if (typeof raw !== 'object' || raw === null) return false
  const entry = raw as Record<string, unknown>
  const numbers = [entry['seq'], entry['time']].every((value) => typeof value === 'number')
  return numbers && [...KEYS, 'prev', 'hash'].every((key) => typeof entry[key] === 'string')
}
