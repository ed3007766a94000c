import { parentPort, workerData } from 'node:worker_threads'
import { tokenIfThere } from './access/token.ts'
import { systemProcesses } from './engine/owner.ts'
import { jobPaths } from './engine/paths.ts'
import { JobStore } from './engine/store.ts'
import { inlineRunner } from './engine/runner.ts'
import { WarmStore } from './engine/warm.ts'
import type { FromThread, ToThread } from './engine/worker.ts'
import { systemClock } from './lib/clock.ts'
import { realDisk } from './lib/disk.ts'
import { asBackupError } from './lib/errors.ts'
import { Redactor } from './lib/redact.ts'
import { openStages } from './step-parts.ts'

export interface ThreadData {
  readonly dataDir: string
  /** Names the engine that the thread belongs to. */
  readonly nonce: string
  /** Helper threads for compression. */
  readonly threads: number
  readonly graceMs: number
}

/** The thread that steps: its own store and stages, one step at a time. */
const { dataDir, nonce, threads, graceMs } = workerData as ThreadData

const store = new JobStore({
  disk: realDisk,
  clock: systemClock,
  processes: systemProcesses(realDisk, nonce),
  paths: jobPaths(dataDir),
  graceMs,
})
const parts = openStages({ dataDir, threads })
const redactor = new Redactor([tokenIfThere(realDisk, dataDir) ?? ''])
const runner = inlineRunner({ store, stages: parts.stages, warm: new WarmStore(), redactor })

const send = (message: FromThread): void => parentPort?.postMessage(message)

async function close(): Promise<void> {
  await runner.close()
  parts[Symbol.dispose]()
  parentPort?.close()
}

parentPort?.on('message', (message: ToThread) => {
  if (message.type === 'interrupt') return runner.interrupt(message.number)
  if (message.type === 'close') return void close()
  const { order } = message
  runner.run(order).then(
    (job) => send({ type: 'done', job, error: null }),
    (error: unknown) => send({ type: 'done', job: null, error: asBackupError(error, '').toRecord() }),
  )
})
