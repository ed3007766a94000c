import type { StageContext } from '../../engine/stage.ts'
import { errnoOf } from '../../lib/errors.ts'
import { release } from '../../lib/release.ts'
import { crcCombine } from '../../archive/crc.ts'
import type { UnpackedPiece } from '../../archive/unpack-entry.ts'
import type { Restart } from '../../archive/reader.ts'
import type { Staged } from './batch.ts'
import { BLOCK, type ContentDigest, digestFor } from './content-digest.ts'
import { contentFault } from './contents.ts'
import { Flight } from './flight.ts'
import { orClose, placeOf, samePlace, syncHandle } from './handles.ts'
import type { Item } from './plan.ts'
import type { Fault } from './report.ts'
import type { Staging } from './staging.ts'
import { FILES, START, type OpenFile } from './slots.ts'
import { writeSparse } from './sparse.ts'

/** `sha256` covers at most this much, so that its state can be had again by reading. Bytes. */
const WHOLE = 16 << 20
/** So much is written back to the disk at a time, beside the unpacking: the sync at the end finds little left. Bytes. */
const WRITE_BACK = 8 << 20
/** Pieces are written in the background until this much is under way. Bytes. */
const IN_FLIGHT = 2 << 20

/**
 * A file that is written in several pieces, and perhaps in several processes: at a safe point its
 * length, CRC and place in the archive go into the slot; what lies beyond that length never happened.
 */
export class LargeFile {
  readonly item: Item
  readonly name: string
  readonly fd: number
  readonly #flight = new Flight()
  readonly #ctx: StageContext
  readonly #digest: ContentDigest | null
  #at: Restart
  #crc: number
  /** A sync under way, and how much was written since one began. */
  #writeBack: Promise<void> | null = null
  #fresh = 0
  #failure: { readonly error: unknown } | null = null
  /** The end of what was written is a hole. */
  #hole = false
  /** Its name in the staging folder is not durable yet. */
  #unnamed = true

  private constructor(ctx: StageContext, item: Item, fd: number, from: Restart, crc: number) {
    this.#ctx = ctx
    this.item = item
    this.name = nameOf(item)
    this.fd = fd
    this.#at = from
    this.#crc = crc
    this.#digest = digestFor(item.line?.digest ?? null)
  }

  static begin(ctx: StageContext, staging: Staging, item: Item): LargeFile {
    staging.remove(nameOf(item))
    const fd = ctx.disk.open(staging.path(nameOf(item)), 'create')
    return new LargeFile(ctx, item, fd, START, 0)
  }

  /** Goes on at the last safe point; null if what was recorded cannot be proven to be there (then it begins again). */
  static resume(ctx: StageContext, staging: Staging, item: Item, open: OpenFile): LargeFile | null {
    const fd = openStaged(ctx, staging, open)
    if (fd === null) return null
    const file = orClose(ctx.disk, fd, () => {
      ctx.disk.truncate(fd, open.plain)
      const made = new LargeFile(ctx, item, fd, { stored: open.stored, plain: open.plain }, open.crc)
      return made.#reload() ? made : null
    })
    if (file === null) ctx.disk.close(fd)
    return file
  }

  get at(): Restart {
    return this.#at
  }

  /**
   * Takes the next piece. Bytes of its own are written in the background and given back afterwards; others are
   * written when this resolves. Also throws what failed since the last call.
   */
  async write(piece: UnpackedPiece): Promise<void> {
    const { bytes, owned } = piece
    const { hole, written } = writeSparse(this.#ctx.disk, this.fd, bytes, this.#at.plain)
    const size = bytes.length // zero once they are given back
    this.#flight.add(written, size, () => {
      if (owned) release(bytes)
    })
    this.#hole = hole
    this.#crc = crcCombine(this.#crc, piece.crc, size)
    this.#at = piece.next
    this.#digestPiece(piece)
    await this.#flight.room(owned ? IN_FLIGHT : 0)
    this.#check()
    this.#fresh += size
    if (this.#fresh >= WRITE_BACK && this.#writeBack === null) this.#beginWriteBack()
  }

