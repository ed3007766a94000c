import { BackupError, ERROR_RULES, type ErrorCode } from '../lib/errors.ts'
import { SQL_BLOCK, type Section, type SqlDump } from '../dump/sql-dump.ts'
import { textBlocks } from '../dump/text-blocks.ts'
import type { FileStat } from '../lib/disk.ts'
import type { Entry, Pause, SourceItem } from '../source/source.ts'
import { DATABASES } from './named-databases.ts'
import type { Outcome } from './server-dump-slot.ts'
import { Lender, SqlFile } from './sql-file.ts'

/** Where reading goes on. */
export interface DumpStart {
  /** Sections that are stored. */
  readonly done: ReadonlySet<string>
  /** The section that was begun, how many of its blocks are stored, and behind which row. */
  readonly section: { readonly id: string; readonly blocks: number; readonly mark: readonly string[] | null } | null
  /** The unit whose beginning is known. */
  readonly unit: { readonly name: string; readonly shape: string } | null
  /** Files stored, and blocks of the one that is open. */
  readonly made: number
  readonly blocks: number
}

/** What the stage is told where it counts: at safe points, in order. */
export interface DumpEvents {
  unit(name: string, shape: string): void
  section(id: string, resumable: boolean): void
  outcome(outcome: Outcome): void
}

export interface DumpFeed {
  readonly dump: SqlDump
  /** Folder below `databases/`. */
  readonly name: string
  /** Bytes per file at most: whole blocks. */
  readonly longest: number
  readonly createdAt: number
  readonly start: DumpStart
}

/** Calls by the item that carries them: what is in flight may outlive the step that read it. */
const CALLS = new WeakMap<SourceItem, (events: DumpEvents) => void>()

/** Files by their entries. */
const FILES = new WeakMap<SourceItem, { readonly section: string; readonly file: SqlFile }>()

/** The section that ended with this file, which is stored; null: more of it follows. */
export function sectionEndedBy(entry: SourceItem): string | null {
  const { section, file } = FILES.get(entry) ?? {}
  return file?.ended === true && file.failure === null ? (section ?? null) : null
}

export function callOf(item: SourceItem): ((events: DumpEvents) => void) | undefined {
  return CALLS.get(item)
}

function moment(message: string, call: (events: DumpEvents) => void): Pause {
  const item: Pause = { type: 'pause', message }
  CALLS.set(item, call)
  return item
}

/** All sections that are not stored yet, as files; at the end, how it ended. */
export async function* dumpItems(feed: DumpFeed): AsyncGenerator<SourceItem, void, undefined> {
  try {
    const outcome = yield* readAll(feed)
    if (outcome !== null) yield moment('reading', (to) => to.outcome(outcome))
  } catch (error) {
    if (!(error instanceof BackupError) || !OF_SERVER.has(error.code)) throw error
    const outcome = outcomeOf(error)
    yield moment(error.message, (to) => to.outcome(outcome))
  }
}

/** Null: all of it was read. */
async function* readAll(feed: DumpFeed): AsyncGenerator<SourceItem, Outcome | null, undefined> {
  const { dump, start } = feed
  const reader = new FileReader(feed)
  let { unit } = start
  if (unit !== null && (await dump.shape(unit.name)) !== unit.shape) return changed(unit.name)
  for (const section of inOrder(await dump.sections(), start)) {
    if (unit?.name !== section.unit) {
      if (unit !== null && (await dump.shape(unit.name)) !== unit.shape) return changed(unit.name)
      const begun = { name: section.unit, shape: await dump.shape(section.unit) }
      yield moment(`reading ${section.table ?? section.id}`, (to) => to.unit(begun.name, begun.shape))
      unit = begun
    }
    // What cannot be gone on with begins again, and with it its unit.
    if (start.section?.id === section.id && start.section.blocks > 0 && !section.resumable) {
      return { kind: 'lost', error: null }
    }
    yield* reader.section(section)
    if (reader.failure !== null) throw reader.failure
  }
  if (unit !== null && (await dump.shape(unit.name)) !== unit.shape) return changed(unit.name)
  return null
}

const changed = (unit: string): Outcome => ({ kind: 'changed', what: unit.slice(unit.indexOf(':') + 1) })

/** The one that was begun comes first. One that is gone has been told by its unit, which changed. */
function inOrder(sections: readonly Section[], { done, section: begun }: DumpStart): Section[] {
  const open = sections.filter(({ id }) => !done.has(id))
  const first = open.filter(({ id }) => id === begun?.id)
  return [...first, ...open.filter(({ id }) => id !== begun?.id)]
}

