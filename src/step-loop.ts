import { parentPort } from 'node:worker_threads'
import { tokenIfThere } from './access/token.ts'
import { systemProcesses } from './engine/owner.ts'
import { jobPaths } from './engine/paths.ts'
import { JobStore } from './engine/store.ts'
import type { Job } from './engine/job.ts'
import { inlineRunner, type StepRunner } from './engine/runner.ts'
import type { StepOrder } from './engine/take-step.ts'
import { WarmStore } from './engine/warm.ts'
import type { FromThread, ThreadData, ToThread } from './engine/worker.ts'
import { systemClock } from './lib/clock.ts'
import { realDisk } from './lib/disk.ts'
import { asBackupError } from './lib/errors.ts'
import { Redactor } from './lib/redact.ts'
import { openStages } from './step-parts.ts'

/** The thread that steps: its own store and stages, one step at a time. */
interface Opened {
  readonly runner: StepRunner
  close(): Promise<void>
}

function open({ dataDir, nonce, threads, graceMs }: ThreadData): Opened {
  const store = new JobStore({
    disk: realDisk,
    clock: systemClock,
    processes: systemProcesses(realDisk, nonce),
    paths: jobPaths(dataDir),
    graceMs,
  })
  const redactor = new Redactor([tokenIfThere(realDisk, dataDir) ?? ''])
  const parts = openStages({ dataDir, threads, redactor })
  const runner = inlineRunner({ store, stages: parts.stages, warm: new WarmStore(), redactor })
  return {
    runner,
    async close() {
      await runner.close()
      parts[Symbol.dispose]()
    },
  }
}

const send = (message: FromThread): void => parentPort?.postMessage(message)

let opened: Opened | null = null

async function close(): Promise<void> {
  await opened?.close()
  parentPort?.close()
}

async function step(order: StepOrder): Promise<Job> {
  if (opened === null) throw new Error('a step was ordered before the thread was told whose')
  return opened.runner.run(order)
}

parentPort?.on('message', (message: ToThread) => {
  switch (message.type) {
    case 'open':
      opened = open(message.data)
      return
    case 'interrupt':
      return opened?.runner.interrupt(message.number)
    case 'close':
      return void close()
    case 'step':
      step(message.order).then(
        (job) => send({ type: 'done', job, error: null }),
        (error: unknown) => send({ type: 'done', job: null, error: asBackupError(error, '').toRecord() }),
      )
  }
})
