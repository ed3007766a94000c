import { decodeManifestLine, isOmission, type ManifestEntry } from '../../archive/manifest.ts'
import type { AppendFile } from '../../lib/append-file.ts'
import { BackupError } from '../../lib/errors.ts'

const CHUNK = 256 << 10
/** A longer line is not ours. */
const LONGEST = 1 << 20
/** How far ahead a line is looked for when the one that is next belongs to another entry. */
const AHEAD = 1024
/** Entries without a line after which the manifest is not of this archive. */
const MOST_MISSES = 10_000

interface Line {
  readonly entry: ManifestEntry
  /** Offset of the byte after it. */
  readonly end: number
}

/**
 * Reads the manifest in step with the entries. In a whole archive each entry's line is simply the
 * next one. Where entries are missing, lines are skipped (and told to `onMissing`); an entry without a
 * line (our own files) gets null.
 */
export class ManifestCursor {
  readonly #file: AppendFile | null
  readonly #onMissing: (line: ManifestEntry) => void
  readonly #ahead: Line[] = []
  #buffer = Buffer.alloc(0)
  /** Offset of the buffer's first byte. */
  #from: number
  #misses: number
  #position: number
  #broken = false

  /** `file` null: there is no manifest. */
  constructor(file: AppendFile | null, from: number, misses: number, onMissing: (line: ManifestEntry) => void) {
    this.#file = file
    this.#from = from
    this.#position = from
    this.#misses = misses
    this.#onMissing = onMissing
  }

  /** Where the line after those used so far begins. */
  get position(): number {
    return this.#position
  }
  get misses(): number {
    return this.#misses
  }
  /** A line could not be read, or too many entries had none: nothing further is compared. */
  get broken(): boolean {
    return this.#broken
  }

  lineFor(path: Buffer): ManifestEntry | null {
    if (this.#file === null || this.#broken) return null
    for (let i = 0; i < AHEAD; i++) {
      const line = this.#ahead[i] ?? this.#fetch()
      if (line === null) break
      if (line.entry.path.equals(path)) return this.#take(i)
    }
    if (++this.#misses > MOST_MISSES) this.#broken = true
    return null
  }

  /** After the last entry: what the manifest lists beyond it is missing. False when nothing is left. */
  skip(): boolean {
    if (this.#file === null || this.#broken) return false
    const line = this.#ahead[0] ?? this.#fetch()
    if (line === null) return false
    this.#onMissing(line.entry)
    this.#take(0)
    return true
  }

  #take(index: number): ManifestEntry | null {
    const skipped = this.#ahead.splice(0, index + 1)
    const last = skipped.pop()
    for (const line of skipped) this.#onMissing(line.entry)
    if (last === undefined) return null
    this.#position = last.end
    return last.entry
  }

  /** Decodes the next line that is an entry's and queues it. */
  #fetch(): Line | null {
    for (;;) {
      const text = this.#nextText()
      if (text === null) return null
      const line = this.#decode(text)
      if (line === null) return null
      if (isOmission(line)) continue
      const found = { entry: line, end: this.#from }
      this.#ahead.push(found)
      return found
    }
  }

  #decode(text: string): ReturnType<typeof decodeManifestLine> | null {
    try {
      return decodeManifestLine(text)
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      this.#broken = true
      return null
    }
  }

  #nextText(): string | null {
    let end = this.#buffer.indexOf(0x0a)
    while (end < 0) {
      const at = this.#from + this.#buffer.length
      const more = this.#file?.read(at, Math.min(CHUNK, this.#file.length - at)) ?? Buffer.alloc(0)
      if (more.length === 0) break
      this.#buffer = Buffer.concat([this.#buffer, more])
      end = this.#buffer.indexOf(0x0a)
      if (end < 0 && this.#buffer.length > LONGEST) break
    }
    if (end < 0) {
      this.#broken ||= this.#buffer.length > 0
      return null
    }
    const text = this.#buffer.toString('utf8', 0, end)
    this.#buffer = this.#buffer.subarray(end + 1)
    this.#from += end + 1
    return text
  }
}
