import path from 'node:path'
import { AuditTrail } from './access/audit.ts'
import { LOCAL_NAME } from './access/job-trail.ts'
import { createCodec, type Codec } from './archive/codec.ts'
import { joinParts, type PartSource } from './archive/parts.ts'
import type { ArchiveReader } from './archive/reader.ts'
import { jobPaths } from './engine/paths.ts'
import { Shelf, type RemovalTrail } from './engine/shelf.ts'
import type { Stage, StageContext, StageName } from './engine/stage.ts'
import { SqliteDumper } from './dump/sqlite.ts'
import { systemClock } from './lib/clock.ts'
import { errnoOf } from './lib/errors.ts'
import { Redactor } from './lib/redact.ts'
import { formatNamed, stagesOf } from './registry.ts'
import { restoreStages } from './restore-parts.ts'
import { ArchiveSink } from './sink/archive-sink.ts'
import { countDirectory, newCount } from './source/count.ts'
import { openDirectory, type DirectoryEnv, type LabelledDirectory } from './source/directory.ts'
import { labelsFor } from './source/labels.ts'
import { dropLists, newListSlot, type ListSlot, type ListStore } from './source/list-store.ts'
import type { Source } from './source/source.ts'
import type { BackupParts, PlaceId } from './stages/backup-parts.ts'
import { backupSpec } from './stages/init.ts'
import { restoreScript } from './installation/script.ts'
import { restoreReadme } from './installation/readme.ts'
import { Keys } from './settings/keys.ts'
import { proveParts } from './stages/prove-parts.ts'
import { VERSION } from './version.ts'

export interface StepParts extends Disposable {
  readonly stages: Readonly<Record<StageName, Stage>>
}

/** Everything a thread that steps needs: the stages with their parts, over one codec. The redactor learns what they open. */
export function openStages(options: { dataDir: string; threads: number; redactor?: Redactor }): StepParts {
  const codec = createCodec({ threads: options.threads })
  const { dataDir, redactor = new Redactor() } = options
  return {
    stages: stagesOf(backupParts(dataDir, codec, redactor), restoreStages(dataDir, codec, redactor)),
    [Symbol.dispose]: () => codec[Symbol.dispose](),
  }
}

function backupParts(dataDir: string, codec: Codec, redactor: Redactor): BackupParts {
  return {
    labels: labelsFor,
    openSource: (spec, label, ctx, { own, databases }) =>
      releasing(openDirectory({ ...spec, label }, { ...envOf(ctx, own), databases }), ctx),
    openDumper: () => new SqliteDumper(systemClock),
    // The drivers are loaded where there is a database to be read.
    openSqlDump: async (spec, consistency) =>
      (await import('./open-dump.ts')).openSqlDump(dataDir, spec, consistency, redactor),
    async *countSource(spec, label, own, ctx, count) {
      const key = `count-${label}`
      const state = ctx.slot(key, newCount)
      const labelled: LabelledDirectory = { ...spec, label }
      for await (const seen of countDirectory(labelled, envOf(ctx, own), state)) {
        yield { step: 'counting', substep: `${label}: ${seen.files} files` }
      }
      count(state.files, state.bytes)
      ctx.clearSlot(key)
    },
    openSink(ctx) {
      const spec = backupSpec(ctx)
      const { level, partSize, deflate } = spec
      return new ArchiveSink(ctx, { format: formatNamed(spec.format), codec, partSize, level, deflate })
    },
    partName: (ctx, base, index, count) => formatNamed(backupSpec(ctx).format).partName(base, index, count),
    holdsCrc: (ctx) => formatNamed(backupSpec(ctx).format).writer.holdsCrc,
    ownPlaces: (ctx) => placesOf(ctx, [dataDir, ...keyFiles(ctx, dataDir), backupSpec(ctx).output, ctx.folder('out')]),
    proveParts: (ctx, parts, done) => proveParts({ codec, open: openFinished }, ctx, parts, done),
    olderBackups: (ctx) => new Shelf(ctx.disk, ctx.clock, jobPaths(dataDir), { trail: trailOf(ctx, dataDir) }),
    version: VERSION,
    restoreScript,
    restoreReadme,
  }
}

/** What retention removes stands in the audit trail, before it begins (S-LOG-2), under the name of whoever started the backup. */
function trailOf({ disk, clock, job }: StageContext, dataDir: string): RemovalTrail {
  const audit = new AuditTrail(disk, clock, dataDir)
  const { number: by, startedBy: actor = LOCAL_NAME } = job
  const where = { face: 'retention', address: '', request: '' }
  return (number, result) =>
    audit.note({ ...where, event: 'backup.delete', actor, object: `job:${number} by job:${by}`, result })
}

type Finished = readonly { name: string; path: string; size: number }[]

/** Two views: the hash runs ahead of the entries, and each wants its own read-ahead. */
function openFinished(ctx: StageContext, parts: Finished): { bytes: PartSource; reader: ArchiveReader } {
  const entries = joinParts(ctx.disk, parts)
  try {
    return { bytes: joinParts(ctx.disk, parts), reader: formatNamed(backupSpec(ctx).format).open(entries) }
  } catch (error) {
    entries[Symbol.dispose]()
    throw error
  }
}

/** A walk that is stopped politely ends at a safe point of the step: it is never torn out of its folder. */
const never = new AbortController().signal

function envOf(ctx: StageContext, own: readonly PlaceId[]): DirectoryEnv {
  return { disk: ctx.disk, own, list: listStore(ctx), signal: never, log: (level, message) => ctx.log(level, message) }
}

function listStore(ctx: StageContext): ListStore {
  return {
    file: (name) => ctx.file(name),
    drop: (name) => ctx.drop(name),
    slot: () => ctx.slot<ListSlot>('lists', newListSlot),
    keep: (key, make) => ctx.keep(`list:${key}`, make),
    forget: (key) => ctx.forget(`list:${key}`),
  }
}

/** Listings of large folders are given up once the source is taken whole. */
function releasing(source: Source, ctx: StageContext): Source {
  return {
    label: source.label,
    async *items(after) {
      yield* source.items(after)
      dropLists(listStore(ctx))
    },
  }
}

/** A key beside what it opens would be none; it may lie outside the data folder. */
const keyFiles = ({ disk }: StageContext, dataDir: string): readonly string[] =>
  new Keys(disk, dataDir, process.env).files

function placesOf(ctx: StageContext, folders: readonly string[]): PlaceId[] {
  const places: PlaceId[] = []
  for (const folder of folders) {
    try {
      const { dev, ino } = ctx.disk.stat(path.resolve(folder))
      places.push({ dev, ino })
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error // not made yet: nothing to leave out
    }
  }
  return places
}
