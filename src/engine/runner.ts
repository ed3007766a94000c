import type { StepDeps, StepOrder } from './take-step.ts'
import type { Job } from './job.ts'
import { takeStep } from './take-step.ts'

/** Who executes a step: this thread, or a worker. */
export interface StepRunner {
  /** The record as this step released it: somebody else may have taken the job on since. */
  run(order: StepOrder): Promise<Job>
  /** A step will be asked for in a moment: what it needs may be started meanwhile. */
  prepare?(): void
  /** Ends the running step of this job at its next safe point. */
  interrupt(number: number): void
  close(): Promise<void>
}

/** Steps in the calling thread: tests, and programs that run one step and end. */
export function inlineRunner(deps: StepDeps): StepRunner {
  const running = new Map<number, AbortController>()
  return {
    async run(order) {
      const abort = new AbortController()
      running.set(order.number, abort)
      try {
        return await takeStep(deps, order, abort.signal)
      } finally {
        running.delete(order.number)
      }
    },
    interrupt: (number) => running.get(number)?.abort(),
    async close() {
      for (const abort of running.values()) abort.abort()
      deps.warm[Symbol.dispose]()
    },
  }
}
