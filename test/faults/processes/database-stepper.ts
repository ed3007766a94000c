import { createApp } from '../../../src/app.ts'
import type { BackupSpec } from '../../../src/engine/spec.ts'
import { systemClock } from '../../../src/lib/clock.ts'

/** Starts the job if there is none, steps it until its database is being copied, says so, and waits to be killed. */
const { dataDir, spec } = JSON.parse(process.argv[2] ?? '') as { dataDir: string; spec: BackupSpec }

const app = await createApp({ dataDir, inline: true, threads: 0, leaseGraceMs: 500 })
const { total } = await app.engine.list()
let job = total === 0 ? await app.engine.start({ kind: 'backup', spec }) : await app.engine.step(1)
for (let n = 0; n < 50 && !job.progress.step.startsWith('copying'); n++) job = await app.engine.step(1)
process.stdout.write(`${job.progress.step}\n`)
setInterval(() => systemClock.wall(), 1000)
