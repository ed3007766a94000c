import type { StageContext, Steps } from '../../engine/stage.ts'
import { joined } from './placer.ts'
import type { Content } from './contents.ts'
import { extractLarge } from './extract-large.ts'
import { Feed, type Group } from './feed.ts'
import { ManifestCursor } from './manifest-cursor.ts'
import { Repeats } from './names.ts'
import { Plan, type Item } from './plan.ts'
import { Selection } from './selection.ts'
import { FILES, loadedNames, restoreSlot, restoreSpec } from './slots.ts'
import { stagingPrefix } from './target.ts'
import type { ExtractWork } from './work.ts'
import type { ManifestEntry } from '../../archive/manifest.ts'

/** Lines of the manifest without an entry that are reported between two safe points. */
const LINES = 1000

/** All entries from the slot's place on: small ones in groups, large ones by themselves. */
export async function* extractEntries(work: ExtractWork): Steps {
  const { ctx, site, slot } = work
  const missing: ManifestEntry[] = []
  const file = restoreSlot(ctx).manifestReady ? ctx.file(FILES.manifest) : null
  const cursor = new ManifestCursor(file, slot.line, slot.misses, (line) => missing.push(line))
  const plan = makePlan(ctx, cursor, missing, site.archive.count)
  const feed = new Feed(site.archive, work.codec, itemsOf(work, plan))
  site.staging.sweep(slot.open?.name ?? null)
  try {
    for (;;) {
      const group = await feed.next(!ctx.closing)
      if (group === null) break
      if (group.large) yield* extractLarge(work, group.items[0] as Item)
      else {
        addSmall(work, group)
        await work.batch.room()
      }
      // What is in flight is finished first; then the step may end.
      if (ctx.closing) {
        if (feed.ahead === 0) yield* rest(work)
      } else if (work.arrived || work.due) yield* turn(work)
    }
    await work.settle() // no yield here: a step that ends where nothing is left to do would never get past it
    yield* reportRest(work, plan, cursor)
  } finally {
    await feed.abandon()
    await work[Symbol.asyncDispose]()
  }
}

/** `missing`: the list into which `cursor` puts the lines it skips. */
export function makePlan(ctx: StageContext, cursor: ManifestCursor, missing: ManifestEntry[], entries: number): Plan {
  const spec = restoreSpec(ctx)
  const repeats = ctx.keep('repeats', () => new Repeats(ctx, entries, restoreSlot(ctx).repeats))
  const rules = {
    selection: new Selection(spec.patterns),
    skipInstallation: spec.skipInstallation,
    loaded: loadedNames(spec),
    reserved: stagingPrefix(ctx.job.id),
  }
  return new Plan(rules, cursor, repeats, missing)
}

function* itemsOf({ site, slot }: ExtractWork, plan: Plan): Generator<Item> {
  for (const entry of site.archive.entries(slot.next)) yield plan.item(entry)
}

/** A safe point with nothing left under way. */
async function* rest(work: ExtractWork): Steps {
  await work.settle()
  yield { ...work.progress(), idle: true }
  work.resumed()
}

/** A safe point behind the batch launched before, if there was one; then the present one is launched. */
async function* turn(work: ExtractWork): Steps {
  const { due } = work
  if (await work.land()) yield work.progress()
  if (due) work.launch()
}

function addSmall(work: ExtractWork, group: Group): void {
  for (const [i, item] of group.items.entries()) {
    if (!work.begin(item)) continue
    const content = group.contents.get(i) ?? null
    if (item.entry.kind === 'dir') addFolder(work, item)
    else if (content === null) continue
    else if ('fault' in content) work.batch.fault(item.entry.path, content.fault)
    else addContent(work, item, content)
  }
}

function addFolder(work: ExtractWork, item: Item): void {
  const xattrs = work.xattrs(item)
  work.batch.folder(item, {
    path: joined(item.components),
    metadata: work.metadata(item),
    ...(Object.keys(xattrs).length > 0 ? { xattrs } : {}),
    ...(item.wanted ? {} : { ifThere: true as const }),
  })
}

function addContent(work: ExtractWork, item: Item, content: Extract<Content, { bytes: Buffer }>): void {
  const metadata = work.metadata(item)
  if (item.entry.kind === 'symlink') {
    work.batch.link(item, { path: joined(item.components), target: content.bytes, metadata })
    return
  }
  work.batch.file(item, content, metadata, work.xattrs(item))
}

/** What the manifest lists after the last entry is missing too. */
async function* reportRest(work: ExtractWork, plan: Plan, cursor: ManifestCursor): Steps {
  for (let more = true; more;) {
    for (let i = 0; i < LINES && more; i++) more = cursor.skip()
    for (const line of plan.takeMissing()) work.missing(line.path)
    await work.settle()
    work.slot.line = cursor.position
    work.slot.misses = cursor.misses
    if (!more) break
    yield work.progress()
    work.resumed()
  }
  if (!cursor.broken) return
  work.ctx.warn('damaged_entry', 'the manifest does not fit the archive; entries were checked by their CRC alone')
}
