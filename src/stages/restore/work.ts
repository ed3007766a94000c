import type { Codec } from '../../archive/codec.ts'
import type { Progress, StageContext } from '../../engine/stage.ts'
import { displayName } from '../../lib/entry-path.ts'
import type { Parts } from '../parts.ts'
import { sayStripped } from './apply-metadata.ts'
import { Batch } from './batch.ts'
import { metadataOf, metadataRules, type Metadata, type MetadataRules } from './metadata.ts'
import type { Item } from './plan.ts'
import type { Site } from './site.ts'
import { FILES, restoreSpec, type ExtractSlot } from './slots.ts'
import { allowedAttributes } from './xattrs.ts'

/** A batch is placed at the latest after this many bytes, entries or changed folders. */
const BATCH_BYTES = 64 << 20
const BATCH_ENTRIES = 2000
const BATCH_FOLDERS = 128
/** Time between two safe points: a share of the slice, within bounds. Milliseconds. */
const GAP_SHARE = 8
const GAP_MOST = 1000

/** What small and large entries of one step share: the batch, and where the slot stands when it is placed. */
export class ExtractWork {
  readonly ctx: StageContext
  readonly parts: Parts
  readonly site: Site
  readonly slot: ExtractSlot
  readonly codec: Codec
  readonly batch: Batch
  readonly rules: MetadataRules
  /** The last entry that has been dealt with, in the batch or before it. */
  last: Item | null = null
  /** Bytes written into a large file since the last safe point. */
  inside = 0
  readonly #gap: number
  #lastYield: number

  constructor(ctx: StageContext, parts: Parts, site: Site, slot: ExtractSlot) {
    const spec = restoreSpec(ctx)
    this.ctx = ctx
    this.parts = parts
    this.site = site
    this.slot = slot
    this.codec = parts.codec()
    this.batch = new Batch(ctx, parts, site, slot)
    this.rules = metadataRules(spec, parts.root)
    this.#gap = Math.min(GAP_MOST, spec.pacing.maxMs / GAP_SHARE)
    this.#lastYield = ctx.clock.mono()
  }

  /** Whether a safe point is due. */
  get due(): boolean {
    const { size, bytes } = this.batch
    if (this.batch.full || size >= BATCH_ENTRIES || bytes + this.inside >= BATCH_BYTES) return true
    return this.site.tree.dirty >= BATCH_FOLDERS || this.ctx.clock.mono() - this.#lastYield >= this.#gap
  }

  /** Places the batch; the slot then says that everything up to `last` is done. */
  async settle(): Promise<void> {
    await this.batch.place()
    this.inside = 0
    if (this.last === null) return
    this.slot.next = this.last.entry.index + 1
    this.slot.line = this.last.after.line
    this.slot.misses = this.last.after.misses
    const { open } = this.slot
    if (open === null || open.index >= this.slot.next) return
    this.ctx.drop(FILES.blocks(open.index))
    this.slot.open = null
  }

  /** After a yield: time is counted anew. */
  resumed(): void {
    this.#lastYield = this.ctx.clock.mono()
  }

  progress(inside = 0): Progress {
    const { totals } = this.ctx.job
    const done = totals.bytesWritten + inside
    return {
      step: 'restoring',
      ...(this.last === null ? {} : { substep: displayName(this.last.entry.path) }),
      done,
      total: Math.max(totals.bytesExpected ?? 0, done),
    }
  }

  /** Takes an entry's place in the order; false if nothing is left to be done about it. */
  begin(item: Item): boolean {
    for (const line of item.missing) this.missing(line.path)
    this.last = item
    if (item.fault === null) return item.wanted || item.entry.kind === 'dir'
    if (item.wanted) this.batch.fault(item.entry.path, item.fault)
    return false
  }

  missing(path: Buffer): void {
    this.batch.fault(path, { kind: 'damaged', message: 'the manifest lists it, and the archive does not hold it' })
  }

  metadata(item: Item): Metadata {
    if (item.wanted) sayStripped(this.ctx, item, this.rules)
    return metadataOf(item.entry, item.line, this.rules)
  }

  xattrs(item: Item): Record<string, string> {
    return allowedAttributes(item.line?.xattrs, this.rules)
  }
}
