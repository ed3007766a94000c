import { SUMMARY_NAME, MANIFEST_NAME } from '../archive/manifest.ts'
import { BackupError } from '../lib/errors.ts'
import type { Stage, StageContext } from '../engine/stage.ts'
import type { BackupSpec } from '../engine/spec.ts'
import type { SourceItem } from '../source/source.ts'
import type { BackupParts } from './backup-parts.ts'
import { backupSpec } from './init.ts'
import { ownEntry } from './own-entry.ts'

interface SealSlot {
  /** Entries of our own that are in the archive. */
  own: number
}

const OWN = [
  { file: 'summary', name: SUMMARY_NAME },
  { file: 'manifest', name: MANIFEST_NAME },
] as const

/** The manifest into the archive, then what ends it. */
export const sealStage = (parts: BackupParts): Stage => ({
  name: 'seal',
  domain: 'finalization',
  weight: () => 3,
  async *run(ctx) {
    const slot = ctx.slot<SealSlot>('seal', () => {
      ctx.file('summary').write(Buffer.from(summary(parts, backupSpec(ctx), ctx), 'utf8'))
      return { own: 0 }
    })
    const sink = parts.openSink(ctx)
    yield* sink.feed(
      'own',
      () => own(ctx, slot.own),
      (_item, taken) => {
        if (taken?.stored !== true)
          throw new BackupError('INTERNAL', `the archive's own entry ${slot.own} was left out`)
        slot.own++
        // The totals tell what was backed up, not what we wrote about it.
        ctx.count({ entries: -1, files: -1, bytesRead: -taken.size })
      },
    )
    yield* sink.close()
    ctx.drop('summary')
    ctx.drop('manifest')
  },
})

async function* own(ctx: StageContext, from: number): AsyncGenerator<SourceItem, void, undefined> {
  for (const [i, { file, name }] of OWN.entries()) {
    if (i >= from) yield ownEntry(() => ctx.file(file), name, i, ctx.job.createdAt)
  }
}

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
        archive: { format: spec.format, partSize: spec.partSize, level: spec.level },
        sources: spec.sources,
        parts: job.parts.map(({ name, critical, status, files, bytes, omitted: left, error }) => ({
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
        consistency: 'none: files were read one after the other while the system was running',
      },
      null,
      2,
    ) + '\n'
  )
}
