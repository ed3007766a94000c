import { asBackupError } from '../lib/errors.ts'
import type { ProgramResult } from '../lib/program.ts'
import { WalkEntry } from './entry.ts'
import type { Folders } from './folders.ts'
import { baseAt, Operands, readOutput, startGetfattr, type AttributeTools, type Base, type Found } from './getfattr.ts'
import type { Omission, SourceItem } from './source.ts'
import type { WalkItem } from './walk.ts'

/**
 * Extended attributes and ACLs. Node cannot read them, and a process per file or folder would cost
 * more than the backup: the walk is taken in windows, and while one window is handed over getfattr
 * reads the attributes of the next on another core. Windows begin small and double, so that a step
 * that ends early has looked ahead no further than it has come.
 */
const FIRST = 64
const LARGEST = 4096
/** Entries further ahead than this much content would be handed over with stale times. Bytes. */
const CONTENT = 64 << 20
/** Bytes of paths in one window: deep trees have long ones. */
const PATHS = 2 << 20

export interface XattrContext {
  readonly tools: AttributeTools
  /** The source's real path. */
  readonly root: () => Buffer
  /** Aborted: what is being read is given up and the reason thrown. */
  readonly signal: AbortSignal
  readonly log: (level: 'debug' | 'info' | 'warn', message: string) => void
  /** Mark path of a note already given before the walk was cut: it is not given twice. */
  readonly told: Buffer | null
}

const NONE: Found = { attributes: new Map(), complaints: new Map(), others: [] }

/** The same items in the same order, entries with their attributes. Gives the walk's folders back at its end. */
export async function* withXattrs(
  items: Generator<WalkItem>,
  folders: Folders,
  ctx: XattrContext,
): AsyncGenerator<SourceItem> {
  using _ = folders
  const reader = new Reader(ctx)
  let size = FIRST
  let current: Window | null = new Window(items, size, reader)
  let next: Window | null = null
  try {
    while (current !== null) {
      size = Math.min(size * 2, LARGEST)
      // After a pause the step may end: nothing is begun before it was handed over.
      if (current.goesOn) next = new Window(items, size, reader)
      for (const item of await reader.finish(current)) yield item
      if (current.failure !== null) throw current.failure.error
      if (next === null && !current.ended) next = new Window(items, size, reader)
      current = next
      next = null
    }
  } finally {
    current?.[Symbol.dispose]()
    next?.[Symbol.dispose]()
    items.return(undefined)
  }
}

/** Not what lies beside a database: it comes and goes, and is hardly ever stored. */
const isAsked = (item: WalkItem): item is WalkEntry => item instanceof WalkEntry && item.instead === undefined

/** A run of items, and the program that reads their attributes. */
class Window implements Disposable {
  readonly items: WalkItem[] = []
  readonly entries: WalkEntry[] = []
  readonly reading: Reading | null
  ended = false
  failure: { readonly error: unknown } | null = null

  constructor(items: Generator<WalkItem>, size: number, reader: Reader) {
    try {
      this.#fill(items, size)
    } catch (error) {
      this.failure = { error } // thrown once what came before it has been handed over
    }
    this.reading = reader.begin(this.entries)
  }

  get goesOn(): boolean {
    return !this.ended && this.failure === null && this.items.at(-1)?.type !== 'pause'
  }

  #fill(items: Generator<WalkItem>, size: number): void {
    let content = 0
    let paths = 0
    while (this.items.length < size && content < CONTENT && paths < PATHS) {
      const next = items.next()
      if (next.done === true) {
        this.ended = true
        return
      }
      const item = next.value
      this.items.push(item)
      if (item.type === 'pause') return
      paths += item.path.length
      if (isAsked(item)) {
        this.entries.push(item)
        if (item.kind === 'file') content += item.stat.size
      }
    }
  }

  [Symbol.dispose](): void {
    this.reading?.[Symbol.dispose]()
  }
}

interface Reading extends Disposable {
  readonly entries: readonly WalkEntry[]
  readonly result: Promise<ProgramResult>
}

