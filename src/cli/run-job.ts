import type { Command } from 'commander'
import { isEnded } from '../engine/job.ts'
import { BackupError } from '../lib/errors.ts'
import type { JobKind, Pacing } from '../engine/spec.ts'
import type { Backend, JobState } from './backend.ts'
import { drive } from './drive.ts'
import { EXIT, exitCodeOf } from './exit.ts'
import type { ExitCode } from './exit.ts'
import { errorLines } from './failure.ts'
import { finalObject } from './final.ts'
import { shellWord } from './format.ts'
import { Interrupt } from './interrupt.ts'
import { reporterFor } from './report/choose.ts'
import type { Reporter } from './report/reporter.ts'
import { defined } from './session.ts'
import type { Session } from './session.ts'

/** The slice of runs that no profile paces: short enough that Ctrl-C is answered soon, long enough to cost nothing. */
export const DEFAULT_SLICE_MS = 2000

/** A slice the command line asks for: used whole, and no rest between slices. */
export function pacingOf(sliceMs: number): Pacing {
  return { minMs: 0, maxMs: sliceMs, bias: 100 }
}

/** The command that takes a job up again, as one types it here. */
export function resumeCommand(session: Session, backend: Backend, state: JobState): string {
  const program = session.io.env['npm_lifecycle_event'] === 'ratchet' ? 'npm run -s ratchet --' : 'ratchet'
  const words = [...backend.reach, state.kind, '--resume', String(state.number)]
  return `${program} ${words.map(shellWord).join(' ')}`
}

export interface JobRun {
  /** Starts a job or finds the one to go on with. */
  begin: (backend: Backend) => Promise<JobState>
  /** Pacing of each step, if it shall differ from what the job was started with. */
  pacing?: Pacing
}

/** Runs a job to its end, to a signal or to a failure; tells it; sets the exit code. */
export async function runJob(session: Session, command: Command, run: JobRun): Promise<void> {
  await using backend = await session.open(command, { steps: true })
  const reporter = reporterFor(session.io, session.json(command))
  using interrupt = new Interrupt(session.io, () => {
    reporter.note('stopping after the running step; once more leaves at once')
  })
  let last: JobState | null = null
  const unwatch = reporter.live ? watch(backend, () => last, reporter) : () => undefined
  try {
    const state = await drive(backend, await run.begin(backend), {
      clock: session.io.clock,
      signal: interrupt.signal,
      ...defined({ pacing: run.pacing }),
      onState: (seen) => {
        last = seen
        reporter.state(seen)
      },
    })
    session.exitCode = await conclude(session, backend, state, reporter)
  } catch (error) {
    reporter.close()
    tellResume(session, backend, last)
    throw error
  } finally {
    unwatch()
    reporter.close()
  }
}

const WATCH_MS = 400

/** Steps commit now and then: what the record says meanwhile keeps the bar moving. */
function watch(backend: Backend, current: () => JobState | null, reporter: Reporter): () => void {
  let asking = false
  const look = async (): Promise<void> => {
    const at = current()
    if (asking || at === null || at.ended) return
    asking = true
    // Only a look: what is wrong with the job is reported by its step.
    const seen = await backend.get(at.number).catch(() => null)
    asking = false
    // A step that ended meanwhile has told its own, newer state.
    if (seen !== null && current() === at && !seen.ended) reporter.state(seen, true)
  }
  const timer = setInterval(() => void look(), WATCH_MS)
  return () => clearInterval(timer)
}

async function conclude(session: Session, backend: Backend, state: JobState, reporter: Reporter): Promise<ExitCode> {
  const final = await finalObject(backend, state)
  if (state.ended) {
    reporter.final(state, final)
    if (state.error !== null) session.io.stderr.write(`${errorLines(state.error).join('\n')}\n`)
    return exitCodeOf(state)
  }
  const resume = resumeCommand(session, backend, state)
  const stopped = state.status === 'stalled' ? 'stalled' : 'interrupted'
  reporter.close()
  reporter.note(`${stopped}; nothing done so far is lost. Go on with: ${resume}`)
  reporter.final(state, stopped === 'stalled' ? { ...final, resume } : { ...final, interrupted: true, resume })
  return stopped === 'stalled' ? EXIT.failed : EXIT.interrupted
}

/** The call failed, the job did not: it can go on once the cause is gone. */
function tellResume(session: Session, backend: Backend, last: JobState | null): void {
  if (last === null || last.ended) return
  session.io.stderr.write(`The job is kept. Go on with: ${resumeCommand(session, backend, last)}\n`)
}

/**
 * The job `--resume` means: the one named, else the newest of its kind that has not ended, else the
 * newest of all, whose end is told again (so a caller that lost the last reply learns the outcome).
 */
export async function jobToResume(backend: Backend, kind: JobKind, named: number | null): Promise<JobState> {
  if (named !== null) return backend.get(named)
  let newest: JobState | null = null
  for (let offset = 0; ; offset += 50) {
    const { jobs } = await backend.list({ kind, offset, limit: 50 })
    for (const job of jobs) {
      // The list is a cache: whether a job has ended is asked from its record.
      if (newest !== null && isEnded(job)) continue
      const state = await backend.get(job.number)
      if (!state.ended) return state
      newest ??= state
    }
    if (jobs.length < 50) break
  }
  if (newest === null) {
    throw new BackupError('JOB_NOT_FOUND', `there is no ${kind} to go on with`, {
      hint: `Start one: "ratchet ${kind} --help" shows how.`,
    })
  }
  return newest
}
