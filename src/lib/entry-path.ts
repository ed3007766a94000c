import { isUtf8 } from 'node:buffer'

/**
 * A name as the file system knows it: raw bytes. Text is for display and for formats that need it.
 *
 * Formats that hold UTF-8 text get a reversible escape: each byte that is not part of valid UTF-8,
 * each backslash (a separator elsewhere) and each byte of U+FFFD itself becomes U+FFFD followed by
 * two upper-case hex digits. No two different names share an escape, since a name that holds U+FFFD
 * of its own is escaped as well.
 */
const MARK = '\uFFFD'
const NEEDS_ESCAPE = /[\\\uFFFD]/

/** The text, or null if it is not UTF-8: then the caller escapes byte by byte. */
function decode(bytes: Uint8Array): string | null {
  if (!isUtf8(bytes)) return null
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

/** Length of the valid UTF-8 sequence at `at`, or 0. */
function sequence(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0
  if (length === 0 || at + length > bytes.length) return 0
  return decode(bytes.subarray(at, at + length)) === null ? 0 : length
}

const hex = (byte: number): string => MARK + byte.toString(16).toUpperCase().padStart(2, '0')

/** Text for a format: the name itself where it is plain UTF-8, else escaped. */
export function escapeName(bytes: Uint8Array): string {
  const text = decode(bytes)
  if (text !== null && !NEEDS_ESCAPE.test(text)) return text
  let out = ''
  for (let at = 0; at < bytes.length;) {
    const length = sequence(bytes, at)
    const piece = length === 0 ? MARK : (decode(bytes.subarray(at, at + length)) ?? MARK)
    const span = Math.max(1, length)
    if (NEEDS_ESCAPE.test(piece)) for (let i = 0; i < span; i++) out += hex(bytes[at + i] ?? 0)
    else out += piece
    at += span
  }
  return out
}

/**
 * The bytes behind an escaped name. Text that `escapeName` would not have written is taken as it is:
 * a foreign archive cannot hide a slash or a second spelling of a name behind a U+FFFD.
 */
export function unescapeName(text: string): Buffer {
  const plain = Buffer.from(text, 'utf8')
  if (!text.includes(MARK)) return plain
  const bytes = decodeEscapes(text)
  return escapeName(bytes) === text ? bytes : plain
}

function decodeEscapes(text: string): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (const match of text.matchAll(/\uFFFD([0-9A-F]{2})/g)) {
    parts.push(Buffer.from(text.slice(at, match.index), 'utf8'), Buffer.from(match[1] ?? '', 'hex'))
    at = match.index + match[0].length
  }
  parts.push(Buffer.from(text.slice(at), 'utf8'))
  return Buffer.concat(parts)
}

/** A name in a JSON record: readable where it can be, `b64:` where not. Lossless. */
export function nameToJson(bytes: Uint8Array): string {
  const text = decode(bytes)
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (text !== null && !text.startsWith('b64:') && !/[\u0000-\u001f]/.test(text)) return text
  return `b64:${Buffer.from(bytes).toString('base64')}`
}

export function nameFromJson(text: string): Buffer {
  return text.startsWith('b64:') ? Buffer.from(text.slice(4), 'base64') : Buffer.from(text, 'utf8')
}

/** For logs and progress: one line, control and bidirectional characters visible, at most `max` characters. */
export function displayName(bytes: Uint8Array, max = 300): string {
  const text = escapeName(bytes).replace(
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  if (text.length <= max) return text
  const end = text.slice(text.length - max + 1)
  return `…${/^[\udc00-\udfff]/.test(end) ? end.slice(1) : end}` // never half of a surrogate pair
}
