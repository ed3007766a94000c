import { BackupError } from '../lib/errors.ts'
import { databaseFacts, type DatabaseFacts } from '../lib/database-facts.ts'
import { nameFromJson, nameToJson } from '../lib/entry-path.ts'

/**
 * `installation/manifest.jsonl`: one JSON object per line, in the archive's order. It holds what a
 * format cannot: digests, nanoseconds, owners, extended attributes, and what was left out and why.
 *
 * `p` path (`nameToJson`) · `t` type · `s` size · `m` mtime, ns since 1970 as decimal text · `mode`
 * full st_mode · `u`, `g` owner · `d` digest · `x` extended attributes, base64 by name · `i` group of
 * hard links · `q` the table whose rows the file holds as SQL, and how many end in it · `b` the database that the file is a consistent copy of (`DatabaseFacts`) · `l` where a symlink points to
 * (as `p`; archives of earlier releases have none) · `o` reason why the path is not in the archive (then only `p` and
 * `o` are there).
 */
export const MANIFEST_FOLDER = 'installation'
export const MANIFEST_NAME = `${MANIFEST_FOLDER}/manifest.jsonl`
/**
 * Lines of the same kind for our own entries, in the archive's order: the manifest does not list them, and cannot tell
 * its own digest. Only in archives whose format holds no checksum; then the last entry.
 */
export const SEAL_NAME = `${MANIFEST_FOLDER}/seal.jsonl`
export const SCRIPT_NAME = `${MANIFEST_FOLDER}/restore.mjs`
export const README_NAME = `${MANIFEST_FOLDER}/README.txt`
export const SUMMARY_NAME = `${MANIFEST_FOLDER}/manifest.json`

export interface ManifestEntry {
  readonly path: Buffer
  readonly type: 'file' | 'dir' | 'symlink'
  readonly size: number
  readonly mtimeNs: bigint
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** `sha256:<hex>` up to 16 MiB; `sha256-1m:<hex>` above: SHA-256 over the SHA-256s of its 1 MiB blocks. */
  readonly digest: string | null
  readonly xattrs?: Readonly<Record<string, string>>
  /** `dev:ino` of a file with several names. */
  readonly group?: string
  readonly database?: DatabaseFacts
  readonly rows?: TableRows
  /** Target of a symlink. */
  readonly link?: Buffer
}

export interface TableRows {
  readonly table: string
  readonly count: number
}

export interface ManifestOmission {
  readonly path: Buffer
  /** An `OmitReason` of the source. */
  readonly omitted: string
}

export type ManifestLine = ManifestEntry | ManifestOmission

export const isOmission = (line: ManifestLine): line is ManifestOmission => 'omitted' in line

/** One line, without the line feed. */
export function encodeManifestLine(line: ManifestLine): string {
  if (isOmission(line)) return JSON.stringify({ p: nameToJson(line.path), o: line.omitted })
  return JSON.stringify({
    p: nameToJson(line.path),
    t: line.type,
    s: line.size,
    m: String(line.mtimeNs),
    mode: line.mode,
    u: line.uid,
    g: line.gid,
    ...(line.digest === null ? {} : { d: line.digest }),
    ...(line.xattrs === undefined ? {} : { x: line.xattrs }),
    ...(line.group === undefined ? {} : { i: line.group }),
    ...(line.database === undefined ? {} : { b: line.database }),
    ...(line.rows === undefined ? {} : { q: line.rows }),
    ...(line.link === undefined ? {} : { l: nameToJson(line.link) }),
  })
}

/** Throws ARCHIVE_DAMAGED for anything that `encodeManifestLine` would not write. */
export function decodeManifestLine(text: string): ManifestLine {
  const raw = parse(text)
  const p = raw['p']
  if (typeof p !== 'string' || p === '') throw bad('no path', text)
  const path = nameFromJson(p)
  const omitted = raw['o']
  if (typeof omitted === 'string') return { path, omitted }
  const type = raw['t']
  if (type !== 'file' && type !== 'dir' && type !== 'symlink') throw bad('unknown type', text)
  const xattrs = raw['x'] === undefined ? undefined : attributes(raw['x'], text)
  const group = raw['i']
  if (group !== undefined && typeof group !== 'string') throw bad('bad group', text)
  const database = raw['b'] === undefined ? undefined : databaseFacts(raw['b'])
  if (database === null) throw bad('bad database', text)
  const link = raw['l']
  if (link !== undefined && typeof link !== 'string') throw bad('bad link', text)
  return {
    path,
    type,
    size: integer(raw['s'], Number.MAX_SAFE_INTEGER, text),
    mtimeNs: nanoseconds(raw['m'], text),
    mode: integer(raw['mode'], 0xffff, text),
    uid: integer(raw['u'], 0xffff_ffff, text),
    gid: integer(raw['g'], 0xffff_ffff, text),
    digest: digest(raw['d'], text),
    ...(xattrs === undefined ? {} : { xattrs }),
    ...(group === undefined ? {} : { group }),
    ...(database === undefined ? {} : { database }),
    ...(raw['q'] === undefined ? {} : { rows: tableRows(raw['q'], text) }),
    ...(link === undefined ? {} : { link: nameFromJson(link) }),
  }
}

function parse(text: string): Record<string, unknown> {
  let raw: unknown
  try {
    raw = JSON.parse(text)
  } catch (error) {
    throw bad(`not JSON (${error instanceof Error ? error.message : 'unknown'})`, text)
  }
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw bad('not an object', text)
  return raw as Record<string, unknown>
}

function integer(value: unknown, most: number, text: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > most) {
    throw bad('a number is missing or out of range', text)
  }
  return value
}

function nanoseconds(value: unknown, text: string): bigint {
  if (typeof value !== 'string' || !/^-?\d{1,25}$/.test(value)) throw bad('bad time', text)
  return BigInt(value)
}

function digest(value: unknown, text: string): string | null {
  if (value === undefined || value === null) return null
  if (typeof value !== 'string' || !/^sha256(-1m)?:[0-9a-f]{64}$/.test(value)) throw bad('bad digest', text)
  return value
}

function tableRows(value: unknown, text: string): TableRows {
  const { table, count } = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  if (typeof table !== 'string') throw bad('bad table', text)
  return { table, count: integer(count, Number.MAX_SAFE_INTEGER, text) }
}

function attributes(value: unknown, text: string): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('bad attributes', text)
  const found: Record<string, string> = Object.create(null) as Record<string, string>
  for (const [name, encoded] of Object.entries(value)) {
    if (name === '' || typeof encoded !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) {
      throw bad('bad attributes', text)
    }
    found[name] = encoded
  }
  return found
}

function bad(what: string, text: string): BackupError {
  const shown = JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 79)}…`)
  return new BackupError('ARCHIVE_DAMAGED', `the manifest holds a bad line (${what}): ${shown}`)
}
