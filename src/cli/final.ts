import type { ErrorRecord } from '../lib/errors.ts'
import type { JobSummary, RestorePreview } from '../engine/services.ts'
import type { Standing, Totals } from '../engine/job.ts'
import type { Backend, JobState } from './backend.ts'
import { exitCodeOf } from './exit.ts'
import * as format from './format.ts'
import { previewHeadline, previewLines } from './preview.ts'

/** The last line of `--json`: a job as programs see it. Sizes in bytes, times ISO 8601. */
export interface FinalObject extends Standing {
  event: 'final'
  id: string
  number: number
  kind: string
  /** completed, completed_with_warnings, partial, failed, cancelled, timeout; running, pending, stalled if it can go on. */
  status: string
  step: number
  percent: number
  archive: string | null
  description: string
  artifacts: { path: string; size: number; sha256: string }[]
  totals: Totals
  warnings: number
  /** Something selected is missing from the result; warnings and log name it. */
  gaps: boolean
  /** What the dry run of a restore found. */
  preview?: RestorePreview
  error: ErrorRecord | null
  createdAt: string | null
  finishedAt: string | null
  /** Stopped by a signal; `resume` is the command that goes on. */
  interrupted?: true
  resume?: string
}

export async function finalObject(backend: Backend, state: JobState): Promise<FinalObject> {
  const artifacts = state.ended ? await backend.artifacts(state.number) : []
  const dryRun = state.ended && state.kind === 'restore'
  const preview = dryRun ? await backend.restorePreview(state.number) : null
  return {
    event: 'final',
    id: state.id,
    number: state.number,
    kind: state.kind,
    status: state.status,
    step: state.step,
    percent: state.percent,
    archive: state.archive,
    description: state.description,
    artifacts: artifacts.map(({ path, size, sha256 }) => ({ path, size, sha256 })),
    totals: state.totals,
    warnings: state.warnings.total,
    gaps: state.gaps,
    ...(preview === null ? {} : { preview }),
    error: state.error,
    createdAt: format.iso(state.createdAt),
    finishedAt: format.iso(state.finishedAt),
    ...standingOf(state),
  }
}

/** `frozen`, `filesRemoved` where they are so. */
function standingOf({ frozen, filesRemoved }: Standing): Standing {
  return { ...(frozen === undefined ? {} : { frozen }), ...(filesRemoved === undefined ? {} : { filesRemoved }) }
}

const KINDS: Readonly<Record<string, string>> = { backup: 'Backup', restore: 'Restore', verify: 'Verify' }

function headline(state: JobState, preview?: RestorePreview): string {
  if (preview !== undefined) return previewHeadline(state)
  const job = `${KINDS[state.kind] ?? state.kind} ${state.number}`
  if (!state.ended) return `${job} is ${state.status} at ${state.percent} %`
  if (exitCodeOf(state) === 0) return `${job} is complete`
  if (exitCodeOf(state) === 3) return `${job} is complete, with gaps that its warnings name`
  return `${job}: ${state.status}`
}

function took(state: JobState): string {
  return state.finishedAt === null ? '' : ` in ${format.duration(state.finishedAt - state.createdAt)}`
}

/** The same for people. */
export function finalLines(state: JobState, final: FinalObject): string[] {
  const { totals } = state
  const lines = [headline(state, final.preview), `  id        ${state.id}`]
  if (state.description !== '') lines.push(`  about     ${format.printable(state.description)}`)
  for (const artifact of final.artifacts) {
    lines.push(`  file      ${format.printable(artifact.path)}  ${format.size(artifact.size)}`)
    if (final.artifacts.length <= 4) lines.push(`            sha256 ${artifact.sha256}`)
  }
  if (state.frozen) lines.push('  frozen    nobody can delete it until it is unfrozen')
  if (state.filesRemoved !== undefined) {
    const { at, by, reason } = state.filesRemoved
    const who = by === 'retention' ? 'by retention' : 'on request'
    lines.push(`  file      none: removed ${who} on ${format.time(at)}: ${format.printable(reason)}`)
  }
  if (final.preview !== undefined) return [...lines, ...previewLines(state, final.preview)]
  const written = totals.bytesWritten > 0 ? `, ${format.size(totals.bytesWritten)} written` : ''
  lines.push(
    `  content   ${format.count(totals.files, 'file')}, ${format.size(totals.bytesRead)} read${written}${took(state)}`,
  )
  // What a swap of databases leaves behind: somebody has to drop it one day.
  if (state.ended && state.activity.includes(' is kept as '))
    lines.push(`  note      ${format.printable(state.activity)}`)
  if (state.warnings.total > 0)
    lines.push(`  warnings  ${format.count(state.warnings.total)} (ratchet log ${state.number})`)
  return lines
}

/** One line of `ratchet list --json`. */
export function summaryObject(job: JobSummary): Record<string, unknown> {
  const { number, id, kind, outcome, profile, description, archive, files, bytes, size, warnings } = job
  return {
    number,
    id,
    kind,
    status: outcome,
    profile,
    description,
    archive,
    files,
    bytes,
    size,
    warnings,
    createdAt: format.iso(job.createdAt),
    finishedAt: format.iso(job.finishedAt),
    ...standingOf(job),
  }
}
