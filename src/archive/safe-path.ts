import { displayName } from '../lib/entry-path.ts'
import { BackupError } from '../lib/errors.ts'
import type { ArchiveEntry } from './format.ts'

/** Names that mean a device on Windows, with any extension. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const WINDOWS_FORBIDDEN = /[\u0000-\u001f<>:"|?*\\]/
const DRIVE = /^[A-Za-z]:/
const SEGMENT_MAX = 255

function segments(path: Buffer): Buffer[] {
  const found: Buffer[] = []
  let from = 0
  for (let to = path.indexOf(0x2f); to !== -1; to = path.indexOf(0x2f, from)) {
    found.push(path.subarray(from, to))
    from = to + 1
  }
  found.push(path.subarray(from))
  return found
}

function segmentFault(segment: Buffer, windows: boolean): string | null {
  if (segment.length === 0) return 'it has an empty part'
  if (segment.length > SEGMENT_MAX) return `a part of it is longer than ${SEGMENT_MAX} bytes`
  const text = segment.toString('latin1')
  if (text === '.' || text === '..') return `it has a part "${text}"`
  if (text.includes('\0')) return 'it holds a NUL'
  return windows ? windowsFault(segment.toString('utf8')) : null
}

function windowsFault(text: string): string | null {
  if (WINDOWS_FORBIDDEN.test(text)) return 'it holds a character Windows does not allow'
  if (/[. ]$/.test(text)) return 'a part of it ends in a dot or space'
  return DEVICE.test(text) ? 'a part of it is the name of a device' : null
}

function pathFault(path: Buffer, parts: readonly Buffer[], windows: boolean): string | null {
  if (path.length === 0) return 'it is empty'
  if (path[0] === 0x2f) return 'it is absolute'
  if (DRIVE.test(path.subarray(0, 2).toString('latin1'))) return 'it begins with a drive letter'
  for (const part of parts) {
    const fault = segmentFault(part, windows)
    if (fault !== null) return fault
  }
  return null
}

/**
 * The segments of an entry's path, proven to stay below the folder they are applied to. ENTRY_REFUSED
 * for anything else; nothing is cleaned. A backslash in these bytes is part of a POSIX name (a reader
 * refuses raw ones in stored text before), and refused on Windows.
 */
export function checkEntryPath(path: Buffer, platform: NodeJS.Platform = process.platform): Buffer[] {
  const parts = segments(path)
  const fault = pathFault(path, parts, platform === 'win32')
  if (fault !== null) throw new BackupError('ENTRY_REFUSED', `the path ${displayName(path)} is refused: ${fault}`)
  return parts
}

/** The same for an entry, with what its reader has against it. */
export function checkEntry(entry: ArchiveEntry, platform: NodeJS.Platform = process.platform): Buffer[] {
  if (entry.refused !== undefined) throw entry.refused
  return checkEntryPath(entry.path, platform)
}
