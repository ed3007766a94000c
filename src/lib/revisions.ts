import { createHash, randomBytes } from 'node:crypto'
import path from 'node:path'
import { createFileOnce, readFileIfThere, removeIfThere, syncFolder } from './durable-file.ts'
import type { Disk } from './disk.ts'
import { BackupError, errnoOf } from './errors.ts'

/**
 * One JSON value that several processes change, without a lock: it lies in `<name>-<n>.json` (mode 0600), and the
 * highest *n* counts. The exclusive creation of the next number is the commit, so of two that changed the same
 * revision one wins and the other begins again with what the winner wrote. Nothing is ever written over.
 */
export interface Revision {
  readonly number: number
  readonly value: unknown
  /** A name of its own for this revision and for each of those before it, newest first. */
  readonly lineage: readonly string[]
}

/** How many earlier ones stay: a listing that runs while others write still finds one that counts. */
const KEPT = 3
const LINEAGE = 32
const TRIES = 50

export class Revisions {
  readonly folder: string
  readonly #disk: Disk
  readonly #name: string
  readonly #who: string
  readonly #pattern: RegExp

  /** `name`: lower-case letters and `-`. The folder must exist before the first `put`. `who`: unlike any other writer's. */
  constructor(disk: Disk, folder: string, name: string, who: string = randomBytes(12).toString('hex')) {
    this.#who = who
    this.#disk = disk
    this.folder = folder
    this.#name = name
    this.#pattern = new RegExp(`^${name}-([1-9]\\d{0,14})\\.json(\\.[0-9a-f]+\\.tmp)?$`)
  }

  file(number: number): string {
    return path.join(this.folder, `${this.#name}-${number}.json`)
  }

  /** The highest number there is; 0: none. */
  newest(): number {
    return this.#numbers().at(-1) ?? 0
  }

  /** What counts now, or null if nothing was ever put. STATE_DAMAGED. */
  read(): Revision | null {
    for (let left = TRIES; ; left--) {
      const number = this.newest()
      if (number === 0) return null
      const bytes = readFileIfThere(this.#disk, this.file(number))
      if (bytes !== null) return decode(bytes, number, this.file(number))
      if (left === 0) throw new BackupError('STATE_DAMAGED', `${this.file(number)} is listed, and is not there`)
    }
  }

  /** What was read now lasts, also if whoever wrote it was killed before making sure of that. */
  settle(): void {
    syncFolder(this.#disk, this.folder)
  }

  /** Puts the value after `before`, as it was read. The new revision: it counts, and lasts. Null: somebody else was first. */
  put(before: Revision | null, value: unknown): Revision | null {
    const number = (before?.number ?? 0) + 1
    const text = JSON.stringify([this.#who, before?.lineage[0] ?? '', value])
    const name = createHash('sha256').update(text).digest('hex').slice(0, 24)
    const lineage = [name, ...(before?.lineage ?? [])].slice(0, LINEAGE)
    const bytes = Buffer.from(`${JSON.stringify({ revision: number, lineage, value }, null, 1)}\n`, 'utf8')
    if (!createFileOnce(this.#disk, this.file(number), bytes)) return null
    const all = this.#numbers()
    if (all.at(-1) !== number && !this.#isAncestor(number, name)) {
      // Whoever slept while others went on made a number that had been used and swept: it never counted.
      removeIfThere(this.#disk, this.file(number))
      return null
    }
    this.#sweep(number - KEPT)
    return { number, value, lineage }
  }

  /** Whether what counts now was built on our revision. */
  #isAncestor(number: number, name: string): boolean {
    const newest = this.read()
    if (newest === null) return false
    const ours = newest.lineage[newest.number - number]
    if (ours !== undefined || newest.number < number) return ours === name
    throw new BackupError(
      'TOO_MANY_REQUESTS',
      `others wrote ${this.file(newest.number)} too fast to tell who was first`,
    )
  }

  /** Old revisions, and the temporary files of writers that were killed. */
  #sweep(last: number): void {
    try {
      for (const { name, number } of this.#names())
        if (number <= last) removeIfThere(this.#disk, path.join(this.folder, name))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error // the value is safe; what is left over goes next time
    }
  }

  #numbers(): number[] {
    const whole = this.#names().filter((found) => !found.temporary)
    return whole.map((found) => found.number).toSorted((a, b) => a - b)
  }

  #names(): { name: string; number: number; temporary: boolean }[] {
    let names: Buffer[]
    try {
      names = this.#disk.readdir(this.folder)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    }
    return names.flatMap((bytes) => {
      const match = this.#pattern.exec(bytes.toString('utf8'))
      return match === null ? [] : [{ name: match[0], number: Number(match[1]), temporary: match[2] !== undefined }]
    })
  }
}

function decode(bytes: Buffer, number: number, file: string): Revision {
  try {
    const raw: unknown = JSON.parse(bytes.toString('utf8'))
    if (typeof raw === 'object' && raw !== null && 'revision' in raw && 'lineage' in raw && 'value' in raw) {
      const { revision, lineage, value } = raw
      if (revision === number && Array.isArray(lineage)) return { number, value, lineage: lineage.map(String) }
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new BackupError('STATE_DAMAGED', `${file} cannot be understood`, {
    hint: 'Keep a copy, then move the file away: the revision before it counts then.',
    data: { file },
  })
}
