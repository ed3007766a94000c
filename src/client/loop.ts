import type { Clock } from '../lib/clock.ts'
import { RatchetError } from './errors.ts'
import type { StepReply } from './types.ts'

export interface RunOptions {
  /** Called with every reply, the first and the last included. */
  readonly onProgress?: (reply: StepReply) => void
  /** Ends the loop; the job stays as it is and can be resumed. */
  readonly signal?: AbortSignal
  /** On abort, cancel the job as well: one try, whose failure is thrown instead of the signal's reason. */
  readonly cancelOnAbort?: boolean
}

interface WithSignal {
  readonly signal?: AbortSignal
}

/** What the loop needs of the client. */
export interface Driver {
  readonly clock: Clock
  first(call: WithSignal): Promise<StepReply>
  step(id: string, step: number, call: WithSignal): Promise<StepReply>
  /** The reply the job gave last. */
  current(id: string, call: WithSignal): Promise<StepReply>
  cancel(id: string): Promise<unknown>
}

/** Start, then step after step with the number each awaits, waiting as asked, until the job is over. */
export async function runLoop(driver: Driver, options: RunOptions): Promise<StepReply> {
  const { signal, onProgress } = options
  const call: WithSignal = signal === undefined ? {} : { signal }
  let reply: StepReply | null = null
  try {
    signal?.throwIfAborted()
    reply = await driver.first(call)
    onProgress?.(reply)
    while (reply.HasRun) {
      if (reply.sleepTime > 0) await driver.clock.sleep(reply.sleepTime, signal)
      signal?.throwIfAborted()
      reply = await advance(driver, reply, call)
      onProgress?.(reply)
    }
    return reply
  } catch (error) {
    if (signal?.aborted === true && options.cancelOnAbort === true && reply !== null)
      await driver.cancel(reply.backupid)
    throw error
  }
}

/**
 * The next reply. Somebody else may have stepped meanwhile: then the job itself says where it stands.
 * When it says the same again and again, the refusal is passed on.
 */
async function advance(driver: Driver, reply: StepReply, call: WithSignal): Promise<StepReply> {
  for (let tries = 1; ; tries++) {
    try {
      return await driver.step(reply.backupid, reply.stepNumber + 1, call)
    } catch (error) {
      if (!(error instanceof RatchetError) || !BEHIND.has(error.code)) throw error
      const current = await driver.current(reply.backupid, call)
      if (current.stepNumber !== reply.stepNumber || !current.HasRun) return current
      if (tries === RESYNCS) throw error
    }
    await driver.clock.sleep(RESYNC_WAIT_MS * tries, call.signal)
    call.signal?.throwIfAborted()
  }
}

/** Codes that say: our idea of the job is behind. */
const BEHIND: ReadonlySet<string> = new Set(['STEP_OUT_OF_ORDER', 'LEASE_LOST'])
const RESYNCS = 5
const RESYNC_WAIT_MS = 200
