import zlib from 'node:zlib'
import { displayName, escapeName, unescapeName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import { EXTRA_UNICODE_PATH, FLAG_UTF8, findExtra } from './zip-records.ts'

/** A name as stored, turned into path bytes; `refused` says why it must not be used. */
export interface DecodedName {
  readonly path: Buffer
  readonly refused?: BackupError
}

/** The upper half of code page 437, in order from 0x80. */
const CP437 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0'
const BACKSLASH = 0x5c
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function fromCp437(bytes: Buffer): Buffer {
  let text = ''
  for (const byte of bytes) text += byte < 0x80 ? String.fromCharCode(byte) : (CP437[byte - 0x80] ?? '?')
  return Buffer.from(text, 'utf8')
}

/** Info-ZIP's Unicode path, which counts only if it was made for exactly this header name (its CRC says so). */
function unicodePath(name: Buffer, extra: Buffer): Buffer | null {
  const field = findExtra(extra, EXTRA_UNICODE_PATH)
  if (field === null || field.length < 6 || field[0] !== 1) return null
  return field.readUInt32LE(1) === zlib.crc32(name) ? field.subarray(5) : null
}

/**
 * UTF-8 text to path bytes. Only what `escapeName` itself would have written is taken for an escape, so
 * that no crafted name can smuggle a slash or a dot through it.
 */
function fromUtf8(bytes: Buffer): DecodedName {
  let text: string
  try {
    text = strict.decode(bytes)
  } catch (error) {
    return refuse(bytes, 'the name is marked as UTF-8 and is not', error)
  }
  const path = unescapeName(text)
  return { path: escapeName(path) === text ? path : bytes }
}

function refuse(path: Buffer, why: string, cause?: unknown): DecodedName {
  const message = `entry ${displayName(path)}: ${why}`
  return { path, refused: new BackupError('ENTRY_REFUSED', message, cause === undefined ? {} : { cause }) }
}

/**
 * Path bytes of a stored name. `unixHost`: made on a system whose names are plain bytes; other names
 * without the UTF-8 flag are code page 437.
 */
export function decodeName(name: Buffer, flags: number, extra: Buffer, unixHost: boolean): DecodedName {
  const plain = isPlain(name)
  if (plain) return { path: name }
  if (name.includes(BACKSLASH)) return refuse(name, 'a backslash in a stored name is a separator on some systems')
  if ((flags & FLAG_UTF8) !== 0) return fromUtf8(name)
  const unicode = unicodePath(name, extra)
  if (unicode?.includes(BACKSLASH) === true) return refuse(name, 'its Unicode name holds a backslash')
  if (unicode !== null) return fromUtf8(Buffer.from(unicode))
  return { path: unixHost ? name : fromCp437(name) }
}

/** ASCII without backslash: nothing to decode. */
function isPlain(name: Buffer): boolean {
  for (let i = 0; i < name.length; i++) {
    const byte = name[i] ?? 0
    if (byte >= 0x80 || byte === BACKSLASH) return false
  }
  return true
}
