import type { JobState } from '../backend.ts'
import type { FinalObject } from '../final.ts'

/** How a run is told: a bar for people, lines for logs, JSON for programs. */
export interface Reporter {
  /** Whether it shows progress within steps too. */
  readonly live: boolean
  /** After each step, and within steps (`live`) for those that show it. */
  state(state: JobState, live?: boolean): void
  /** Something to know that changes nothing: on stderr, or as an event. */
  note(text: string): void
  /** Once, after the last state. */
  final(state: JobState, final: FinalObject): void
  /** Leaves the terminal as it was. Called on every way out. */
  close(): void
}
