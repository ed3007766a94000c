/** Numbers, times and foreign text for people. */

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `30.2 MiB`. */
export function size(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1023.95 && unit < SIZES.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? String(Math.round(value)) : value.toFixed(1)} ${SIZES[unit] ?? 'B'}`
}

/** `1,234`. */
export function count(value: number, one?: string, many = `${one ?? ''}s`): string {
  const text = String(value).replace(/\B(?=(\d{3})+$)/g, ',')
  return one === undefined ? text : `${text} ${value === 1 ? one : many}`
}

/** `0.4 s`, `35 s`, `2:05 min`, `1:02:03 h`. */
export function duration(ms: number): string {
  if (ms < 9950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  const two = (value: number): string => String(value).padStart(2, '0')
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)} h`
}

/** Local time to the second, `2026-06-29 12:10:45`. */
export function time(ms: number): string {
  const at = new Date(ms)
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

/** ISO 8601 in UTC, for programs. */
export const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

/**
 * Text that others chose (names, descriptions, messages with names in them), as one harmless line:
 * control and bidirectional characters could move the cursor, retitle the window or forge a line.
 */
export function printable(text: string): string {
  return text.replace(
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** At most `max` characters, the end kept: the end of a path tells more. */
export function tail(text: string, max: number): string {
  if (max <= 0) return ''
  return text.length <= max ? text : `…${text.slice(text.length - max + 1)}`
}

/** A word of a command line that a shell takes as it stands. */
export function shellWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** Columns separated by two blanks; `right` names those aligned to the right. */
export function table(rows: readonly (readonly string[])[], right: ReadonlySet<number>): string[] {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)))
  return rows.map((row) =>
    row
      .map((cell, i) => (right.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
