import fs from 'node:fs'
import { Fatal } from './parts.ts'

/** What the manifest (`installation/manifest.jsonl`) says of one entry; the fields are those of its lines. */
export interface Line {
  readonly name: Buffer
  readonly mode: number
  readonly mtimeNs: bigint
  readonly uid: number
  readonly gid: number
  /** `sha256:<hex>`, `sha256-1m:<hex>` (over the digests of its blocks of 1 MiB), or null. */
  readonly digest: string | null
  /** Names of one file share it. */
  readonly group: string | null
  readonly xattrs: boolean
}

const CHUNK = 256 << 10
/** No line is longer: names and extended attributes have their limits. Bytes. */
const LONGEST_LINE = 16 << 20
/** How far ahead a line is looked for when the next one belongs to another entry. */
const AHEAD = 1024

/** The manifest's lines in step with the entries: both come in the archive's order. */
export class Lines {
  readonly #fd: number
  readonly #ahead: Line[] = []
  readonly #missing: (line: Line) => void
  #buffer: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(file: string, missing: (line: Line) => void) {
    this.#fd = fs.openSync(file, 'r')
    this.#missing = missing
  }

  /** The entry's line, or null; lines before it belong to entries that the archive lacks. */
  lineFor(name: Buffer): Line | null {
    for (let i = 0; i < AHEAD; i++) {
      const line = this.#ahead[i] ?? this.#next(true)
      if (line === null) return null
      if (!line.name.equals(name)) continue
      for (const skipped of this.#ahead.splice(0, i + 1)) if (skipped !== line) this.#missing(skipped)
      return line
    }
    return null
  }

  /** After the last entry: what is listed beyond it is missing. */
  end(): void {
    for (const line of this.#ahead.splice(0)) this.#missing(line)
    for (let line = this.#next(false); line !== null; line = this.#next(false)) this.#missing(line)
  }

  close(): void {
    fs.closeSync(this.#fd)
  }

  #next(queue: boolean): Line | null {
    for (let text = this.#text(); text !== null; text = this.#text()) {
      const line = decodeLine(text)
      if (line === null) continue
      if (queue) this.#ahead.push(line)
      return line
    }
    return null
  }

  #text(): string | null {
    let end = this.#buffer.indexOf(10)
    while (end < 0) {
      const more = Buffer.allocUnsafe(CHUNK)
      const got = fs.readSync(this.#fd, more, 0, CHUNK, this.#at)
      if (got === 0) return null
      if (this.#buffer.length > LONGEST_LINE) throw unreadable()
      this.#at += got
      this.#buffer = Buffer.concat([this.#buffer, more.subarray(0, got)])
      end = this.#buffer.indexOf(10)
    }
    const text = this.#buffer.toString('utf8', 0, end)
    this.#buffer = this.#buffer.subarray(end + 1)
    return text
  }
}

/** Null for a line that is no entry's: what was left out of the backup. */
export function decodeLine(text: string): Line | null {
  const raw = objectIn(text)
  const { p, o, m, d, i, x } = raw
  if (typeof p !== 'string' || typeof o === 'string') return null
  const number = (value: unknown): number => (typeof value === 'number' ? value : 0)
  return {
    name: p.startsWith('b64:') ? Buffer.from(p.slice(4), 'base64') : Buffer.from(p, 'utf8'),
    mode: number(raw['mode']) & 0o7777,
    mtimeNs: typeof m === 'string' && /^-?\d{1,25}$/.test(m) ? BigInt(m) : 0n,
    uid: number(raw['u']),
    gid: number(raw['g']),
    digest: typeof d === 'string' ? d : null,
    group: typeof i === 'string' ? i : null,
    xattrs: typeof x === 'object' && x !== null,
  }
}

const unreadable = (): Fatal =>
  new Fatal('the list of files in the archive (its manifest, or the seal of it) is damaged')

function objectIn(text: string): Record<string, unknown> {
  try {
    const raw: unknown = JSON.parse(text)
    if (typeof raw === 'object' && raw !== null) return raw as Record<string, unknown>
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw unreadable()
}
