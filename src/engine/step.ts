import type { JobContext } from './context.ts'
import type { Job } from './job.ts'
import type { Progress } from './stage.ts'

type End = 'ended' | 'more' | 'cancelled'

/**
 * Runs the plan until it ends or the time is up. Every commit is made here and nowhere else, at a
 * safe point: a yield of a generator, or its end. Returns whether the plan has ended.
 */
export async function runSlice(ctx: JobContext, turn: () => Promise<void>): Promise<End> {
  for (let stage = ctx.stage; stage !== null; stage = ctx.stage) {
    ctx.job.domain = stage.domain
    const running = stage.run(ctx)
    try {
      for (let over = false; !over;) {
        const next = await running.next()
        over = next.done === true
        if (next.done === true) advance(ctx, next.value)
        else ctx.note(next.value)
        if (ctx.stage === null) return 'ended'
        const end = await safePoint(ctx, turn, next.done === true ? BETWEEN : next.value)
        if (end !== null) return end
      }
    } finally {
      await running.return()
    }
  }
  return 'ended'
}

/** What the end of a stage says. */
const BETWEEN: Progress = { step: '' }

async function safePoint(ctx: JobContext, turn: () => Promise<void>, progress: Progress): Promise<End | null> {
  await turn()
  if (ctx.cancelled && !irrevocable(ctx.job)) return 'cancelled'
  if (mustStop(ctx, progress)) return 'more'
  if (progress.durable === true || ctx.commitDue) await ctx.commit()
  return null
}

/** Whether the first file may be visible under its final name. */
export const publishing = (job: Job): boolean => job.slots['publish'] !== undefined

/** Whether it goes on to its end, whoever cancels it: a file may have its final name, or a database be taking its own. */
export const irrevocable = (job: Job): boolean => publishing(job) || job.slots['placing'] !== undefined

function mustStop(ctx: JobContext, progress: Progress): boolean {
  if (ctx.signal.aborted || progress.idle === true) return true
  return ctx.budget.spent && progress.beyond !== true
}

function advance(ctx: JobContext, result: void | { backTo: string }): void {
  const { job } = ctx
  const name = job.plan[job.stage]
  if (name !== undefined) ctx.log('info', `${name} done`)
  if (result !== undefined) {
    job.stage = job.plan.findIndex((stage) => stage === result.backTo)
    return
  }
  job.stage++
}

/** Lets the thread's event loop turn now and then: messages (cancel, shutdown) arrive there. */
export function turner(mono: () => number, everyMs = 20): () => Promise<void> {
  let last = mono()
  return async () => {
    const now = mono()
    if (now - last < everyMs) return
    last = now
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}
