import process from 'node:process'
import type { App } from '../../app.ts'
import { isEnded, type JobView } from '../../engine/job.ts'
import type { Clock } from '../../lib/clock.ts'
import { BackupError } from '../../lib/errors.ts'

export type Stage = 'backup' | 'verify' | 'restore'

export interface Measured {
  stage: Stage
  variant: string
  /** Bytes of the corpus, and how many of them a second: MiB/s. */
  bytes: number
  mibPerSecond: number
  ms: number
  steps: number
  /** Length of a step, asked for to answered: 99 of 100 are not longer. Milliseconds. */
  p99Ms: number
  longestMs: number
  /** The most memory this process held. Bytes. */
  rss: number
}

/** The job was stopped by a signal. */
export class Stopped extends Error {}

const LOOK = 50

/** Steps a job to its end and says what that took. */
export async function measure(
  { engine }: App,
  clock: Clock,
  signal: AbortSignal,
  what: { stage: Stage; variant: string; bytes: number },
  start: () => Promise<JobView>,
): Promise<{ measured: Measured; job: JobView }> {
  let rss = 0
  const look = (): void => void (rss = Math.max(rss, process.memoryUsage.rss()))
  const timer = setInterval(look, LOOK)
  const lengths: number[] = []
  const timed = async (step: () => Promise<JobView>): Promise<JobView> => {
    const begun = clock.mono()
    const job = await step()
    lengths.push(clock.mono() - begun)
    look()
    if (!signal.aborted || isEnded(job)) return job
    await engine.cancel(job.number)
    throw new Stopped()
  }
  const begun = clock.mono()
  try {
    let job = await timed(start)
    while (!isEnded(job)) job = await timed(() => engine.step(job.number))
    const ms = clock.mono() - begun
    if (job.status !== 'completed') throw failure(what.stage, job)
    const sorted = lengths.toSorted((a, b) => a - b)
    const p99Ms = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0
    const rate = what.bytes / 1024 / 1024 / (Math.max(1, ms) / 1000)
    const measured = {
      ...what,
      mibPerSecond: rate,
      ms,
      steps: lengths.length,
      p99Ms,
      longestMs: sorted.at(-1) ?? 0,
      rss,
    }
    return { measured, job }
  } finally {
    clearInterval(timer)
  }
}

const failure = (stage: Stage, { status, error }: JobView): BackupError =>
  error === null ? new BackupError('INTERNAL', `the ${stage} ended as ${status}`) : BackupError.fromRecord(error)
