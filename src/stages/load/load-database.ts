import { crcCombine } from '../../archive/crc.ts'
import type { ArchiveEntry } from '../../archive/format.ts'
import { unpackEntry } from '../../archive/unpack-entry.ts'
import type { LoadSpec } from '../../engine/spec.ts'
import type { Progress, StageContext, Steps } from '../../engine/stage.ts'
import { BackupError } from '../../lib/errors.ts'
import { release } from '../../lib/release.ts'
import type { SqlLoad, Standing } from '../../load/sql-load.ts'
import type { OpenArchive, Parts } from '../parts.ts'
import { BLOCK, digestFor } from '../restore/content-digest.ts'
import { contentFault } from '../restore/contents.ts'
import { START, restoreSpec } from '../restore/slots.ts'
import { KeptLoad, type OpenFile } from './kept-load.ts'
import { loadFiles, loadSlot, readEntries, type LoadSlot, type SqlEntry } from './slots.ts'

/** As much as one transaction takes, at most. Bytes of SQL. */
const COMMIT_BYTES = 16 << 20
/** Length of a digest in the work file of blocks. Bytes. */
const DIGEST = 32
/** How often rows that know no transactions, or part of a long row, may be lost between steps, before one step takes them. */
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
    for (;;) {
      const next = await steps.next()
      if (next.done === true) {
        this.#conclude(next.value)
        break
      }
      this.#noteLacks(kept) // nobody else hears of them
      yield { step: `putting ${spec.database} in its place`, substep: next.value }
    }
    yield { ...this.#progress(), durable: true }
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
    slot.stuck = file === slot.began.file && at === slot.began.at ? slot.stuck + 1 : 0
    slot.began = { file, at }
    slot.reached = { file, at }
    if (file === slot.file && slot.at.plain <= at) return
    Object.assign(slot, { file, at: START, crc: 0 })
    slot.bytes = this.#entries.slice(0, file).reduce((sum, { size }) => sum + size, 0)
  }

  /** The file that is next; null: there is none left. */
  async *#openFile(kept: KeptLoad): Steps<OpenFile | null> {
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
    kept.open = { file: slot.file, entry, load, pieces, digest, crc, at: from }
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

  async *#run(kept: KeptLoad, open: OpenFile): Steps {
    let pending = 0
    for (;;) {
      const next = await open.pieces.next()
      if (next.done === true) break
      const { bytes, crc, sha256, owned } = next.value
      open.at = next.value.next
      open.crc = crcCombine(open.crc, crc, bytes.length)
      if (open.digest !== null && open.digest.blocks && bytes.length === BLOCK) open.digest.block(sha256)
      else open.digest?.update(bytes)
      pending += bytes.length
      await open.load.take(bytes)
      if (owned) release(bytes)
      if (!this.#ctx.closing && pending < COMMIT_BYTES) continue
      pending = 0
      await this.#commit(open)
      this.#noteLacks(kept)
      yield this.#progress(open.at.plain)
    }
    await open.load.end()
    this.#prove(open)
    kept.open = null
    const { slot } = this
    Object.assign(slot, { file: open.file + 1, at: START, crc: 0, reached: { file: open.file + 1, at: 0 } })
    slot.bytes += open.entry.size
    if (!this.#goesOnAt(slot.file)) slot.losses = 0
    this.#ctx.count({ files: 1, entries: 1, bytesRead: open.entry.size })
    this.#noteLacks(kept)
    yield this.#progress()
  }

  async #commit(open: OpenFile): Promise<void> {
    const done = await open.load.commit()
    const { slot } = this
    if (done > slot.reached.at || open.file !== slot.reached.file) slot.stuck = 0
    slot.reached = { file: open.file, at: done }
    // Behind a block in which nothing is open; else from the last such place again.
    if (open.entry.table === null || done !== open.at.plain || open.at.plain % BLOCK !== 0) return
    if (open.digest?.blocks === false) return // a short file, whose digest cannot go on elsewhere
    open.digest?.save(this.#ctx.file(loadFiles.blocks(this.#which.index)))
    Object.assign(slot, { at: open.at, crc: open.crc })
  }

  /** Only what is proven stays: whoever finds a fault takes all of it back. */
  #prove({ entry, crc, digest, at }: OpenFile): void {
    const stored = this.#stored(entry)
    const line = entry.digest === null ? null : { digest: entry.digest }
    const fault =
      at.plain === stored.size
        ? contentFault({ entry: stored, line }, crc, digest?.digest() ?? null)
        : { message: 'the content is shorter than announced' }
    if (fault === null) return
    throw new BackupError('ARCHIVE_DAMAGED', `${entry.name}: ${fault.message}`, {
      hint: 'Nothing of it stays in the database. Restore another backup; or restore its SQL as files, and load what is intact by hand.',
    })
  }

  #noteLacks(kept: KeptLoad): void {
    const { name } = this.#which.spec
    for (const { kind, name: what, why } of kept.load?.takeLacks() ?? []) {
      this.#part.omitted++
      this.#ctx.warn('not_restored', `database ${name}: ${kind} ${what}: ${why}`)
    }
  }

  #conclude(aside: string | null): void {
    const { spec, index } = this.#which
    this.#noteLacks(this.#keep())
    if (aside !== null) this.#ctx.log('info', `the database ${spec.database} of before is kept as ${aside}`)
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
    const lost = slot.losses >= MAY_BE_LOST && (plain > 0 || this.#goesOnAt(slot.file))
    const stuck = slot.stuck >= MAY_BE_LOST && plain > 0
    return slot.phase === 'load' && (lost || stuck) ? { ...told, beyond: true } : told
  }

  /** Whether rows of the same table as in the file before stand there. */
  #goesOnAt(file: number): boolean {
    const table = this.#entries[file]?.table ?? null
    return table !== null && this.#entries[file - 1]?.table === table
  }
}
