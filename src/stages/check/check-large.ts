import type { Codec } from '../../archive/codec.ts'
import { crcCombine } from '../../archive/crc.ts'
import { unpackEntry, type UnpackedPiece } from '../../archive/unpack-entry.ts'
import type { StageContext, Steps } from '../../engine/stage.ts'
import { displayName } from '../../lib/entry-path.ts'
import { release } from '../../lib/release.ts'
import { hashStart, WarmHash } from '../../lib/resumable-hash.ts'
import type { OpenArchive } from '../parts.ts'
import { BLOCK, ContentDigest } from '../restore/content-digest.ts'
import { contentFault } from '../restore/contents.ts'
import type { Item } from '../restore/plan.ts'
import { damageOf, type Fault } from '../restore/report.ts'
import { WarmContent } from '../restore/warm-content.ts'
import { CHECK_FILES, checkSlot, countEntry, type OpenEntry } from './slot.ts'

/** Checks a large entry, with a safe point after each piece. */
export async function* checkLarge(ctx: StageContext, archive: OpenArchive, codec: Codec, item: Item): Steps {
  const slot = checkSlot(ctx)
  if (slot.open?.index !== item.entry.index) slot.open = opened(item)
  const check = await LargeCheck.resume(ctx, item, slot.open)
  const fault = yield* readThrough(ctx, archive, codec, item, check)
  countEntry(ctx, item, fault)
  check.forget()
  slot.open = null
}

const opened = (item: Item): OpenEntry => ({
  index: item.entry.index,
  stored: 0,
  plain: 0,
  crc: 0,
  hash: hashStart(),
})

async function* readThrough(
  ctx: StageContext,
  archive: OpenArchive,
  codec: Codec,
  item: Item,
  check: LargeCheck,
): Steps<Fault | null> {
  const { entry } = item
  const warm = ctx.keep('content', () => new WarmContent())
  const pieces = warm.take(entry.index, check.at, () => unpackEntry(archive, entry, codec, check.at))
  let kept = false
  try {
    for (;;) {
      const next = await pieces.next()
      if (next.done === true) return await check.finish()
      check.take(next.value)
      if (next.value.owned) release(next.value.bytes)
      warm.keep(entry.index, check.at, pieces)
      kept = true
      yield { step: 'checking', substep: displayName(entry.path), done: entry.offset + check.at.stored }
      warm.take(entry.index, check.at, () => pieces)
      kept = false
    }
  } catch (error) {
    return damageOf(error)
  } finally {
    if (!kept) await pieces.return()
  }
}

/**
 * CRC and digest of an entry that may take several processes. `sha256` goes on by its state (from the
 * second process on); `sha256-1m` by the digests of the blocks in a side file.
 */
class LargeCheck {
  readonly #ctx: StageContext
  readonly #item: Item
  readonly #open: OpenEntry
  readonly #whole: WarmHash | null
  readonly #blocks: ContentDigest | null

  private constructor(ctx: StageContext, item: Item, open: OpenEntry) {
    const expected = item.line?.digest ?? null
    const blocks = expected?.startsWith('sha256-1m:') === true
    this.#ctx = ctx
    this.#item = item
    this.#open = open
    this.#whole = expected === null || blocks ? null : ctx.keep('entry-hash', () => new WarmHash())
    this.#blocks = blocks ? new ContentDigest(true) : null
  }

  static async resume(ctx: StageContext, item: Item, open: OpenEntry): Promise<LargeCheck> {
    const check = new LargeCheck(ctx, item, open)
    if (check.#whole !== null) {
      await check.#whole.resume(String(open.index), open.hash)
      if (open.hash.offset !== open.plain) check.#again()
    } else if (check.#blocks !== null && open.plain > 0) {
      const side = ctx.file(CHECK_FILES.blocks(open.index))
      check.#blocks.load(side, Math.ceil(open.plain / BLOCK))
    }
    return check
  }

  get at(): { stored: number; plain: number } {
    return { stored: this.#open.stored, plain: this.#open.plain }
  }

  take(piece: UnpackedPiece): void {
    const open = this.#open
    open.crc = crcCombine(open.crc, piece.crc, piece.bytes.length)
    this.#whole?.update(open.hash, piece.bytes)
    open.stored = piece.next.stored
    open.plain = piece.next.plain
    if (this.#blocks === null) return
    // Pieces are whole blocks; the last one may be shorter.
    this.#blocks.block(piece.sha256)
    this.#blocks.save(this.#ctx.file(CHECK_FILES.blocks(open.index)))
  }

  async finish(): Promise<Fault | null> {
    if (this.#open.plain !== this.#item.entry.size) {
      return { kind: 'damaged', message: 'the content is shorter than announced' }
    }
    const whole = this.#whole === null ? null : `sha256:${await this.#whole.digest()}`
    return contentFault(this.#item, this.#open.crc, whole ?? this.#blocks?.digest() ?? null)
  }

  forget(): void {
    if (this.#blocks !== null) this.#ctx.drop(CHECK_FILES.blocks(this.#open.index))
  }

  /** The hash was lost with its process: the entry is read again, this time with a state that can be kept. */
  #again(): void {
    this.#open.stored = 0
    this.#open.plain = 0
    this.#open.crc = 0
  }
}
