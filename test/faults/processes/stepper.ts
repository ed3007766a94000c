import fs from 'node:fs'
import { memoryCatalogue } from '../../../src/engine/catalogue.ts'
import { RatchetEngine } from '../../../src/engine/engine.ts'
import { systemProcesses } from '../../../src/engine/owner.ts'
import { jobPaths } from '../../../src/engine/paths.ts'
import { inlineRunner } from '../../../src/engine/runner.ts'
import { JobStore } from '../../../src/engine/store.ts'
import { WarmStore } from '../../../src/engine/warm.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { BackupError } from '../../../src/lib/errors.ts'
import { openStages } from '../../../src/step-parts.ts'
import { stoppingDisk } from './stopping-disk.ts'
import { traced } from './traced.ts'
import type { Line, StepperOrder } from './protocol.ts'

/**
 * A process that steps one job until it has ended, somebody kills it, or it has taken its share of
 * steps, and says each thing it does in one line as it does it.
 */
const order = JSON.parse(process.argv[2] ?? '') as StepperOrder

const say = (line: Line): void => void fs.writeSync(1, JSON.stringify(line) + '\n')

const disk = stoppingDisk(order.stopAt, () => say({ event: 'stopping', at: systemClock.mono() }))
const store = new JobStore({
  disk,
  clock: systemClock,
  processes: systemProcesses(disk),
  paths: jobPaths(order.dataDir),
  ...(order.graceMs === undefined ? {} : { graceMs: order.graceMs }),
})
const parts = openStages({ dataDir: order.dataDir, threads: order.threads ?? 0 })
const stages = order.trace === true ? traced(parts.stages, say) : parts.stages
const runner = inlineRunner({ store, stages, warm: new WarmStore() })
const engine = new RatchetEngine({ store, runner, catalogue: memoryCatalogue() })

/** What is waited for after a refusal that passes by itself. */
const PAUSE_MS = 20

async function act(seen: number): Promise<{ seen: number; over: boolean }> {
  const from = systemClock.mono()
  say({ event: 'begin', at: from })
  try {
    const options = order.expect === true ? { expect: seen + 1 } : {}
    const job = await (order.act === 'cancel' ? engine.cancel(order.number) : engine.step(order.number, options))
    const { steps, status, percent, lease, progress, archive } = job
    const reply = { steps, status, percent, epoch: lease.epoch, step: progress.step, archive }
    say({ event: 'reply', from, at: systemClock.mono(), reply })
    return { seen: steps, over: status !== 'running' && status !== 'pending' }
  } catch (error) {
    const code = error instanceof BackupError ? error.code : 'UNKNOWN'
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    say({ event: 'error', from, at: systemClock.mono(), code, text })
    if (code === 'JOB_BUSY') await systemClock.sleep(order.pauseMs ?? PAUSE_MS)
    else if (code === 'STEP_OUT_OF_ORDER') return { seen: (await engine.get(order.number)).steps, over: false }
    else return { seen, over: true }
    return { seen, over: false }
  }
}

/** Ready to step at once when told the step last seen. */
function told(): number {
  const line = Buffer.alloc(20)
  return Number(line.toString('latin1', 0, fs.readSync(0, line)))
}

say({ event: 'ready', at: systemClock.mono() })
let seen = told()
for (let turn = 0; turn < (order.turns ?? Infinity); turn++) {
  const done = await act(seen)
  seen = done.seen
  if (done.over) break
}
await engine.close()
parts[Symbol.dispose]()
say({ event: 'end', at: systemClock.mono() })
