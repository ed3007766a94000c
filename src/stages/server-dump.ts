import { BackupError } from '../lib/errors.ts'
import type { Progress, StageContext, Steps } from '../engine/stage.ts'
import type { SqlDump } from '../dump/sql-dump.ts'
import type { Entry, MadeBlock, SourceItem } from '../source/source.ts'
import type { Sink, Taken } from '../sink/sink.ts'
import type { BackupParts } from './backup-parts.ts'
import { storeEntry } from './manifest-lines.ts'
import { failDatabase, isOpen, type ServerDatabase } from './named-databases.ts'
import { callOf, dumpItems, orderEntry, outcomeOf, sqlOf, type DumpEvents, type DumpStart } from './server-dump-feed.ts'
import { asLine, DumpFiles, KeptDump, lines, type DumpSlot, type Outcome, type Point } from './server-dump-slot.ts'
import { noteServerDatabase } from './store-database.ts'

/** A unit that changes whenever it is read is read this often. */
const TRIES = 3
/** A lost snapshot is begun again so often before the rest is read as `table`. */
const RESTARTS = 2

/** Databases of servers, one after another, each into files of its own. */
export async function* packServers(
  parts: BackupParts,
  ctx: StageContext,
  sink: Sink,
  databases: readonly ServerDatabase[],
): Steps {
  for (const [index, database] of databases.entries()) {
    if (isOpen(database)) yield* new ServerDump(parts, ctx, sink, { database, index, count: databases.length }).run()
  }
}

interface Which {
  readonly database: ServerDatabase
  readonly index: number
  readonly count: number
}

/** Reads one database into the sink. Everything it knows stands in its slot, its work files, and what the process keeps. */
class ServerDump implements DumpEvents {
  readonly #parts: BackupParts
  readonly #ctx: StageContext
  readonly #sink: Sink
  readonly #which: Which
  readonly #files: DumpFiles
  #estimate = 0

  constructor(parts: BackupParts, ctx: StageContext, sink: Sink, which: Which) {
    this.#parts = parts
    this.#ctx = ctx
    this.#sink = sink
    this.#which = which
    this.#files = new DumpFiles(ctx, which.index)
  }

