import { createHash } from 'node:crypto'
import zlib from 'node:zlib'
import { BackupError } from '../lib/errors.ts'
import { escapeName } from '../lib/entry-path.ts'
import { discarded } from '../lib/scavenge.ts'
import { crcCombine } from '../archive/crc.ts'
import { encodeProof, PROOFS } from '../archive/proofs.ts'
import type { Codec, Packed } from '../archive/codec.ts'
import type { EntryHead, EntryTotals, Format } from '../archive/format.ts'
import type { Deflate } from '../engine/spec.ts'
import type { Progress, StageContext, Steps } from '../engine/stage.ts'
import type { Entry, MadeBlock, SourceItem } from '../source/source.ts'
import { Batcher, type Underway } from './batcher.ts'
import { Directory } from './directory.ts'
import { headOf, nameOf, passed } from './entry-words.ts'
import { PartWriter } from './part-writer.ts'
import { isListed, largestDeflated, longestMade } from './sink-limits.ts'
import { Pipeline, type Room } from './pipeline.ts'
import { readAhead } from './read-ahead.ts'
import { BLOCK } from './read-blocks.ts'
import { goBack, pointOf, type Standing } from './sink-point.ts'
import { newSlot, pathKey, type OpenSlot, type SinkSlot } from './sink-slot.ts'
import { Warm } from './warm.ts'
import type { Sink, SinkPoint, Taken } from './sink.ts'
import { weightOf, type Task } from './task.ts'

/** What the objects about one entry come to, which live just long enough to burden the collector. Bytes. */
const ENTRY = 4 << 10

/** Bytes that may be read ahead for each batch the codec can work on. */
const AHEAD = BLOCK

export interface ArchiveSinkOptions {
  readonly format: Format
  readonly codec: Codec
  /** Bytes per part; 0 = one. */
  readonly partSize: number
  readonly level: number
  /** Default: `auto`. */
  readonly deflate?: Deflate | undefined
}

const NOBODY = (): void => {}
type BlockBy = (entry: Entry, block: MadeBlock) => void
type TakenBy = (item: SourceItem, result: Taken | null) => void

/**
 * Drives a format: entries into parts, with reading and compressing ahead. What is in flight has
 * touched nothing but the source; what is applied stands in work files and in the slot together.
 */
export class ArchiveSink implements Sink {
  readonly #ctx: StageContext
  readonly #options: ArchiveSinkOptions
  readonly #slot: SinkSlot
  readonly #parts: PartWriter
  readonly #directory: Directory

  constructor(ctx: StageContext, options: ArchiveSinkOptions) {
    this.#ctx = ctx
    this.#options = options
    this.#slot = ctx.slot('sink', newSlot)
    this.#parts = new PartWriter(ctx, this.#slot.parts, options.partSize, options.format.writer.finishesFirst)
    this.#directory = new Directory(ctx, this.#slot, this.#parts, options)
  }

