import type { BackupError } from '../lib/errors.ts'
import type { LogFields } from '../lib/logger.ts'
import type { HeldJob } from './held-job.ts'
import { JobLog } from './log.ts'
import type { StepDeps } from './take-step.ts'

/** The log of one step: every line names job, step, stage and domain. */
export function stepLog({ store, stages, redactor }: StepDeps, held: HeldJob): JobLog {
  const { disk, clock, paths } = store.deps
  const step = held.job.steps + 1
  const { number } = held.job
  const where = (): LogFields => {
    const stage = held.job.plan[held.job.stage]
    return { step, stage, domain: stage === undefined ? undefined : stages[stage]?.domain }
  }
  return new JobLog({
    disk,
    clock,
    path: paths.log(number),
    job: number,
    where,
    ...(redactor === undefined ? {} : { redactor }),
  })
}

/** An error's code, and for a fault of the program where it happened. */
export function factsOf(error: BackupError): LogFields {
  const { code, cause } = error
  return { code, stack: code === 'INTERNAL' && cause instanceof Error ? cause.stack : undefined }
}
