import type { Clock } from '../lib/clock.ts'
import { BackupError } from '../lib/errors.ts'
import type { Backend, JobState, StepRequest } from './backend.ts'

/** How long somebody else may hold a job without moving it before we give up. */
const BUSY_MS = 90_000

export interface DriveOptions {
  readonly clock: Clock
  /** Aborted: no further step is begun. */
  readonly signal: AbortSignal
  readonly pacing?: StepRequest['pacing']
  readonly onState: (state: JobState) => void
}

/**
 * Steps a job until it ends, stalls or the signal aborts; returns its last state. Each call awaits
 * the number after the last one seen, so a step that another process took is noticed, not repeated.
 */
export async function drive(backend: Backend, first: JobState, options: DriveOptions): Promise<JobState> {
  let state = first
  options.onState(state)
  let busySince: number | null = null
  while (!state.ended && !options.signal.aborted) {
    await options.clock.sleep(state.sleepMs, options.signal)
    if (options.signal.aborted) break
    const next = await stepOnce(backend, state, options)
    if (next === 'elsewhere') {
      const now = options.clock.mono()
      busySince ??= now
      if (now - busySince > BUSY_MS) throw heldTooLong(state)
      await options.clock.sleep(300, options.signal)
      const seen = await backend.get(state.number)
      if (seen.step === state.step && !seen.ended) continue
      state = seen
    } else {
      state = next
    }
    busySince = null
    options.onState(state)
    if (state.status === 'stalled') break
  }
  return state
}

/** Another process holds the job or has moved it on: where it stands is told by the record. */
const ELSEWHERE: ReadonlySet<string> = new Set(['JOB_BUSY', 'STEP_OUT_OF_ORDER', 'LEASE_LOST'])

async function stepOnce(backend: Backend, state: JobState, options: DriveOptions): Promise<JobState | 'elsewhere'> {
  try {
    return await backend.step(state.number, {
      expect: state.step + 1,
      ...(options.pacing === undefined ? {} : { pacing: options.pacing }),
    })
  } catch (error) {
    if (error instanceof BackupError && ELSEWHERE.has(error.code)) return 'elsewhere'
    throw error
  }
}

function heldTooLong(state: JobState): BackupError {
  return new BackupError('JOB_BUSY', `job ${state.number} is held by another process that does not move it on`, {
    hint: 'Find the process that works on it, or wait until its lease has run out, then go on.',
  })
}
