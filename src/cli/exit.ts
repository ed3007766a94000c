import type { JobState } from './backend.ts'

/** Exit codes; a program that calls us may rely on them. */
export const EXIT = {
  complete: 0,
  failed: 1,
  usage: 2,
  /** The result is there, but something selected is missing from it; each gap is named. */
  gaps: 3,
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** The exit code a job's state stands for; a job that has not ended stands for failure. */
export function exitCodeOf(state: JobState): ExitCode {
  if (state.status === 'partial') return EXIT.gaps
  if (state.status === 'completed' || state.status === 'completed_with_warnings') {
    return state.gaps ? EXIT.gaps : EXIT.complete
  }
  return EXIT.failed
}
