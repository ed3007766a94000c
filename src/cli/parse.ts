import { InvalidArgumentError } from 'commander'

/**
 * Values of options, read strictly: what cannot be understood is a usage error that names the
 * allowed forms, never a guess.
 */

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tib: 1024 ** 4,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
}

/** Shown in the help of every option that takes a size. */
export const SIZE_HELP = 'K, M, G, T (or KiB …) count in 1024s, KB, MB, GB, TB in 1000s; a bare number is bytes'

/** `100M`, `1.5G`, `64KiB`, `500MB`, `4096` → bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const unit = UNITS[match?.[2]?.toLowerCase() ?? '?']
  if (match?.[1] === undefined || unit === undefined) {
    throw new InvalidArgumentError(`Not a size; write for example 100M, 1.5G or 4096 (${SIZE_HELP}).`)
  }
  const bytes = Math.round(Number(match[1]) * unit)
  if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError('The size is too large.')
  return bytes
}

/** `auto`, `always`, or a size. */
export const parseDeflate = (text: string): 'auto' | 'always' | number =>
  text === 'auto' || text === 'always' ? text : parseSize(text)

const DURATIONS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 }

/** `2s`, `500ms`, `1.5s`, `2m` → milliseconds. A unit is demanded: nobody agrees what a bare number means. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/i.exec(text.trim())
  const unit = DURATIONS[match?.[2]?.toLowerCase() ?? '?']
  if (match?.[1] === undefined || unit === undefined) {
    throw new InvalidArgumentError('Not a duration; write a number with a unit, for example 500ms, 2s or 1m.')
  }
  return Math.round(Number(match[1]) * unit)
}

/** A slice: at least 10 ms, at most an hour. */
export function parseSlice(text: string): number {
  const ms = parseDuration(text)
  if (ms < 10 || ms > 3_600_000) throw new InvalidArgumentError('A slice lasts between 10ms and 1h.')
  return ms
}

/** A date (local midnight) or a date with a time, as ISO 8601 has them → milliseconds since 1970. */
export function parseTime(text: string): number {
  const date = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const known = date || /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?$/.test(text)
  const ms = known ? Date.parse(date ? `${text}T00:00` : text) : Number.NaN
  if (Number.isNaN(ms))
    throw new InvalidArgumentError('Not a time; write for example 2026-06-29 or 2026-06-29T12:00:00Z.')
  return ms
}

/** Whole numbers within bounds. */
export function parseInteger(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Not a whole number between ${min} and ${max}.`)
    }
    return value
  }
}

export const parseCount = parseInteger(0, Number.MAX_SAFE_INTEGER)
export const parsePositive = parseInteger(1, Number.MAX_SAFE_INTEGER)

/** One of a few words. */
export function parseWord<W extends string>(words: readonly W[]): (text: string) => W {
  return (text) => {
    const found = words.find((word) => word === text)
    if (found === undefined) throw new InvalidArgumentError(`Must be one of ${words.join(', ')}.`)
    return found
  }
}

/** Options that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

/** A job, by its number or by its id. */
export type JobRef = number | string

/** Digits are a number; anything else in an id's alphabet is an id. */
export function parseRef(text: string): JobRef {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(text)) return text
  throw new InvalidArgumentError('Neither the number nor the id of a job; "ratchet list" shows both.')
}

/** Several of them. */
export function collectRefs(text: string, before: JobRef[] | undefined): JobRef[] {
  return [...(before ?? []), parseRef(text)]
}

const JOB_ID = /^\d{8}-\d{6}-\d{6,15}$/

/** `ID|ARCHIVE`: digits or the form of an id name a backup, everything else is a path (`./12` for a file named 12). */
export function parseArchive(text: string): { ref: JobRef } | { path: string } {
  if (/^\d{1,15}$/.test(text)) return { ref: Number(text) }
  if (JOB_ID.test(text)) return { ref: text }
  if (text === '') throw new InvalidArgumentError('Neither a backup nor the path of an archive.')
  return { path: text }
}
