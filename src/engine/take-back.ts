import { asBackupError } from '../lib/errors.ts'
import type { JobContext } from './context.ts'
import type { JobLog } from './log.ts'
import { factsOf } from './step-log.ts'

/** What a cancelled stage has made elsewhere goes; if it cannot, the job is cancelled all the same. */
export async function takeBack(ctx: JobContext, log: JobLog): Promise<void> {
  try {
    await ctx.stage?.undo?.(ctx)
  } catch (error) {
    const known = asBackupError(error, '')
    log.add('warn', `taking back what was made: ${known.message}`, factsOf(known))
  }
}