  async *feed(key: string, items: () => AsyncIterable<SourceItem>, taken: TakenBy, block: BlockBy = NOBODY): Steps {
    this.#begin()
    const warm = this.#ctx.keep('sink-warm', () => new Warm())
    warm.begin()
    const resumed = warm.pipeline?.fits(key, this.#slot.applied) === true
    const pipeline = resumed && warm.pipeline !== null ? warm.pipeline : warm.renew(this.#pipeline(key, items))
    for (;;) {
      const task = await pipeline.next(this.#room(resumed, warm))
      if (task === null) break
      this.#slot.applied++
      const progress = await this.#apply(task, taken, block)
      if (task.type === 'whole') discarded(ENTRY)
      warm.note(weightOf(task), this.#ctx.clock.mono())
      // Within a row that is longer than a block there is no place to go on from.
      if (task.type === 'block' && task.made?.safe === false) continue
      yield progress
      if (task.type === 'abort') this.#parts.removeAfter(this.#slot.removeTo)
    }
    this.#ctx.forget('sink-warm')
  }

  /**
   * What to read ahead: what keeps all cores busy. In a process that may end with this step, only what can still be
   * applied in it, and little at first.
   */
  #room(resumed: boolean, warm: Warm): Room {
    const full = (this.#options.codec.width + 1) * AHEAD
    if (resumed) return { bytes: full, tasks: Infinity }
    const { bytes, tasks } = warm.ramp
    return { bytes: Math.min(full, bytes, warm.bytesIn(this.#ctx.left)), tasks }
  }

  #pipeline(key: string, items: () => AsyncIterable<SourceItem>): Pipeline {
    const { open } = this.#slot
    const { level, deflate, format } = this.#options
    const { maxFile, maxName } = format.writer
    const batcher = new Batcher(this.#options.codec)
    const deflateUpTo = largestDeflated(deflate, format.writer.deflateUpTo)
    const tasks = readAhead(items(), { level, deflateUpTo, batcher, maxFile, maxName, begun: open })
    return new Pipeline(key, this.#slot.applied, tasks, batcher)
  }

  async #apply(task: Task, taken: TakenBy, block: BlockBy): Promise<Progress> {
    // With no yield between: what is stored and what its stage knows of it stand in the same commit.
    if ((task.type === 'block' || task.type === 'whole') && task.made !== undefined) block(task.entry, task.made)
    switch (task.type) {
      case 'pass':
        taken(task.item, null)
        return passed(task.item)
      case 'whole':
        return this.#whole(task, task.content === null ? null : await this.#ready(task.content), taken)
      case 'begin':
        return this.#open(task)
      case 'block':
        return this.#block(task, await this.#ready(task.content))
      case 'end':
        return this.#close(task, await task.digest(), taken)
      case 'abort':
        return this.#abort(task.why)
      case 'omit':
        taken(task.entry, { stored: false, reason: task.reason, message: task.message })
        this.#slot.attempts = 0
        return { step: 'packing', substep: nameOf(task.entry) }
    }
  }

  /** The result, once there is room to write it. */
  async #ready(content: Underway): Promise<Packed> {
    const packed = await content.packed
    await this.#parts.room()
    return packed
  }

  #whole(task: Extract<Task, { type: 'whole' }>, packed: Packed | null, taken: TakenBy): Progress {
    const { entry, size, mtimeNs, changed } = task
    const data = packed?.data ?? Buffer.alloc(0)
    const head = { ...headOf(entry, mtimeNs), size, method: packed?.method ?? ('store' as const) }
    const totals = { ...head, crc: packed?.crc ?? 0, stored: data.length, part: 0, offset: 0 }
    const bytes = this.#options.format.writer.head(totals)
    const place = this.#parts.reserve(bytes.length + BEHIND_HEAD)
    this.#parts.write(bytes)
    this.#parts.write(data, task.content?.release)
    this.#ctx.count({ bytesRead: size })
    this.#slot.attempts = 0
    this.#finishEntry({ ...totals, ...place })
    const digest =
      entry.kind === 'dir' || packed === null ? null : `sha256:${Buffer.from(packed.sha256).toString('hex')}`
    taken(entry, { stored: true, size, digest, mtimeNs, changed })
    return { step: 'packing', substep: nameOf(entry) }
  }

  #open(task: Extract<Task, { type: 'begin' }>): Progress {
    const { entry, identity, method } = task
    const made = entry.made === undefined ? {} : ({ made: true } as const)
    const unsized = entry.made === undefined ? {} : ({ unsized: true } as const)
    const head: EntryHead = { ...headOf(entry, BigInt(identity.mtimeNs)), size: identity.size, method, ...unsized }
    const bytes = this.#options.format.writer.openHead(head)
    const place = this.#parts.reserve(bytes.length + BEHIND_HEAD)
    this.#parts.hold(place)
    this.#parts.write(bytes)
    const path = pathKey(entry.path)
    const attempts = this.#slot.attempts + 1
    this.#slot.open = { path, identity: { ...identity }, at: 0, crc: 0, stored: 0, method, ...place, attempts, ...made }
    return { step: 'packing', substep: nameOf(entry) }
  }

  #block({ entry, content, length }: Extract<Task, { type: 'block' }>, packed: Packed): Progress {
    const open = this.#opened()
    const stored = packed.data.length
    this.#parts.write(packed.data, content.release) // which may take the memory away
    if (isListed(open)) this.#ctx.file(this.#blocks()).write(packed.sha256)
    open.at += length
    open.stored += stored
    open.crc = crcCombine(open.crc, packed.crc, length)
    this.#ctx.count({ bytesRead: length })
    const { size } = open.identity
    const share = size === 0 ? '' : ` (${Math.floor((100 * open.at) / size)} %)`
    return { step: 'packing', substep: `${nameOf(entry)}${share}` }
  }

  async #close(task: Extract<Task, { type: 'end' }>, sha256: string | null, taken: TakenBy): Promise<Progress> {
    const { entry, changed } = task
    const open = this.#opened()
    const mtimeNs = BigInt(open.identity.mtimeNs)
    if (open.method === 'deflate') {
      this.#parts.write(FINAL_BLOCK)
      open.stored += FINAL_BLOCK.length
    }
    const size = open.made === true ? open.at : open.identity.size
    const unsized = open.made === true ? ({ unsized: true } as const) : {}
    const head = { ...headOf(entry, mtimeNs), size, method: open.method, ...unsized }
    const totals: EntryTotals = { ...head, crc: open.crc, stored: open.stored, part: open.part, offset: open.offset }
    for (const patch of this.#options.format.writer.patches(totals)) {
      await this.#parts.fill({ part: open.part, offset: open.offset + patch.at }, patch.bytes)
    }
    this.#parts.unhold()
    const digest = sha256 === null ? this.#blockDigest() : `sha256:${sha256}`
    this.#dropBlocks(open)
    this.#slot.open = null
    this.#slot.attempts = 0
    this.#finishEntry(totals)
    taken(entry, { stored: true, size: totals.size, digest, mtimeNs, changed })
    return { step: 'packing', substep: nameOf(entry) }
  }

  /** Back to where the open entry began (law 4); the barrier cuts the parts. */
  async #abort(why: string): Promise<Progress> {
    const { open } = this.#slot
    if (open === null) return { step: 'packing' }
    const name = open.path.startsWith('sha256:') ? open.path : escapeName(Buffer.from(open.path, 'base64'))
    this.#ctx.log('info', `${name} is begun again: ${why}`)
    this.#ctx.count({ bytesRead: -open.at })
    this.#slot.removeTo = await this.#parts.rewind({ part: open.part, offset: open.offset })
    this.#slot.attempts = open.attempts
    this.#slot.open = null
    this.#dropBlocks(open)
    return { step: 'packing', durable: true }
  }

  #finishEntry(totals: EntryTotals): void {
    this.#directory.add(totals)
    const { writer } = this.#options.format
    if (!writer.holdsCrc) this.#ctx.file(PROOFS).write(encodeProof(zlib.crc32(writer.head(totals)), totals.crc))
    this.#slot.entries++
    this.#slot.uncompressed += totals.size
    this.#slot.stored += totals.stored
    this.#ctx.count({ entries: 1, files: totals.kind === 'file' ? 1 : 0 })
  }

