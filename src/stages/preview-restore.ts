import type { ManifestEntry } from '../archive/manifest.ts'
import type { Progress, Stage, StageContext, StageFactory, Steps } from '../engine/stage.ts'
import type { PreviewCounts } from '../engine/restore-preview.ts'
import { displayName } from '../lib/entry-path.ts'
import type { OpenArchive, Parts } from './parts.ts'
import { makePlan } from './restore/extraction.ts'
import { ManifestCursor } from './restore/manifest-cursor.ts'
import type { Item, Plan } from './restore/plan.ts'
import { FolderNotes } from './restore/preview/folder-set.ts'
import { Judge } from './restore/preview/judge.ts'
import { previewSlot, type PreviewSlot } from './restore/preview/slot.ts'
import { warmArchive } from './restore/site.ts'
import { FILES, restoreSlot, restoreSpec } from './restore/slots.ts'
import { nearestFolder } from './restore/target.ts'

/** Entries judged between two safe points: targets of links, at most 64 KiB each, are in memory together. */
const JUDGED = 256
/** Lines of the manifest without an entry that are reported between two safe points. */
const LINES = 1000

/**
 * The dry run of a restore (S-RES-8): every entry is judged by the rules of the restore itself, against the target as it
 * is now. Nothing is written there. First all folders are noted, since what becomes of files and links of the same
 * names, and of links that go up, depends on them.
 */
export const previewRestoreStage: StageFactory<Parts> = (parts): Stage => ({
  name: 'preview-restore',
  domain: 'restore',
  weight: () => 6,
  async *run(ctx): Steps {
    const spec = restoreSpec(ctx)
    const slot = previewSlot(ctx)
    const { archive } = warmArchive(ctx, parts, spec.archive, spec, restoreSlot(ctx).archive)
    if (slot.phase === 'folders') {
      yield* noteFolders(ctx, archive, slot)
      slot.phase = 'entries'
      slot.next = 0
    }
    using judge = new Judge(ctx, parts, archive)
    yield* judgeEntries(ctx, archive, judge, slot)
    conclude(ctx, parts, slot)
  },
})

async function* noteFolders(ctx: StageContext, archive: OpenArchive, slot: PreviewSlot): Steps {
  const notes = new FolderNotes(ctx)
  const plan = makePlan(ctx, new ManifestCursor(null, 0, 0, () => undefined), [], archive.count)
  let since = 0
  for (const entry of archive.entries(slot.next)) {
    const { wanted, fault, components } = plan.item(entry)
    slot.next = entry.index + 1
    if (wanted && fault === null && !notes.note(entry.kind === 'dir' ? components : components.slice(0, -1))) {
      slot.many = true
      ctx.log('warn', 'the archive holds so many folders that files and links are not compared with them')
      return
    }
    if (++since < JUDGED && !ctx.closing) continue
    since = 0
    yield progress(slot.next, archive, entry.path)
  }
}

/** Half of the way each: the entries are run through twice. */
function progress(done: number, archive: OpenArchive, path: Buffer): Progress {
  return { step: 'looking', substep: displayName(path), done, total: archive.count * 2 }
}

async function* judgeEntries(ctx: StageContext, archive: OpenArchive, judge: Judge, slot: PreviewSlot): Steps {
  const missing: ManifestEntry[] = []
  const file = restoreSlot(ctx).manifestReady ? ctx.file(FILES.manifest) : null
  const cursor = new ManifestCursor(file, slot.line, slot.misses, (line) => missing.push(line))
  const plan = makePlan(ctx, cursor, missing, archive.count)
  let items: Item[] = []
  for (const entry of archive.entries(slot.next)) {
    items.push(plan.item(entry))
    if (items.length < JUDGED && !ctx.closing) continue
    await settle(judge, slot, items)
    items = []
    yield progress(archive.count + slot.next, archive, entry.path)
  }
  await settle(judge, slot, items)
  yield* judgeRest(plan, cursor, judge, slot)
  if (!cursor.broken) return
  ctx.warn('damaged_entry', 'the manifest does not fit the archive; entries were checked by their CRC alone')
}

async function settle(judge: Judge, slot: PreviewSlot, items: readonly Item[]): Promise<void> {
  await judge.judge(items)
  const last = items.at(-1)
  if (last === undefined) return
  slot.next = last.entry.index + 1
  slot.line = last.after.line
  slot.misses = last.after.misses
}

/** What the manifest lists after the last entry is missing too. */
async function* judgeRest(plan: Plan, cursor: ManifestCursor, judge: Judge, slot: PreviewSlot): Steps {
  for (;;) {
    let more = true
    for (let i = 0; i < LINES && more; i++) more = cursor.skip()
    for (const line of plan.takeMissing()) judge.missing(line)
    slot.line = cursor.position
    slot.misses = cursor.misses
    if (!more) return
    yield { step: 'looking' }
  }
}

function conclude(ctx: StageContext, parts: Parts, slot: PreviewSlot): void {
  const found = countsOf(ctx, parts, slot)
  const { target } = restoreSpec(ctx)
  if (!found.writable) ctx.warn('not_restored', `this account may not write into ${target}`)
  if (found.free < found.need) {
    ctx.warn('not_restored', `${target} has ${found.free} bytes free; the restore needs ${found.need}`)
  }
  ctx.setPreview(found)
  ctx.part('archive').status = 'completed'
  for (const key of ['archive', 'repeats', 'preview-folders']) ctx.forget(key)
  for (const name of ['manifest', 'repeats', 'previewFolders'] as const) ctx.drop(FILES[name])
}

function countsOf(ctx: StageContext, parts: Parts, slot: PreviewSlot): PreviewCounts {
  const { files, folders, links, bytes, special, found, attributed } = slot
  const { target, owners } = restoreSpec(ctx)
  const at = nearestFolder(ctx.disk, target)
  return {
    ...{ files, folders, links, bytes, ...found, special },
    need: restoreSlot(ctx).need ?? 0,
    free: ctx.disk.free(at),
    writable: ctx.disk.writable(at),
    owners: !owners ? 'not_asked' : parts.root ? 'set' : 'not_permitted',
    xattrs: { entries: attributed, settable: parts.setfattr !== null },
  }
}
