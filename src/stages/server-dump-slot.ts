import { randomBytes } from 'node:crypto'
import type { ErrorRecord } from '../lib/errors.ts'
import type { AppendFile } from '../lib/append-file.ts'
import type { Consistency, Lack, RowMark, SqlDump } from '../dump/sql-dump.ts'
import type { StageContext } from '../engine/stage.ts'
import type { SinkPoint } from '../sink/sink.ts'

/** Why reading a database stopped before its end. */
export type Outcome =
  /** The connection is gone, or what cannot be gone on with was left by another process. */
  | { readonly kind: 'lost'; readonly error: ErrorRecord | null }
  /** A unit changed while it was read. */
  | { readonly kind: 'changed'; readonly what: string }
  | { readonly kind: 'failed'; readonly error: ErrorRecord }

/** A place to go back to: the archive, and lengths of the work files of this database. */
export interface Point {
  readonly sink: SinkPoint
  readonly manifest: number
  readonly done: number
  readonly files: number
  /** Files made so far, and rows in them. */
  readonly made: number
  readonly rows: number
}

export interface Unit {
  readonly name: string
  readonly shape: string | null
  readonly point: Point
  /** How often it had changed when it had been read. */
  readonly tries: number
  /** How often it was left in the middle, where nothing can be gone on with. */
  readonly losses: number
}

/** What a database of a server keeps in the record. */
export interface DumpSlot {
  /** What may still be claimed. */
  consistency: Consistency
  /** Which opened dump this is read by; another one has another snapshot. */
  instance: string
  start: Point
  /** Where the present unit begins, and what it was then; `shape` is null where it is to be read again. */
  unit: Unit | null
  /** The section being read, how many blocks of it are stored, and where in the work file of marks the last one stands. */
  section: {
    readonly id: string
    readonly resumable: boolean
    blocks: number
    mark: { readonly at: number; readonly length: number } | null
  } | null
  /** Files made so far, and blocks of the present one. */
  made: number
  blocks: number
  /** Rows in the present file, and in all. */
  fileRows: number
  rows: number
  /** A row is cut by the end of what is stored. */
  torn: boolean
  /** How often the snapshot was begun again. */
  restarts: number
  /** Whether anything was stored since the connection was lost last. */
  moved: boolean
  outcome: Outcome | null
}

/** The dump of a database that this process has open, and goes on with between steps. */
export class KeptDump implements Disposable {
  readonly id: string
  dump: SqlDump | null

  constructor() {
    this.id = randomBytes(8).toString('hex')
    this.dump = null
  }

  [Symbol.dispose](): void {
    // Nobody waits for a connection to close.
    const { dump } = this
    this.dump = null
    if (dump !== null) closed(dump).catch((error: unknown) => error)
  }
}

const closed = async (dump: SqlDump): Promise<void> => dump[Symbol.asyncDispose]()

/** The work files of one database. */
export class DumpFiles {
  readonly #ctx: StageContext
  readonly #index: number

  constructor(ctx: StageContext, index: number) {
    this.#ctx = ctx
    this.#index = index
  }

  /** Sections that are stored: a JSON string each. */
  get done(): AppendFile {
    return this.#ctx.file(`dump-${this.#index}-done`)
  }
  /** Names of the files that are stored: a JSON string each. */
  get files(): AppendFile {
    return this.#ctx.file(`dump-${this.#index}-files`)
  }
  /** Marks as JSON, one behind another; only the last one is ever asked for. */
  get marks(): AppendFile {
    return this.#ctx.file(`dump-${this.#index}-marks`)
  }
  /** What was found lacking: a JSON line each. */
  get lacks(): AppendFile {
    return this.#ctx.file(`dump-${this.#index}-lacks`)
  }

  doneIds(): Set<string> {
    return new Set(lines(this.done).map((line) => JSON.parse(line) as string))
  }
  addMark(mark: RowMark): { at: number; length: number } {
    const bytes = asLine(mark)
    const at = this.marks.length
    this.marks.write(bytes)
    return { at, length: bytes.length }
  }
  mark(place: { readonly at: number; readonly length: number } | null): RowMark | null {
    if (place === null) return null
    return JSON.parse(this.marks.read(place.at, place.length).toString('utf8')) as RowMark
  }
  /** Each once, though what is read again finds them again. */
  allLacks(): Lack[] {
    return [...new Set(lines(this.lacks))].map((line) => JSON.parse(line) as Lack)
  }
  drop(): void {
    for (const name of ['done', 'files', 'marks', 'lacks']) this.#ctx.drop(`dump-${this.#index}-${name}`)
  }
}

export function lines(file: AppendFile): string[] {
  return file.read(0, file.length).toString('utf8').split('\n').slice(0, -1)
}

export const asLine = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value)}\n`, 'utf8')