/** What concerns the server; anything else is trouble of ours, and ends the step. */
const OF_SERVER: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['UNREACHABLE', 'TIMED_OUT', 'SOURCE_CHANGED', 'DATABASE_BUSY', 'DATABASE_DENIED'] as const),
  ...(['DATABASE_NOT_FOUND', 'DATABASE_FAILED', 'DATABASE_DAMAGED'] as const),
])

export function outcomeOf(error: BackupError): Outcome {
  if (error.code === 'SOURCE_CHANGED') return { kind: 'changed', what: error.message }
  if (error.retry === 'later' && ERROR_RULES[error.code].retry === 'later') {
    return { kind: 'lost', error: error.toRecord() }
  }
  return { kind: 'failed', error: error.toRecord() }
}

/** Reads sections into files of bounded size, each of which a client loads by itself. */
class FileReader {
  readonly #feed: DumpFeed
  readonly #preamble: Buffer
  readonly #postamble: Buffer
  /** Files begun, and blocks of the present one. */
  #made: number
  #blocks: number
  failure: BackupError | null = null

  constructor(feed: DumpFeed) {
    this.#feed = feed
    this.#made = feed.start.made
    this.#blocks = feed.start.blocks
    this.#preamble = Buffer.from(feed.dump.preamble, 'utf8')
    this.#postamble = Buffer.from(feed.dump.postamble, 'utf8')
  }

  async *section(section: Section): AsyncGenerator<SourceItem, void, undefined> {
    const { dump, start } = this.#feed
    const begun = start.section?.id === section.id ? start.section : null
    if (begun === null) yield moment('reading', (to) => to.section(section.id, section.resumable))
    const lender = new Lender()
    const blocks = dump.read(section, begun?.mark ?? null, () => lender.lend())
    try {
      for (let first = true, more = true; more && this.failure === null; first = false) {
        const file = new SqlFile(blocks, lender, {
          preamble: first && this.#blocks > 0 ? null : this.#preamble,
          postamble: this.#postamble,
          room: this.#feed.longest / SQL_BLOCK - this.#blocks - 1,
        })
        this.#made++
        yield this.#entry(section, file)
        this.#blocks = 0
        this.failure = file.failure
        more = !file.ended
      }
    } finally {
      await blocks.return()
    }
  }

  #entry(section: Section, file: SqlFile): Entry {
    const { name, createdAt } = this.#feed
    const path = `${DATABASES}/${name}/${fileName(this.#made, section)}`
    const entry: Entry = {
      type: 'entry',
      mark: '',
      path: Buffer.from(path, 'utf8'),
      kind: 'file',
      stat: statOf(createdAt, this.#made),
      open() {
        throw new BackupError('INTERNAL', 'a dump is made, not opened')
      },
      made: { blocks: (lend) => file.blocks(lend) },
    }
    FILES.set(entry, { section: section.id, file })
    return entry
  }
}

/** `000012-orders.sql`: sorts as it restores, and is a harmless name everywhere. */
function fileName(number: number, { id }: Section): string {
  const stem = id.replaceAll(/[^A-Za-z0-9_]+/g, '-').replaceAll(/^-+|-+$/g, '')
  return `${String(number).padStart(6, '0')}-${stem.slice(0, 60)}.sql`
}

function statOf(createdAt: number, ino: number): FileStat {
  const time = BigInt(Math.floor(createdAt / 1000)) * 1_000_000_000n
  const common = { uid: 0, gid: 0, size: 0, blocks: 0, mtimeNs: time, ctimeNs: time }
  return { kind: 'file', dev: 0n, ino: BigInt(ino), mode: 0o100644, nlink: 1, ...common }
}

/** The order file, last of all. */
export function orderEntry(feed: Pick<DumpFeed, 'dump' | 'name' | 'createdAt'>, files: readonly string[]): Entry {
  const { dump, name, createdAt } = feed
  return {
    type: 'entry',
    mark: '',
    path: Buffer.from(`${DATABASES}/${name}/load.sql`, 'utf8'),
    kind: 'file',
    stat: statOf(createdAt, 0),
    open() {
      throw new BackupError('INTERNAL', 'a dump is made, not opened')
    },
    made: {
      async *blocks(lend) {
        for await (const { memory, length, safe } of textBlocks([dump.orderFile(files)], lend))
          yield { memory, length, safe }
      },
    },
  }
}
