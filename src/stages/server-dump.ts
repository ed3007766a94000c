import { BackupError } from '../lib/errors.ts'
import type { Progress, StageContext, Steps } from '../engine/stage.ts'
import type { SqlDump } from '../dump/sql-dump.ts'
import type { Entry, MadeBlock, SourceItem } from '../source/source.ts'
import type { Sink, Taken } from '../sink/sink.ts'
import type { BackupParts } from './backup-parts.ts'
import { storeEntry } from './manifest-lines.ts'
import { isOpen, type ServerDatabase } from './named-databases.ts'
import {
  callOf,
  dumpItems,
  orderEntry,
  outcomeOf,
  sectionEndedBy,
  type DumpEvents,
  type DumpStart,
} from './server-dump-feed.ts'
import { MAY_BE_LOST, PATIENCE, recover } from './server-dump-recovery.ts'
import { DumpState } from './server-dump-state.ts'
import { asLine, lines, type Outcome } from './server-dump-slot.ts'
import { sqlOf } from './sql-file.ts'
import { noteServerDatabase } from './store-database.ts'

type Connecting = Pick<BackupParts, 'openSqlDump'>

/** Databases of servers, one after another, each into files of its own. */
export async function* packServers(
  parts: Connecting,
  ctx: StageContext,
  sink: Sink,
  databases: readonly ServerDatabase[],
): Steps {
  for (const [index, database] of databases.entries()) {
    if (isOpen(database)) {
      const which = { database, index, count: databases.length }
      yield* new ServerDump(parts, new DumpState(ctx, sink, which)).run()
    }
  }
}

/** Reads one database into the sink. */
class ServerDump implements DumpEvents {
  readonly #parts: Connecting
  readonly #state: DumpState
  #estimate = 0

  constructor(parts: Connecting, state: DumpState) {
    this.#parts = parts
    this.#state = state
  }

  async *run(): Steps {
    const state = this.#state
    state.which.database.part.status = 'running'
    for (;;) {
      const dump = state.slot.outcome ?? (await this.#open())
      if (!('kind' in dump)) {
        this.#estimate = (await estimateOf(dump)) + 1
        yield* this.#feed(dump)
        if (state.slot.outcome === null) break
        continue
      }
      if (!(yield* recover(state, dump))) return
    }
    yield* this.#finish()
  }

  /** The dump this process has open, if it is the one the slot tells of; else a new one, or why there is none. */
  async #open(): Promise<SqlDump | Outcome> {
    const kept = this.#state.kept
    const slot = this.#state.slot
    if (kept.dump !== null && kept.id === slot.instance) return kept.dump
    const begun = slot.instance !== ''
    if (begun && (slot.consistency === 'snapshot' || slot.torn)) return { kind: 'lost', error: null }
    this.#state.forget()
    try {
      const dump = await this.#parts.openSqlDump(this.#state.which.database.spec, slot.consistency)
      const fresh = this.#state.kept
      fresh.dump = dump
      slot.instance = fresh.id
      return dump
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      const outcome = outcomeOf(error)
      if (outcome.kind !== 'lost') return outcome
      // It has not even answered: the step fails, and the next one tries again, as long as the engine lets it.
      const { ctx, which } = this.#state
      if (which.database.critical || ctx.job.attempts < PATIENCE) throw error
      return { kind: 'failed', error: error.toRecord() }
    }
  }

