import type { Codec } from '../../archive/codec.ts'
import type { Progress, StageContext } from '../../engine/stage.ts'
import { BackupError } from '../../lib/errors.ts'
import { displayName } from '../../lib/entry-path.ts'
import type { Parts } from '../parts.ts'
import { Batch } from './batch.ts'
import { metadataOf, metadataRules, type Metadata, type MetadataRules } from './metadata.ts'
import type { Item } from './plan.ts'
import { Placer } from './placer.ts'
import type { Site } from './site.ts'
import { FILES, restoreSpec, type ExtractSlot } from './slots.ts'
import { allowedAttributes } from './xattrs.ts'

/** A batch is launched at the latest after this many bytes or entries; two may be on their way. */
const BATCH_BYTES = 32 << 20
const BATCH_ENTRIES = 2000
/** Time between two safe points: a share of the slice, within bounds. Milliseconds. */
const GAP_SHARE = 8
const GAP_MOST = 1000

/**
 * What small and large entries of one step share: the batch being filled, the one before it on its way to the disk,
 * and where the slot stands when that has arrived.
 */
export class ExtractWork implements AsyncDisposable {
  readonly ctx: StageContext
  readonly parts: Parts
  readonly site: Site
  readonly slot: ExtractSlot
  readonly codec: Codec
  readonly rules: MetadataRules
  /** Bytes written into a large file since the last safe point. */
  inside = 0
  readonly #gap: number
  readonly #placer: Placer
  #begun: number
  #batch: Batch
  #launched: Batch | null = null

  constructor(ctx: StageContext, parts: Parts, site: Site, slot: ExtractSlot) {
    const spec = restoreSpec(ctx)
    this.ctx = ctx
    this.parts = parts
    this.site = site
    this.slot = slot
    this.codec = parts.codec()
    this.rules = metadataRules(spec, parts.root)
    this.#placer = new Placer(ctx, site, slot, this.rules)
    this.#batch = new Batch(ctx, parts, site, slot, this.#placer)
    this.#gap = Math.min(GAP_MOST, spec.pacing.maxMs / GAP_SHARE)
    this.#begun = ctx.clock.mono()
  }

  /** The batch that is being filled. */
  get batch(): Batch {
    return this.#batch
  }

  /** Whether what has been unpacked is to be launched. */
  get due(): boolean {
    const { size, bytes } = this.#batch
    if (this.#batch.full || size >= BATCH_ENTRIES || bytes + this.inside >= BATCH_BYTES) return true
    return this.ctx.clock.mono() - this.#begun >= this.#gap
  }

  /** Whether the batch launched before has arrived: a safe point costs no waiting. */
  get arrived(): boolean {
    return this.#launched?.arrived === true
  }

  /** Sends the batch on its way and begins another. The one before it must have landed. */
  launch(): void {
    if (this.#launched !== null) throw new BackupError('INTERNAL', 'a batch was launched over another')
    const { ctx, parts, site, slot } = this
    this.#launched = this.#batch
    this.#batch = new Batch(ctx, parts, site, slot, this.#placer)
    this.#batch.last = this.#launched.last
    this.#launched.launch()
    this.resumed()
  }

  /** Waits for the batch under way, if there is one; the slot then says that everything up to its end is done. */
  async land(): Promise<boolean> {
    const batch = this.#launched
    if (batch === null) return false
    await batch.landed()
    this.#launched = null
    const { last } = batch
    if (last === null) return true
    this.slot.next = last.entry.index + 1
    this.slot.line = last.after.line
    this.slot.misses = last.after.misses
    const { open } = this.slot
    if (open === null || open.index >= this.slot.next) return true
    this.ctx.drop(FILES.blocks(open.index))
    this.slot.open = null
    return true
  }

  /** Waits until everything so far has its name or has been reported. */
  async settle(): Promise<void> {
    await this.land()
    this.launch()
    await this.land()
    this.inside = 0
  }

  /** Removes what has not been placed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#launched?.[Symbol.asyncDispose]()
    await this.#batch[Symbol.asyncDispose]()
  }

  /** Time is counted anew: after a safe point, and from a launch on. */
  resumed(): void {
    this.#begun = this.ctx.clock.mono()
  }

  progress(inside = 0): Progress {
    const { totals } = this.ctx.job
    const { last } = this.#batch
    const done = totals.bytesWritten + inside
    return {
      step: 'restoring',
      ...(last === null ? {} : { substep: displayName(last.entry.path) }),
      done,
      total: Math.max(totals.bytesExpected ?? 0, done),
    }
  }

  /** Takes an entry's place in the order; false if nothing is left to be done about it. */
  begin(item: Item): boolean {
    for (const line of item.missing) this.missing(line.path)
    this.#batch.last = item
    if (item.fault === null) return item.wanted || item.entry.kind === 'dir'
    if (item.wanted) this.#batch.fault(item.entry.path, item.fault)
    return false
  }

  missing(path: Buffer): void {
    this.#batch.fault(path, { kind: 'damaged', message: 'the manifest lists it, and the archive does not hold it' })
  }

  metadata(item: Item): Metadata {
    return metadataOf(item.entry, item.line, this.rules)
  }

  xattrs(item: Item): Record<string, string> {
    return allowedAttributes(item.line?.xattrs, this.rules)
  }
}
