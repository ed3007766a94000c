import type { ArchiveEntry } from '../../archive/format.ts'
import { unpackEntry } from '../../archive/unpack-entry.ts'
import type { LoadSpec } from '../../engine/spec.ts'
import type { Progress, StageContext, Steps } from '../../engine/stage.ts'
import { BackupError } from '../../lib/errors.ts'
import { release } from '../../lib/release.ts'
import type { SqlLoad, Standing } from '../../load/sql-load.ts'
import type { OpenArchive, Parts } from '../parts.ts'
import { BLOCK, digestFor } from '../restore/content-digest.ts'
import { START, restoreSpec } from '../restore/slots.ts'
import { KeptLoad } from './kept-load.ts'
import { OpenSql } from './open-sql.ts'
import { loadFiles, loadSlot, readEntries, type LoadSlot, type SqlEntry } from './slots.ts'

/** As much as one transaction takes, at most. Bytes of SQL. */
const COMMIT_BYTES = 16 << 20
/** Length of a digest in the work file of blocks. Bytes. */
const DIGEST = 32
/** How often rows that know no transactions may be lost between steps, before they are loaded in one. */
const MAY_BE_LOST = 2

export interface Which {
  readonly spec: LoadSpec
  readonly index: number
  readonly count: number
}

/** Puts one database back: its files, one after another, from where it says itself that it has got to. */
export class DatabaseLoad {
  readonly #ctx: StageContext
  readonly #parts: Parts
  readonly #archive: OpenArchive
  readonly #which: Which
  readonly #entries: readonly SqlEntry[]
  readonly #total: number

  constructor(ctx: StageContext, parts: Parts, archive: OpenArchive, which: Which) {
    this.#ctx = ctx
    this.#parts = parts
    this.#archive = archive
    this.#which = which
    this.#entries = readEntries(ctx.file(loadFiles.entries(which.index)))
    this.#total = this.#entries.reduce((sum, { size }) => sum + size, 0) + 1
  }