  #blocks(): string {
    return `blocks-${this.#slot.blocks}`
  }
  #dropBlocks(open: OpenSlot): void {
    if (!isListed(open)) return
    this.#ctx.drop(this.#blocks())
    this.#slot.blocks++
  }
  #blockDigest(): string {
    const file = this.#ctx.file(this.#blocks())
    return `sha256-1m:${createHash('sha256').update(file.read(0, file.length)).digest('hex')}`
  }

  get longestMade(): number {
    return longestMade(this.#options)
  }

  point(): SinkPoint {
    this.#begin()
    return pointOf(this.#place)
  }

  async *rewind(to: SinkPoint, also: () => void): Steps {
    this.#ctx.forget('sink-warm')
    yield* goBack(this.#place, to, () => {
      if (this.#slot.open !== null) this.#dropBlocks(this.#slot.open)
      also()
    })
  }

  get #place(): Standing {
    return { ctx: this.#ctx, slot: this.#slot, parts: this.#parts, proofs: !this.#options.format.writer.holdsCrc }
  }

  #opened(): OpenSlot {
    if (this.#slot.open === null) throw new BackupError('INTERNAL', 'a block came without its file')
    return this.#slot.open
  }

  #begin(): void {
    if (this.#slot.begun) return
    this.#slot.begun = true
    this.#parts.write(this.#options.format.writer.prologue(this.#options.partSize > 0))
  }

  close(): Steps {
    this.#begin()
    return this.#directory.close()
  }
}

/** No header ends its part: readers of JPA want more than a block's length to be left. Bytes. */
const BEHIND_HEAD = 1

/** An empty final block: ends a deflate stream made of independent pieces. */
const FINAL_BLOCK = Buffer.from([0x03, 0x00])
