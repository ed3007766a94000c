import { isUtf8 } from 'node:buffer'

/**
 * Names as bytes. Formats hold UTF-8; what is not UTF-8 was written as U+FFFD and two hexadecimal digits a byte,
 * which is undone here, and only where it is exactly what the program that wrote the archive would have written.
 */
const REPLACEMENT = '\uFFFD'

const shown = (byte: number): string => REPLACEMENT + byte.toString(16).toUpperCase().padStart(2, '0')

/** Length of the valid UTF-8 sequence at `at`, or 0. */
function utf8At(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0
  return length > 0 && at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0
}

function escaped(bytes: Buffer): string {
  let out = ''
  for (let at = 0; at < bytes.length;) {
    const length = utf8At(bytes, at)
    const piece = length === 0 ? REPLACEMENT : bytes.toString('utf8', at, at + length)
    const span = Math.max(1, length)
    if (piece === REPLACEMENT || piece === '\\') for (let i = 0; i < span; i++) out += shown(bytes[at + i] ?? 0)
    else out += piece
    at += span
  }
  return out
}

/** The bytes behind a stored name; null if it must not be used: not UTF-8, or a raw backslash. */
export function nameBytes(stored: Buffer): Buffer | null {
  if (stored.includes(0x5c) || !isUtf8(stored)) return null
  const text = stored.toString('utf8')
  if (!text.includes(REPLACEMENT)) return Buffer.from(stored)
  const pieces: Buffer[] = []
  let at = 0
  for (const match of text.matchAll(/\uFFFD([0-9A-F]{2})/g)) {
    pieces.push(Buffer.from(text.slice(at, match.index), 'utf8'), Buffer.from(match[1] ?? '', 'hex'))
    at = match.index + match[0].length
  }
  pieces.push(Buffer.from(text.slice(at), 'utf8'))
  const bytes = Buffer.concat(pieces)
  return escaped(bytes) === text ? bytes : Buffer.from(stored)
}

/** A name in one line of text for people. */
export function printable(name: Buffer): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return escaped(name).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (c) => {
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

const WINDOWS_DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(\.|$)/i

/** Why a path must not be written below the target; null if it may. */
export function pathFault(name: Buffer, windows: boolean): string | null {
  const text = name.toString('latin1')
  if (text === '') return 'its name is empty'
  if (text.startsWith('/')) return 'its name is absolute'
  if (/^[A-Za-z]:/.test(text)) return 'its name begins with a drive letter'
  if (text.includes('\0')) return 'its name holds a NUL'
  for (const part of text.split('/')) {
    if (part === '' || part === '.' || part === '..') return 'its name leads out of the target'
    if (part.length > 255) return 'a part of its name is longer than 255 bytes'
    if (!windows) continue
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    const forbidden = /[\u0000-\u001f<>:"|?*\\]|[. ]$/.test(part) || WINDOWS_DEVICE.test(part)
    if (forbidden) return 'Windows does not allow its name'
  }
  return null
}
