import type { WarningCode } from '../../engine/job.ts'

/** Warnings that tell how the run went, not that something is missing from its result. */
const HARMLESS: ReadonlySet<string> = new Set<WarningCode>([
  'own_place',
  // A file that grew: what it held when it was opened is stored whole.
  'changed',
  'state_recovered',
  'retry',
  'taken_over',
  'empty_source',
  'slow_listing',
  // About older backups.
  'retention',
])

/** Whether a warning names something selected that is missing from the result; a code not known here does. */
export function namesGap(code: string): boolean {
  return !HARMLESS.has(code)
}