class Reader {
  readonly #ctx: XattrContext
  #base: Base | null = null
  /** After it failed once the program is not asked again by this process. */
  #failed: string | null = null

  constructor(ctx: XattrContext) {
    this.#ctx = ctx
  }

  begin(entries: readonly WalkEntry[]): Reading | null {
    if (this.#failed !== null || entries.length === 0) return null
    this.#base ??= baseAt(this.#ctx.root())
    const operands = new Operands(this.#base)
    const asked = entries.filter((entry) => operands.add(entry))
    if (asked.length === 0) return null
    const program = startGetfattr(this.#ctx.tools, operands.bytes, this.#base)
    return { entries: asked, result: program.result, [Symbol.dispose]: () => program[Symbol.dispose]() }
  }

  /** The items of a window, with notes where attributes are missing. */
  async finish(window: Window): Promise<readonly SourceItem[]> {
    const before = this.#failed
    const found = window.reading === null ? NONE : await this.#collect(window.reading)
    for (const message of found.others) this.#ctx.log('warn', `getfattr: ${message}`)
    const broke = before === null ? this.#failed : null
    const unasked = before === null && window.reading?.entries.length !== window.entries.length
    if (found.attributes.size + found.complaints.size === 0 && broke === null && !unasked) return window.items
    return this.#attach(window, found, broke, unasked ? new Set(window.reading?.entries) : null)
  }

  /** `broke`: why no attributes are read from here on. `asked`: the entries whose path a program can take, if not all. */
  #attach(window: Window, found: Found, broke: string | null, asked: ReadonlySet<WalkEntry> | null): SourceItem[] {
    const items: SourceItem[] = []
    let trouble = broke
    for (const item of window.items) {
      if (isAsked(item)) {
        const attributes = found.attributes.get(item)
        if (attributes !== undefined) item.xattrs = attributes
        trouble ??= found.complaints.get(item) ?? (asked === null || asked.has(item) ? null : 'its path is too long')
        if (trouble !== null && !this.#ctx.told?.equals(item.below)) items.push(note(item, trouble))
        trouble = null
      }
      items.push(item)
    }
    return items
  }

  async #collect(reading: Reading): Promise<Found> {
    const give = (): void => reading[Symbol.dispose]()
    this.#ctx.signal.addEventListener('abort', give)
    let result: ProgramResult
    try {
      result = await reading.result
      this.#ctx.signal.throwIfAborted()
    } catch (error) {
      this.#ctx.signal.throwIfAborted()
      return this.#fail(asBackupError(error, 'getfattr could not be started').message)
    } finally {
      this.#ctx.signal.removeEventListener('abort', give)
    }
    if (result.overflow) return this.#halve(reading.entries)
    if (result.code === null) return this.#fail('getfattr did not answer in time')
    // 123: some call ended with 1–125, its messages say why. Above: getfattr was killed or cannot be run.
    if (result.code > 123) return this.#fail(`getfattr cannot be run (exit code ${result.code})`)
    return this.#base === null ? NONE : readOutput(result, reading.entries, this.#base)
  }

  /** Too much for one answer. */
  async #halve(entries: readonly WalkEntry[]): Promise<Found> {
    const [first] = entries
    if (first === undefined || entries.length === 1) {
      return { ...NONE, complaints: new Map(first === undefined ? [] : [[first, 'there are too many']]) }
    }
    const middle = entries.length >> 1
    const halves: Found[] = []
    for (const half of [entries.slice(0, middle), entries.slice(middle)]) {
      const reading = this.begin(half)
      if (reading !== null) halves.push(await this.#collect(reading))
    }
    return {
      attributes: new Map(halves.flatMap((half) => [...half.attributes])),
      complaints: new Map(halves.flatMap((half) => [...half.complaints])),
      others: halves.flatMap((half) => half.others),
    }
  }

  #fail(message: string): Found {
    this.#failed ??= message
    return NONE
  }
}

function note(entry: WalkEntry, trouble: string): Omission {
  const message = `extended attributes could not be read: ${trouble}`
  return { type: 'omission', mark: entry.noteMark, path: entry.path, reason: 'metadata_not_kept', message }
}
