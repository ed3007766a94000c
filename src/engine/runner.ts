import type { StepDeps, StepOrder } from './take-step.ts'
import { takeStep } from './take-step.ts'

/** Who executes a step: this thread, or a worker. The result stands in the record. */
export interface StepRunner {
  run(order: StepOrder): Promise<void>
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
        await takeStep(deps, order, abort.signal)
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
