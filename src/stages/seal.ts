import { MANIFEST_NAME, SEAL_NAME, SUMMARY_NAME } from '../archive/manifest.ts'
import type { Stage, StageContext } from '../engine/stage.ts'
import type { BackupSpec } from '../engine/spec.ts'
import type { BackupParts } from './backup-parts.ts'
import { backupSpec } from './init.ts'
import { packOwn, SEAL_FILE } from './own-entry.ts'
import { sourcesOf } from './named-databases.ts'
import { databaseSummary, dropDatabaseList } from './store-database.ts'

/** The manifest into the archive, and what proves it where the format does not; then what ends the archive. */
export const sealStage = (parts: BackupParts): Stage => ({
  name: 'seal',
  domain: 'finalization',
  weight: () => 3,
  async *run(ctx) {
    const sink = parts.openSink(ctx)
    const sealed = !parts.holdsCrc(ctx)
    const texts = [
      { file: 'summary', name: SUMMARY_NAME, text: () => summary(parts, backupSpec(ctx), ctx) },
      { file: 'manifest', name: MANIFEST_NAME },
    ]
    yield* packOwn(ctx, sink, { key: 'seal', texts, sealed })
    if (sealed) {
      const seal = [{ file: SEAL_FILE, name: SEAL_NAME }]
      yield* packOwn(ctx, sink, { key: 'sealed', texts: seal, sealed: false })
    }
    yield* sink.close()
    dropDatabaseList(ctx)
  },
})

/** `installation/manifest.json`: what was asked for and what came of it. The same text however often the job was killed. */
function summary(parts: BackupParts, spec: BackupSpec, ctx: StageContext): string {
  const { job } = ctx
  const omitted = (job.slots['pack'] ?? {}) as { omitted?: Record<string, number> }
  return (
    JSON.stringify(
      {
        format: 1,
        program: `ratchet-backup ${parts.version}`,
        id: job.id,
        number: job.number,
        startedAt: new Date(job.createdAt).toISOString(),
        description: spec.description,
        comment: spec.comment,
        archive: { format: spec.format, partSize: spec.partSize, level: spec.level, deflate: spec.deflate },
        type: spec.type ?? 'full',
        sources: sourcesOf(spec),
        parts: ctx.parts().map(({ name, critical, status, files, bytes, omitted: left, error }) => ({
          name,
          critical,
          status,
          files,
          bytes,
          omitted: left,
          error,
        })),
        totals: { entries: job.totals.entries, files: job.totals.files, bytes: job.totals.bytesRead },
        omitted: omitted.omitted ?? {},
        databases: databaseSummary(ctx),
        consistency:
          'none: files were read one after the other while the system was running; each database is a snapshot',
      },
      null,
      2,
    ) + '\n'
  )
}