  /** The complete file, for the batch. Throws what a sync on the way met. */
  get staged(): Staged {
    this.#check()
    const { name, fd } = this
    return this.#writeBack === null ? { name, fd } : { name, fd, before: this.#writeBack }
  }

  /** Before the handle may be closed. Never throws. */
  async idle(): Promise<void> {
    await this.#flight.ended()
    await Promise.allSettled([this.#writeBack])
  }

  /** Makes what is written durable and says where to go on. The pieces are whole blocks, so this is at a block's end. */
  async cut(staging: Staging): Promise<OpenFile> {
    await this.#flight.landed()
    await Promise.allSettled([this.#writeBack])
    this.#check()
    this.#lengthen()
    await this.#ctx.disk.fsyncAsync(this.fd)
    if (this.#unnamed) await syncHandle(this.#ctx.disk, staging.folder.fd)
    this.#unnamed = false
    if (this.#digest?.blocks === true) this.#digest.save(this.#ctx.file(FILES.blocks(this.item.entry.index)))
    return this.#note(false)
  }

  /** After the last piece: null if all is written and proven. */
  async finish(): Promise<Fault | null> {
    await this.#flight.landed()
    this.#check()
    this.#lengthen()
    if (this.#at.plain !== this.item.entry.size) {
      return { kind: 'damaged', message: 'the content is shorter than announced' }
    }
    return contentFault(this.item, this.#crc, this.#digest?.digest() ?? null)
  }

  done(): OpenFile {
    return this.#note(true)
  }

  /** The system tells each handle of an error once: so it is kept, for `write`, `cut` and `finish`, or the batch. */
  #beginWriteBack(): void {
    this.#fresh = 0
    const sync = this.#ctx.disk.fsyncAsync(this.fd)
    this.#writeBack = sync
    sync
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => {
        this.#writeBack = null
      })
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error
  }

  #note(done: boolean): OpenFile {
    const place = placeOf(this.#ctx.disk.fstat(this.fd))
    const { stored, plain } = this.#at
    return { ...place, index: this.item.entry.index, name: this.name, stored, plain, crc: this.#crc, done }
  }

  #digestPiece({ bytes, sha256 }: UnpackedPiece): void {
    if (this.#digest === null) return
    if (this.#digest.blocks && bytes.length === BLOCK && this.#digest.atBlock) this.#digest.block(sha256)
    else this.#digest.update(bytes)
  }

  #lengthen(): void {
    if (this.#hole) this.#ctx.disk.truncate(this.fd, this.#at.plain)
    this.#hole = false
  }

  /** Brings the digest to where the file is: from the side file, or by reading a prefix of at most 16 MiB. */
  #reload(): boolean {
    if (this.#digest === null) return true
    const { plain } = this.#at
    if (this.#digest.blocks) {
      const blocks = this.#ctx.file(FILES.blocks(this.item.entry.index))
      return plain % BLOCK === 0 && this.#digest.load(blocks, plain / BLOCK)
    }
    if (plain > WHOLE) return false
    const buffer = Buffer.allocUnsafe(Math.min(plain, BLOCK))
    for (let at = 0; at < plain;) {
      const got = this.#ctx.disk.read(this.fd, buffer, 0, Math.min(buffer.length, plain - at), at)
      if (got === 0) return false
      this.#digest.update(buffer.subarray(0, got))
      at += got
    }
    return true
  }
}

const nameOf = (item: Item): string => `large-${item.entry.index}`

/** The staged file that the slot names, if it is still that one and long enough. */
export function openStaged(ctx: StageContext, staging: Staging, open: OpenFile): number | null {
  let fd: number
  try {
    fd = ctx.disk.open(staging.path(open.name), 'update')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  const stat = orClose(ctx.disk, fd, () => ctx.disk.fstat(fd))
  if (stat.kind === 'file' && samePlace(placeOf(stat), open) && stat.size >= open.plain) return fd
  ctx.disk.close(fd)
  return null
}
