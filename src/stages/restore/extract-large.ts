import { unpackEntry, type UnpackedPiece } from '../../archive/unpack-entry.ts'
import type { Steps } from '../../engine/stage.ts'
import { errnoOf } from '../../lib/errors.ts'
import { displayName } from '../../lib/entry-path.ts'
import { orClose, placeOf, samePlace } from './handles.ts'
import { isReadError } from './contents.ts'
import { LargeFile, openStaged } from './large-file.ts'
import type { Item } from './plan.ts'
import { damageOf, type Fault } from './report.ts'
import { FILES, type OpenFile } from './slots.ts'
import { WarmContent } from './warm-content.ts'
import type { ExtractWork } from './work.ts'

/** Restores a large file: goes on where the last safe point inside it was, and may make more of them. */
export async function* extractLarge(work: ExtractWork, item: Item): Steps {
  const { ctx, slot, site } = work
  const known = slot.open?.index === item.entry.index ? slot.open : null
  if (known?.done === true && (await takeDone(work, item, known))) return
  const file = yield* openLarge(work, item, known)
  let taken = false
  try {
    const fault = yield* fill(work, file)
    if (fault === null && slot.open?.index === item.entry.index) yield* cut(work, file, true)
    work.begin(item)
    if (fault === null) {
      taken = true
      work.inside = 0 // the batch counts it from now on
      work.batch.staged(item, file.staged, work.metadata(item), work.xattrs(item))
      return
    }
    work.batch.fault(item.entry.path, fault)
    site.staging.remove(file.name)
  } finally {
    if (!taken) {
      await file.idle()
      ctx.disk.close(file.fd)
    }
  }
}

/** It was complete when the process was lost: it still waits in the staging folder, or has its name already. */
async function takeDone(work: ExtractWork, item: Item, open: OpenFile): Promise<boolean> {
  await work.settle() // the folders belong to it, while it places its files
  const { ctx, site, batch } = work
  const fd = openStaged(ctx, site.staging, open)
  if (fd === null && !isPlaced(work, item, open)) return false
  work.begin(item)
  if (fd === null) batch.placed(item)
  else {
    orClose(ctx.disk, fd, () => ctx.disk.truncate(fd, open.plain))
    batch.staged(item, { name: open.name, fd }, work.metadata(item), work.xattrs(item))
  }
  return true
}

function isPlaced({ ctx, site }: ExtractWork, item: Item, open: OpenFile): boolean {
  try {
    const { folder } = site.tree.open(item.components.slice(0, -1), false)
    const leaf = item.components.at(-1) ?? Buffer.alloc(0)
    return samePlace(placeOf(ctx.disk.lstat(folder.child(leaf))), open)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return false // it begins again, and placing it will tell what is wrong
  }
}

async function* openLarge(work: ExtractWork, item: Item, known: OpenFile | null): Steps<LargeFile> {
  const { ctx, site, slot } = work
  const resumed = known === null || known.done ? null : LargeFile.resume(ctx, site.staging, item, known)
  if (resumed !== null) return resumed
  if (known !== null) {
    // What was recorded is gone or another: the entry begins again, and with it its list of digests.
    ctx.log('warn', `${displayName(item.entry.path)}: its first part is gone from the target; it is restored again`)
    slot.open = null
    ctx.file(FILES.blocks(item.entry.index)).rewind(0)
    yield { ...work.progress(), durable: true }
    work.resumed()
  }
  return LargeFile.begin(ctx, site.staging, item)
}

/** Writes the content; null if it is complete and proven. */
async function* fill(work: ExtractWork, file: LargeFile): Steps<Fault | null> {
  const { entry } = file.item
  const warm = work.ctx.keep('content', () => new WarmContent())
  const begin = (): Pieces => unpackEntry(work.site.archive, entry, work.codec, file.at)
  let pieces = warm.take(entry.index, file.at, begin)
  let kept = false
  let again = true
  try {
    for (;;) {
      const next = await nextPiece(pieces)
      if ('error' in next && again && isReadError(next.error)) {
        again = false
        pieces = begin()
        continue
      }
      if ('error' in next) return damageOf(next.error)
      if (next.done === true) return await file.finish()
      work.inside += next.value.bytes.length
      await file.write(next.value)
      if (file.at.plain >= entry.size || !(work.ctx.closing || work.due)) continue
      warm.keep(entry.index, file.at, pieces)
      kept = true
      yield* cut(work, file, false)
      warm.take(entry.index, file.at, () => pieces)
      kept = false
    }
  } finally {
    if (!kept) await pieces.return()
  }
}

type Pieces = AsyncGenerator<UnpackedPiece, void, undefined>

async function nextPiece(pieces: Pieces): Promise<IteratorResult<UnpackedPiece, void> | { error: unknown }> {
  try {
    return await pieces.next()
  } catch (error) {
    return { error }
  }
}

/**
 * A safe point inside the file: what came before it is placed, its bytes are durable, the slot says how far. `done`: it
 * is complete, and its rename, which cannot be undone, waits until the record says so.
 */
async function* cut(work: ExtractWork, file: LargeFile, done: boolean): Steps {
  await work.settle()
  work.slot.next = file.item.entry.index
  work.slot.open = { ...(await file.cut(work.site.staging)), done }
  yield { ...work.progress(file.at.plain), ...(done ? { durable: true } : {}) }
  work.resumed()
}