  async *#feed(dump: SqlDump): Steps {
    const { createdAt } = this.#state.ctx.job
    const { name } = this.#state.which.database
    const key = `${this.#state.key}-${this.#state.slot.instance}`
    const feed = { dump, name, longest: this.#state.sink.longestMade, createdAt }
    const items = (): AsyncIterable<SourceItem> => dumpItems({ ...feed, start: this.#start() })
    const feeding = this.#state.sink.feed(
      key,
      items,
      (item, taken) => this.#take(item, taken),
      (_, block) => this.#block(block),
    )
    for await (const progress of feeding) {
      yield this.#progress(progress)
      // An outcome is the last there is. The sink must not end: a file that is still open would be gone with it.
      if (this.#state.slot.outcome !== null) return
    }
  }

  #start(): DumpStart {
    const { section, unit, made, blocks } = this.#state.slot
    const begun =
      section === null ? null : { id: section.id, blocks: section.blocks, mark: this.#state.files.mark(section.mark) }
    // One that is read again has not begun yet.
    const known = unit === null || unit.shape === null ? null : { name: unit.name, shape: unit.shape }
    return { done: this.#state.files.doneIds(), section: begun, unit: known, made, blocks }
  }

  #progress(progress: Progress): Progress {
    const { index, count } = this.#state.which
    const share = Math.min(1, this.#state.slot.rows / this.#estimate)
    const told = { ...progress, done: Math.round(1000 * (index + share)), total: 1000 * count }
    return this.#mustGoOn() ? { ...told, beyond: true } : told
  }

  /** What has no key is read from its beginning each time: at last in one step, or it would never end. */
  #mustGoOn(): boolean {
    const { unit, section } = this.#state.slot
    return unit !== null && unit.losses >= MAY_BE_LOST && section?.resumable !== true
  }

  unit(name: string, shape: string): void {
    const slot = this.#state.slot
    const { tries, losses } = slot.unit?.name === name ? slot.unit : { tries: 0, losses: 0 }
    slot.unit = { name, shape, tries, losses, point: this.#state.here(slot.made, slot.rows) }
  }
  section(id: string, resumable: boolean): void {
    this.#state.slot.section = { id, resumable, blocks: 0, mark: null }
  }
  outcome(outcome: Outcome): void {
    this.#state.slot.outcome = outcome
  }

  #block(made: MadeBlock): void {
    const slot = this.#state.slot
    slot.blocks++
    const block = sqlOf(made)
    if (block === null || slot.section === null) return
    slot.moved = true
    slot.torn = !block.safe
    slot.rows += block.rows
    slot.fileRows += block.rows
    slot.section.blocks++
    if (block.safe) slot.section.mark = block.mark === null ? null : this.#state.files.addMark(block.mark)
  }

  #take(item: SourceItem, taken: Taken | null): void {
    if (item.type !== 'entry') return callOf(item)?.(this)
    if (taken?.stored !== true)
      throw new BackupError('INTERNAL', `a file of the dump was left out: ${taken?.message ?? ''}`)
    const slot = this.#state.slot
    this.#stored(item, taken)
    const path = item.path.toString('utf8')
    this.#state.files.files.write(asLine(path.slice(path.lastIndexOf('/') + 1)))
    slot.made++
    slot.blocks = 0
    slot.fileRows = 0
    const ended = sectionEndedBy(item)
    if (ended === null) return
    this.#state.files.done.write(asLine(ended))
    slot.section = null
    this.#noteLacks()
  }

  #stored(entry: Entry, taken: Extract<Taken, { stored: true }>): void {
    const { section, fileRows } = this.#state.slot
    const table = section?.id.startsWith('rows:') === true ? section.id.slice('rows:'.length) : null
    storeEntry(this.#state.ctx, entry, taken, table === null ? undefined : { table, count: fileRows })
  }

  #noteLacks(): void {
    for (const lack of this.#state.kept.dump?.takeLacks() ?? []) this.#state.files.lacks.write(asLine(lack))
  }

  async *#finish(): Steps {
    const { database } = this.#state.which
    const dump = this.#state.kept.dump
    if (dump === null) throw new BackupError('INTERNAL', 'the dump is gone before its end was written')
    const { createdAt } = this.#state.ctx.job
    const files = lines(this.#state.files.files).map((line) => JSON.parse(line) as string)
    const entry = orderEntry({ dump, name: database.name, createdAt }, files)
    const once = async function* (): AsyncGenerator<SourceItem, void, undefined> {
      yield entry
    }
    yield* this.#state.sink.feed(`${this.#state.key}-order`, once, (item, taken) => {
      if (item.type !== 'entry' || taken?.stored !== true)
        throw new BackupError('INTERNAL', 'the order file was left out')
      storeEntry(this.#state.ctx, item, taken)
      this.#complete(dump)
      this.#state.ctx.forget(this.#state.key) // at once: if the step ends here, nobody else would
    })
  }

  #complete({ server, exceptions }: SqlDump): void {
    const { part, name } = this.#state.which.database
    const { consistency, rows, made, restarts } = this.#state.slot
    this.#noteLacks()
    const lacks = this.#state.files.allLacks()
    for (const { kind, name: what, why } of lacks) {
      part.omitted++
      this.#state.ctx.warn('omitted', `database ${name}: ${kind} ${what} is not in the backup: ${why}`)
    }
    const beside = consistency === 'snapshot' ? exceptions : []
    for (const { name: what, why } of beside) {
      this.#state.ctx.warn('database', `database ${name}: ${what} is not of the same moment as the rest: ${why}`)
    }
    part.status = 'completed'
    part.error = null
    part.files = made
    noteServerDatabase(this.#state.ctx, { name, server, consistency, restarts, rows, files: made, beside, lacks })
    this.#state.drop()
  }
}

async function estimateOf(dump: SqlDump): Promise<number> {
  return (await dump.sections()).reduce((sum, { estimate }) => sum + estimate, 0)
}
