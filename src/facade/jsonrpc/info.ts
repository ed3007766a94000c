import type { z } from 'zod'
import { outcome, type JobView, type Part } from '../../engine/job.ts'
import type { ArtifactInfo, RestorePreview } from '../../engine/services.ts'
import type { backupInfo } from './schemas.ts'
import { stepReply } from './view.ts'

interface Known {
  readonly job: JobView
  readonly artifacts: readonly ArtifactInfo[]
  readonly parts: readonly Part[]
  readonly preview: RestorePreview | null
}

/** All that is known of one job. `paths`: whether the caller may see where files lie on the host. */
export function infoOf({ job, artifacts, parts, preview }: Known, paths: boolean): z.input<typeof backupInfo> {
  return {
    number: job.number,
    id: job.id,
    kind: job.kind,
    status: job.status,
    outcome: outcome(job),
    profile: job.spec.profile,
    ...(job.startedBy === undefined ? {} : { startedBy: job.startedBy }),
    description: job.spec.description,
    archive: job.archive,
    files: job.totals.files,
    bytes: job.totals.bytesRead,
    size: job.artifacts.bytes,
    warnings: job.warnings.total,
    createdAt: job.createdAt,
    updatedAt: job.updatedAt,
    finishedAt: job.finishedAt,
    ...job.standing,
    comment: job.spec.comment,
    totals: { ...job.totals },
    parts: parts.map((part) => ({ ...part })),
    error: job.error,
    recentWarnings: job.warnings.recent.map(({ step, code, message }) => ({ step, code, message })),
    artifacts: artifacts.map(({ name, path, size, sha256 }) => ({ name, ...(paths ? { path } : {}), size, sha256 })),
    ...(preview === null ? {} : { preview }),
    current: stepReply(job),
  }
}
