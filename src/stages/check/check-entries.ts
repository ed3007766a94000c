import type { ArchiveEntry } from '../../archive/format.ts'
import type { ManifestEntry } from '../../archive/manifest.ts'
import type { StageContext, Steps } from '../../engine/stage.ts'
import { displayName } from '../../lib/entry-path.ts'
import type { OpenArchive, Parts } from '../parts.ts'
import { headFault } from '../restore/contents.ts'
import { Feed, type Group } from '../restore/feed.ts'
import { ManifestCursor } from '../restore/manifest-cursor.ts'
import type { Item } from '../restore/plan.ts'
import type { Fault } from '../restore/report.ts'
import { checkLarge } from './check-large.ts'
import { CHECK_FILES, checkSlot, countEntry, noteDamage, type CheckSlot } from './slot.ts'

/** Lines of the manifest without an entry that are named between two safe points. */
const LINES = 1000

/** Unpacks every entry and compares it with its CRC and its line in the manifest. */
export async function* checkEntries(ctx: StageContext, parts: Parts, archive: OpenArchive): Steps {
  const slot = checkSlot(ctx)
  const missing: ManifestEntry[] = []
  const file = slot.manifestReady ? ctx.file(CHECK_FILES.manifest) : null
  const cursor = new ManifestCursor(file, slot.line, slot.misses, (line) => missing.push(line))
  const codec = parts.codec()
  const feed = new Feed(archive, codec, itemsOf(archive, slot, cursor, missing))
  try {
    for (let group = await feed.next(true); group !== null; group = await feed.next(!ctx.closing)) {
      const last = group.items.at(-1) as Item
      if (group.large) yield* checkLarge(ctx, archive, codec, last)
      else takeSmall(ctx, group)
      for (const item of group.items) for (const line of item.missing) lost(ctx, line)
      slot.next = last.entry.index + 1
      slot.line = last.after.line
      slot.misses = last.after.misses
      const idle = ctx.closing && feed.ahead === 0
      yield { ...progressOf(last, archive), ...(idle ? { idle: true } : {}) }
    }
    yield* checkRest(ctx, cursor, missing)
  } finally {
    await feed.abandon()
  }
}

function progressOf(item: Item, archive: OpenArchive): { step: string; substep: string; done: number; total: number } {
  const total = archive.parts.reduce((sum, part) => sum + part.size, 0)
  const done = Math.min(total, item.entry.offset + item.entry.stored)
  return { step: 'checking', substep: displayName(item.entry.path), done, total }
}

function* itemsOf(
  archive: OpenArchive,
  slot: CheckSlot,
  cursor: ManifestCursor,
  missing: ManifestEntry[],
): Generator<Item> {
  for (const entry of archive.entries(slot.next)) {
    const line = cursor.lineFor(entry.path)
    yield {
      entry,
      line,
      components: [],
      fault: faultBefore(entry, line),
      wanted: true,
      missing: missing.splice(0),
      after: { line: cursor.position, misses: cursor.misses },
    }
  }
}

/** What is wrong with an entry before its content is looked at. */
function faultBefore(entry: ArchiveEntry, line: ManifestEntry | null): Fault | null {
  if (entry.refused !== undefined) return { kind: 'damaged', message: entry.refused.message }
  return headFault({ entry, line }) ?? metadataFault(entry, line)
}

/** Seconds that every format of ours holds exactly. */
const SECONDS = { from: 315_532_800, to: 0x7fff_ffff } as const

function metadataFault(entry: ArchiveEntry, line: ManifestEntry | null): Fault | null {
  if (line === null) return null
  if ((line.mode & 0xffff) !== (entry.mode & 0xffff))
    return { kind: 'damaged', message: 'its mode differs from the manifest' }
  const seconds = Math.floor(Number(line.mtimeNs / 1_000_000n) / 1000)
  const comparable = seconds > SECONDS.from && seconds < SECONDS.to
  // Some formats hold no time of folders and links; one that a file has lost is damage.
  const held = entry.mtime !== null || entry.kind === 'file'
  if (comparable && held && (entry.mtime === null || seconds !== Math.floor(entry.mtime))) {
    return { kind: 'damaged', message: 'its time differs from the manifest' }
  }
  return null
}

function takeSmall(ctx: StageContext, group: Group): void {
  for (const [i, item] of group.items.entries()) {
    const content = group.contents.get(i)
    const fault = item.fault ?? (content !== undefined && 'fault' in content ? content.fault : null)
    countEntry(ctx, item, fault)
  }
}

function lost(ctx: StageContext, line: ManifestEntry): void {
  ctx.part('archive').omitted++
  noteDamage(ctx, line.path, 'the manifest lists it, and the archive does not hold it')
}

async function* checkRest(ctx: StageContext, cursor: ManifestCursor, missing: ManifestEntry[]): Steps {
  const slot = checkSlot(ctx)
  for (let more = true; more;) {
    for (let i = 0; i < LINES && more; i++) more = cursor.skip()
    for (const line of missing.splice(0)) lost(ctx, line)
    slot.line = cursor.position
    slot.misses = cursor.misses
    if (more) yield { step: 'checking' }
  }
  if (cursor.broken) noteDamage(ctx, 'the manifest', 'it does not fit the archive')
}
