import { BackupError } from '../lib/errors.ts'
import { isEnded, type Job } from './job.ts'
import type { StepOptions } from './services.ts'

/**
 * Whether this call repeats one that was answered: then nothing happens and the recorded answer is
 * given again (R3). STEP_OUT_OF_ORDER for any number but the last reply's and its successor's (R4).
 */
export function checkOrder(job: Job, options: StepOptions): boolean {
  const { expect, key } = options
  if (key !== undefined && job.lastKey?.key === key && job.lastKey.step <= job.steps) return true
  if (expect === undefined) return isEnded(job)
  if (expect === job.steps) return true
  if (expect === job.steps + 1 && !isEnded(job)) return false
  const ended = isEnded(job) ? ' and was the last one' : ''
  throw new BackupError(
    'STEP_OUT_OF_ORDER',
    `step ${expect} was asked for; the last reply was step ${job.steps}${ended}`,
    {
      data: { expected: job.steps + 1, last: job.steps, asked: expect },
    },
  )
}

interface Asked {
  expect?: number
  key?: string
  clear?: true
}

/** Asked of the very record that a take of the job goes on from. */
export type Wanted = (job: Job) => boolean

/** The order was checked when the call came in; whoever held the job then may have answered it since (R4). */
export function isAnswered(job: Job, { expect, key, clear }: Asked): boolean {
  if (clear === true) return !isEnded(job)
  return checkOrder(job, { ...(expect === undefined ? {} : { expect }), ...(key === undefined ? {} : { key }) })
}