  get slot(): LoadSlot {
    return loadSlot(this.#ctx, this.#which.index)
  }
  get database(): string {
    return this.#which.spec.database
  }
  get #key(): string {
    return `load-${this.#which.index}`
  }
  get #part(): ReturnType<StageContext['part']> {
    const part = this.#ctx.part(`database ${this.#which.spec.name}`)
    part.critical = true
    return part
  }

  async *load(): Steps {
    this.#part.status = 'running'
    for (;;) {
      const kept = await this.#connected()
      const open = kept.open ?? (yield* this.#openFile(kept))
      if (open === null) break
      yield* this.#run(kept, open)
    }
    this.slot.phase = 'loaded'
    yield { ...this.#progress(), durable: true }
  }

  /** Gives it its name. From here on there is no way back, and every statement may be said again. */
  async *finish(): Steps {
    const { spec } = this.#which
    const kept = this.#keep()
    kept.load ??= await this.#connect()
    const steps = kept.load.finish()
    let next = await steps.next()
    for (; next.done !== true; next = await steps.next()) {
      this.#noteLacks(kept) // nobody else hears of them
      yield { step: `putting ${spec.database} in its place`, substep: next.value }
    }
    const aside = next.value
    this.#conclude()
    const told = `the database ${spec.database} of before is kept as ${aside ?? ''}`
    if (aside !== null) this.#ctx.log('info', told)
    yield { ...this.#progress(), ...(aside === null ? {} : { step: told, substep: '' }), durable: true }
  }

  /** The load is given up: nothing of it stays, but where it has its name already. */
  async undo(): Promise<void> {
    if (this.slot.phase === 'done') return
    this.#ctx.forget(this.#key) // its own connection would be in the way
    await using load = await this.#connect()
    await load.undo()
  }

  #connect(): Promise<SqlLoad> {
    const trusted = restoreSpec(this.#ctx).foreign !== true
    return this.#parts.openLoad(this.#which.spec, { id: this.#ctx.job.id, trusted })
  }

  #keep(): KeptLoad {
    return this.#ctx.keep(this.#key, () => new KeptLoad())
  }

  /** What this process has open, if nobody else had it since; else the database is asked. */
  async #connected(): Promise<KeptLoad> {
    const { slot } = this
    const present = this.#keep()
    if (present.load !== null && present.id === slot.instance) return present
    this.#ctx.forget(this.#key)
    const kept = this.#keep()
    kept.load = await this.#connect()
    this.#goOnFrom(await kept.load.prepare())
    slot.instance = kept.id
    return kept
  }

  #goOnFrom({ file, at }: Standing): void {
    const { slot } = this
    const behind = file < slot.reached.file || (file === slot.reached.file && at < slot.reached.at)
    if (behind) slot.losses++
    slot.reached = { file, at }
    if (file === slot.file && slot.at.plain <= at) return
    Object.assign(slot, { file, at: START, crc: 0 })
    slot.bytes = this.#entries.slice(0, file).reduce((sum, { size }) => sum + size, 0)
  }

  /** The file that is next; null: there is none left. */
  async *#openFile(kept: KeptLoad): Steps<OpenSql | null> {
    const { slot } = this
    const entry = this.#entries[slot.file]
    if (entry === undefined || kept.load === null) return null
    // What a file of definitions says to the session stands all over it: it is read from its beginning.
    const from = entry.table === null ? START : slot.at
    const digest = digestFor(entry.digest)
    const blocks = this.#ctx.file(loadFiles.blocks(this.#which.index))
    const saved = (from.plain / BLOCK) * DIGEST
    if (digest?.blocks === true && !digest.load(blocks, from.plain / BLOCK))
      throw new BackupError('INTERNAL', 'digests of blocks are missing')
    if (blocks.length > saved) {
      blocks.rewind(saved)
      yield { ...this.#progress(), durable: true }
    }
    const stored = this.#stored(entry)
    const head = from.plain === 0 ? null : await this.#head(stored)
    const { name, table } = entry
    const which = { index: slot.file, name, rows: table !== null, more: this.#goesOnAt(slot.file + 1) }
    const load = await kept.load.open({ ...which, from: from.plain, head })
    const pieces = unpackEntry(this.#archive, stored, this.#parts.codec(), from)
    const crc = from.plain === 0 ? 0 : slot.crc
    kept.open = new OpenSql({ file: slot.file, entry, stored, load, pieces, digest, crc, at: from })
    return kept.open
  }

  #stored({ index, name }: SqlEntry): ArchiveEntry {
    for (const entry of this.#archive.entries(index)) return entry
    throw new BackupError('ARCHIVE_DAMAGED', `the archive no longer holds ${name}`)
  }

  async #head(stored: ArchiveEntry): Promise<Buffer> {
    for await (const { bytes } of this.#archive.content(stored)) return Buffer.from(bytes)
    return Buffer.alloc(0)
  }

  async *#run(kept: KeptLoad, open: OpenSql): Steps {
    const held = this.slot.reached.file === open.file ? this.slot.reached.at : 0
    let pending = 0
    for (let piece = await open.next(); piece !== null; piece = await open.next()) {
      const { bytes, owned } = piece
      pending += bytes.length
      await open.take(bytes)
      if (owned) release(bytes)
      // The end of the file is close by.
      if (open.at.plain >= open.entry.size || (!this.#ctx.closing && pending < COMMIT_BYTES)) continue
      pending = 0
      // What was only passed over, or is not complete yet, would be done again: no step ends there.
      if ((await this.#commit(open)) <= held) continue
      this.#noteLacks(kept)
      yield this.#progress(open.at.plain)
    }
    open.prove()
    await open.load.end()
    kept.open = null
    const { slot } = this
    Object.assign(slot, { file: open.file + 1, at: START, crc: 0, reached: { file: open.file + 1, at: 0 } })
    slot.bytes += open.entry.size
    if (!this.#goesOnAt(slot.file)) slot.losses = 0
    this.#ctx.count({ files: 1, entries: 1, bytesRead: open.entry.size })
    this.#noteLacks(kept)
    yield this.#progress()
  }

  async #commit(open: OpenSql): Promise<number> {
    const done = await open.commit()
    const { slot } = this
    slot.reached = { file: open.file, at: done }
    // Behind a block in which nothing is open; else from the last such place again.
    const between = open.entry.table !== null && done === open.at.plain && open.at.plain % BLOCK === 0
    // The digest of a short file cannot go on elsewhere.
    if (!between || open.digest?.blocks === false) return done
    open.digest?.save(this.#ctx.file(loadFiles.blocks(this.#which.index)))
    Object.assign(slot, { at: open.at, crc: open.crc })
    return done
  }

  #noteLacks(kept: KeptLoad): void {
    const { name } = this.#which.spec
    for (const { kind, name: what, why } of kept.load?.takeLacks() ?? []) {
      this.#part.omitted++
      this.#ctx.warn('not_restored', `database ${name}: ${kind} ${what}: ${why}`)
    }
  }

  #conclude(): void {
    const { index } = this.#which
    this.#noteLacks(this.#keep())
    this.slot.phase = 'done'
    this.#part.status = 'completed'
    this.#part.files = this.#entries.length
    this.#part.bytes = this.#total - 1
    this.#ctx.forget(this.#key)
    this.#ctx.drop(loadFiles.entries(index))
    this.#ctx.drop(loadFiles.blocks(index))
  }

  #progress(plain = 0): Progress {
    const { spec, index, count } = this.#which
    const { slot } = this
    const share = Math.min(1, (slot.bytes + plain) / this.#total)
    const told = {
      step: `loading ${spec.database}`,
      ...(this.#entries[slot.file] === undefined ? {} : { substep: this.#entries[slot.file]?.name ?? '' }),
      done: Math.round(1000 * (index + share)),
      total: 1000 * count,
    }
    // What is lost whenever the process changes would never come to its end.
    const amid = plain > 0 || this.#goesOnAt(slot.file)
    return slot.losses >= MAY_BE_LOST && slot.phase === 'load' && amid ? { ...told, beyond: true } : told
  }

  /** Whether rows of the same table as in the file before stand there. */
  #goesOnAt(file: number): boolean {
    const table = this.#entries[file]?.table ?? null
    return table !== null && this.#entries[file - 1]?.table === table
  }
}
