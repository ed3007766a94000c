import { randomInt } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'
import { ConnectionError, RatchetError } from './errors.ts'

export interface RetryOptions {
  /** First wait; doubles with each try. Milliseconds. */
  readonly baseMs?: number
  readonly maxMs?: number
  /** Given up after this long without a good answer. Milliseconds. */
  readonly giveUpMs?: number
  /** A number in [0, 1): spreads clients that lost their server at the same moment. */
  readonly random?: () => number
}

export type Policy = Required<RetryOptions>

export const RETRY: Policy = {
  baseMs: 200,
  maxMs: 10_000,
  giveUpMs: 5 * 60_000,
  random: () => randomInt(2 ** 32) / 2 ** 32,
}

/** Whether the same call may do better later, unchanged. */
function isPassing(error: unknown): error is ConnectionError | RatchetError {
  return error instanceof ConnectionError || (error instanceof RatchetError && error.code === 'JOB_BUSY')
}

/**
 * Repeats `attempt` until it answers, fails for good, or `giveUpMs` have passed since its first
 * failure. The wait is half fixed, half random; a longer one that the server asked for is kept.
 */
export async function retrying<T>(
  attempt: () => Promise<T>,
  policy: Policy,
  clock: Clock,
  signal?: AbortSignal,
): Promise<T> {
  let since: number | null = null
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      if (!isPassing(error)) throw error
      since ??= clock.mono()
      const wait = waitFor(error, tries, policy)
      if (clock.mono() + wait - since > policy.giveUpMs) throw error
      await clock.sleep(wait, signal)
    }
  }
}

function waitFor(error: ConnectionError | RatchetError, tries: number, policy: Policy): number {
  const step = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(tries, 20))
  const asked = error instanceof ConnectionError ? (error.retryAfterMs ?? 0) : 0
  return Math.max(asked, step / 2 + (step / 2) * policy.random())
}