  async *run(): Steps {
    const { database } = this.#which
    database.part.status = 'running'
    for (;;) {
      const dump = await this.#open()
      if ('kind' in dump) {
        if (yield* this.#after(dump)) continue
        return
      }
      this.#estimate = (await estimateOf(dump)) + 1
      yield* this.#feed(dump)
      const { outcome } = this.#slot
      if (outcome === null) break
      if (!(yield* this.#after(outcome))) return
    }
    yield* this.#finish()
  }

  get #slot(): DumpSlot {
    const { spec } = this.#which.database
    return this.#ctx.slot<DumpSlot>(this.#key, () => ({
      consistency: spec.consistency ?? 'snapshot',
      instance: '',
      start: this.#here(0, 0),
      unit: null,
      section: null,
      ...{ made: 0, blocks: 0, fileRows: 0, rows: 0, torn: false, restarts: 0, moved: false, outcome: null },
    }))
  }
  get #key(): string {
    return `dump-${this.#which.index}`
  }
  get #kept(): KeptDump {
    return this.#ctx.keep(this.#key, () => new KeptDump())
  }

  #here(made: number, rows: number): Point {
    const manifest = this.#ctx.file('manifest').length
    return {
      sink: this.#sink.point(),
      manifest,
      done: this.#files.done.length,
      files: this.#files.files.length,
      made,
      rows,
    }
  }

  /** The dump this process has open, if it is the one the slot tells of; else a new one, or why there is none. */
  async #open(): Promise<SqlDump | Outcome> {
    const kept = this.#kept
    const slot = this.#slot
    if (kept.dump !== null && kept.id === slot.instance) return kept.dump
    const begun = slot.instance !== ''
    if (begun && slot.consistency === 'snapshot') return { kind: 'lost', error: null }
    this.#forget()
    try {
      const dump = await this.#parts.openSqlDump(this.#which.database.spec, slot.consistency)
      const fresh = this.#kept
      fresh.dump = dump
      slot.instance = fresh.id
      return dump
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      const outcome = outcomeOf(error)
      // It has not even answered: the step fails, and the next one tries again, as long as the engine lets it.
      if (outcome.kind === 'lost') throw error
      return outcome
    }
  }

  #forget(): void {
    this.#ctx.forget('sink-warm') // what is in flight reads by it
    this.#ctx.forget(this.#key)
  }

  async *#feed(dump: SqlDump): Steps {
    const { createdAt } = this.#ctx.job
    const { name } = this.#which.database
    const key = `${this.#key}-${this.#slot.instance}`
    const feed = { dump, name, longest: this.#sink.longestMade, createdAt }
    const items = (): AsyncIterable<SourceItem> => dumpItems({ ...feed, start: this.#start() })
    const feeding = this.#sink.feed(
      key,
      items,
      (item, taken) => this.#take(item, taken),
      (_, block) => this.#block(block),
    )
    for await (const progress of feeding) yield this.#progress(progress)
  }

  #start(): DumpStart {
    const { section, unit, made, blocks } = this.#slot
    const begun =
      section === null ? null : { id: section.id, blocks: section.blocks, mark: this.#files.mark(section.mark) }
    return { done: this.#files.doneIds(), section: begun, unit, made, blocks }
  }

  #progress(progress: Progress): Progress {
    const { index, count } = this.#which
    const share = Math.min(1, this.#slot.rows / this.#estimate)
    return { ...progress, done: Math.round(1000 * (index + share)), total: 1000 * count }
  }

  unit(name: string, shape: string): void {
    const slot = this.#slot
    const tries = slot.unit?.name === name ? slot.unit.tries : 0
    slot.unit = { name, shape, tries, point: this.#here(slot.made, slot.rows) }
  }
  section(id: string): void {
    this.#slot.section = { id, blocks: 0, mark: null }
  }
  sectionDone(id: string): void {
    this.#files.done.write(asLine(id))
    this.#slot.section = null
    this.#noteLacks()
  }
  outcome(outcome: Outcome): void {
    this.#slot.outcome = outcome
  }

  #block(made: MadeBlock): void {
    const slot = this.#slot
    slot.blocks++
    const block = sqlOf(made)
    if (block === null || slot.section === null) return
    slot.moved = true
    slot.torn = !block.safe
    slot.rows += block.rows
    slot.fileRows += block.rows
    slot.section.blocks++
    if (block.safe) slot.section.mark = block.mark === null ? null : this.#files.addMark(block.mark)
  }

  #take(item: SourceItem, taken: Taken | null): void {
    if (item.type !== 'entry') return callOf(item)?.(this)
    if (taken?.stored !== true)
      throw new BackupError('INTERNAL', `a file of the dump was left out: ${taken?.message ?? ''}`)
    const slot = this.#slot
    this.#stored(item, taken)
    const path = item.path.toString('utf8')
    this.#files.files.write(asLine(path.slice(path.lastIndexOf('/') + 1)))
    slot.made++
    slot.blocks = 0
    slot.fileRows = 0
  }

  #stored(entry: Entry, taken: Extract<Taken, { stored: true }>): void {
    const { section, fileRows } = this.#slot
    const table = section?.id.startsWith('rows:') === true ? section.id.slice('rows:'.length) : null
    storeEntry(this.#ctx, entry, taken, table === null ? undefined : { table, count: fileRows })
  }

  #noteLacks(): void {
    for (const lack of this.#kept.dump?.takeLacks() ?? []) this.#files.lacks.write(asLine(lack))
  }

  /** What to do about an end before the end. True: it goes on. */
  async *#after(outcome: Outcome): AsyncGenerator<Progress, boolean, void> {
    const slot = this.#slot
    slot.outcome = null
    this.#forget()
    if (outcome.kind === 'failed') {
      yield* this.#back(slot.start)
      failDatabase(this.#ctx, this.#which.database, BackupError.fromRecord(outcome.error))
      this.#drop()
      return false
    }
    if (slot.consistency === 'snapshot') yield* this.#snapshotLost(outcome)
    else if (outcome.kind === 'changed') yield* this.#unitAgain(outcome.what)
    else yield* this.#goOn(outcome)
    return true
  }

  async *#snapshotLost(outcome: Exclude<Outcome, { kind: 'failed' }>): Steps {
    const { spec, name } = this.#which.database
    const why = outcome.kind === 'changed' ? `${outcome.what} changed` : 'the connection that held it is gone'
    if (this.#slot.restarts < (spec.restarts ?? RESTARTS)) {
      this.#ctx.log('info', `database ${name}: its snapshot was lost (${why}); it is read again from its beginning`)
      yield* this.#back(this.#slot.start, (slot) => {
        slot.restarts++
      })
      return
    }
    this.#ctx.warn(
      'database',
      `database ${name}: its snapshot was lost (${why}); its tables are from different moments`,
    )
    const slot = this.#slot
    slot.consistency = 'table'
    slot.instance = ''
    if (outcome.kind === 'changed') yield* this.#unitAgain(outcome.what)
    else yield* this.#goOn(outcome)
  }

  /** Without a snapshot a lost connection costs nothing, but where rows cannot be told apart, or one was cut. */
  async *#goOn({ error }: Extract<Outcome, { kind: 'lost' }>): Steps {
    const slot = this.#slot
    const stuck = slot.torn || (slot.section !== null && slot.section.blocks > 0 && slot.section.mark === null)
    if (stuck && slot.unit !== null) return yield* this.#back(slot.unit.point)
    const { moved } = slot
    slot.moved = false
    slot.instance = ''
    yield { step: 'connecting again', durable: true }
    if (error !== null && !moved) throw BackupError.fromRecord(error)
  }

  async *#unitAgain(what: string): Steps {
    const { unit } = this.#slot
    if (unit === null) return yield* this.#back(this.#slot.start)
    const tries = unit.tries + 1
    if (tries >= TRIES) {
      const why = 'its definition changed each time it was read'
      throw new BackupError('SOURCE_CHANGED', `database ${this.#which.database.name}: ${what}: ${why}`, {
        hint: 'Back the database up when nobody alters its tables.',
      })
    }
    this.#ctx.log('info', `database ${this.#which.database.name}: ${what} changed while it was read; it is read again`)
    yield* this.#back(unit.point, (slot) => {
      if (slot.unit !== null) slot.unit = { ...slot.unit, tries }
    })
  }

  /** What came after the point never was. */
  async *#back(to: Point, also: (slot: DumpSlot) => void = () => {}): Steps {
    const whole = to === this.#slot.start
    yield* this.#sink.rewind(to.sink, () => {
      const slot = this.#slot
      this.#ctx.file('manifest').rewind(to.manifest)
      this.#files.done.rewind(to.done)
      this.#files.files.rewind(to.files)
      if (whole) slot.unit = null
      slot.section = null
      Object.assign(slot, { made: to.made, rows: to.rows, blocks: 0, fileRows: 0, torn: false, instance: '' })
      also(slot)
    })
  }

  async *#finish(): Steps {
    const { database } = this.#which
    const dump = this.#kept.dump
    if (dump === null) throw new BackupError('INTERNAL', 'the dump is gone before its end was written')
    const { createdAt } = this.#ctx.job
    const files = lines(this.#files.files).map((line) => JSON.parse(line) as string)
    const entry = orderEntry({ dump, name: database.name, createdAt }, files)
    const once = async function* (): AsyncGenerator<SourceItem, void, undefined> {
      yield entry
    }
    yield* this.#sink.feed(`${this.#key}-order`, once, (item, taken) => {
      if (item.type !== 'entry' || taken?.stored !== true)
        throw new BackupError('INTERNAL', 'the order file was left out')
      storeEntry(this.#ctx, item, taken)
      this.#complete(dump)
    })
    await dump[Symbol.asyncDispose]()
    this.#ctx.forget(this.#key)
  }

  #complete({ server, exceptions }: SqlDump): void {
    const { part, name } = this.#which.database
    const { consistency, rows, made, restarts } = this.#slot
    this.#noteLacks()
    const lacks = this.#files.allLacks()
    for (const { kind, name: what, why } of lacks) {
      part.omitted++
      this.#ctx.warn('omitted', `database ${name}: ${kind} ${what} is not in the backup: ${why}`)
    }
    const beside = consistency === 'snapshot' ? exceptions : []
    for (const { name: what, why } of beside) {
      this.#ctx.warn('database', `database ${name}: ${what} is not of the same moment as the rest: ${why}`)
    }
    part.status = 'completed'
    part.error = null
    part.files = made
    noteServerDatabase(this.#ctx, { name, server, consistency, restarts, rows, files: made, beside, lacks })
    this.#drop()
  }

  #drop(): void {
    this.#files.drop()
    this.#ctx.clearSlot(this.#key)
  }
}

async function estimateOf(dump: SqlDump): Promise<number> {
  return (await dump.sections()).reduce((sum, { estimate }) => sum + estimate, 0)
}
