import { displayName } from '../lib/entry-path.ts'
import type { BackupError } from '../lib/errors.ts'
import type { Progress, Stage, StageContext } from '../engine/stage.ts'
import type { Entry, Mark, Omission, SourceItem } from '../source/source.ts'
import type { Taken } from '../sink/sink.ts'
import type { BackupParts, DatabaseCopier } from './backup-parts.ts'
import { dropCopies, isStoredAsFile } from './copy-slots.ts'
import { backupSpec, failSource, isLostSource } from './init.ts'
import { storeEntry, storeOmission } from './manifest-lines.ts'
import { labelsOf, namedDatabases, sourcesOf, type NamedDatabase } from './named-databases.ts'
import { foundDatabase, matches, noteDatabase, packNamed } from './store-database.ts'

interface PackSlot {
  source: number
  after: Mark | null
  /** Paths left out, by reason. */
  omitted: Record<string, number>
}

/** Omissions by rule: listed, but nothing the user has to act on. */
const QUIET: ReadonlySet<string> = new Set(['own_place', 'other_file_system', 'database_side_file'])

/** Each source's entries into the sink. */
export const packStage = (parts: BackupParts): Stage => ({
  name: 'pack',
  domain: 'pack',
  weight: () => 80,
  async *run(ctx) {
    const spec = backupSpec(ctx)
    const slot = ctx.slot<PackSlot>('pack', () => ({ source: 0, after: null, omitted: {} }))
    const sink = parts.openSink(ctx)
    const sources = sourcesOf(spec)
    const labels = labelsOf(parts, spec)
    const own = parts.ownPlaces(ctx)
    const named = namedDatabases(parts, ctx, spec)
    const databases: DatabaseCopier = {
      copy: (entry, file) => foundDatabase(parts, ctx, entry, { file, named }),
      isFile: (path) => isStoredAsFile(ctx, path),
    }
    while (slot.source < sources.length) {
      const source = sources[slot.source]
      const label = labels[slot.source]
      if (source !== undefined && label !== undefined && ctx.part(label).status !== 'failed') {
        ctx.part(label).status = 'running'
        const { critical } = ctx.part(label)
        const walk = (): AsyncIterable<SourceItem> =>
          parts.openSource(source, label, ctx, { own, databases }).items(slot.after)
        const items = (): AsyncIterable<SourceItem> => (critical ? walk() : untilLost(walk))
        for await (const progress of sink.feed(label, items, (item, taken) =>
          take({ ctx, slot, label, named }, item, taken),
        )) {
          yield withTotals(progress, ctx)
        }
        if (ctx.part(label).status === 'running') ctx.part(label).status = 'completed'
      }
      // Before the yield: a step that always ends here must find something else to do next time.
      slot.source++
      slot.after = null
      yield { step: `source ${label ?? ''} packed` }
    }
    yield* packNamed(parts, ctx, sink, named)
    dropCopies(ctx)
    if (ctx.job.totals.files === 0) ctx.warn('empty_source', 'the backup holds no file at all')
  },
})

/** Why a source ended before its end, by the item that says so: what is in flight may outlive the step that read it. */
const LOST = new WeakMap<SourceItem, BackupError>()

/** A source that the run can do without: that it is gone, as a whole, is told in its turn. */
async function* untilLost(walk: () => AsyncIterable<SourceItem>): AsyncGenerator<SourceItem, void, undefined> {
  try {
    yield* walk()
  } catch (error) {
    if (!isLostSource(error)) throw error
    const item: SourceItem = { type: 'pause', message: error.message }
    LOST.set(item, error)
    yield item
  }
}

function withTotals(progress: Progress, ctx: StageContext): Progress {
  const { bytesRead, bytesExpected, files, filesExpected } = ctx.job.totals
  // Small files cost by number, large ones by size.
  const total = (bytesExpected ?? 0) + 4096 * (filesExpected ?? 0)
  return { ...progress, done: bytesRead + 4096 * files, total }
}

interface Packing {
  readonly ctx: StageContext
  readonly slot: PackSlot
  readonly label: string
  readonly named: readonly NamedDatabase[]
}

/** Told at a safe point, in order: the mark moves together with what was stored. */
function take({ ctx, slot, label, named }: Packing, item: SourceItem, taken: Taken | null): void {
  if (item.type === 'pause') {
    const lost = LOST.get(item)
    if (lost !== undefined) failSource(ctx, label, lost)
    slot.after = item.mark ?? slot.after
    return
  }
  slot.after = item.mark
  if (item.type === 'omission') return omit(ctx, slot, label, item)
  if (taken === null) return
  if (!taken.stored) {
    item.database?.done()
    const { reason, message } = taken
    return omit(ctx, slot, label, { type: 'omission', mark: item.mark, path: item.path, reason, message })
  }
  store(ctx, label, item, taken)
  if (item.flaw !== undefined)
    omit(ctx, slot, label, { type: 'omission', mark: item.mark, path: item.path, ...item.flaw })
  if (item.database === undefined) return
  const which = named.filter((database) => matches(ctx, database, item))
  noteDatabase(ctx, item, which, taken.size)
}

function store(ctx: StageContext, label: string, entry: Entry, taken: Extract<Taken, { stored: true }>): void {
  storeEntry(ctx, entry, taken)
  const part = ctx.part(label)
  part.bytes += taken.size
  if (entry.kind === 'file') part.files++
  if (!taken.changed) return
  const name = displayName(entry.path)
  ctx.warn('changed', `${name}: grew while it was read; what was there at first is stored`, { path: name })
}

function omit(ctx: StageContext, slot: PackSlot, label: string, omission: Omission): void {
  const { reason, message, path } = omission
  slot.omitted[reason] = (slot.omitted[reason] ?? 0) + 1
  storeOmission(ctx, path, reason)
  const name = displayName(path)
  if (omission.quiet === true || QUIET.has(reason)) {
    ctx.log('info', `${name}: ${message} (${reason})`, { path: name })
    return
  }
  ctx.part(label).omitted++
  ctx.warn('omitted', `${name}: ${message} (${reason})`, { path: name })
}
