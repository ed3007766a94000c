import { parentPort } from 'node:worker_threads'
import { systemClock } from '../lib/clock.ts'
import { realDisk } from '../lib/disk.ts'
import type { CopyReply, CopyRequest } from './messages.ts'
import { copyDatabase } from './sqlite-copy.ts'

/** The thread that copies: a check of a large database answers nobody for minutes. */
const send = (reply: CopyReply): void => parentPort?.postMessage(reply)

/** Progress is told at most so often. Milliseconds. */
const EVERY = 20

async function run({ id, path, dev, ino, to, limits }: CopyRequest): Promise<void> {
  let told = -Infinity
  const order = { path: Buffer.from(path, 'base64'), dev: BigInt(dev), ino: BigInt(ino), to, limits }
  const end = await copyDatabase(order, {
    disk: realDisk,
    clock: systemClock,
    tell(progress) {
      const now = systemClock.mono()
      if (progress.phase === 'copy' && progress.done < progress.total && now - told < EVERY) return
      told = now
      send({ id, progress })
    },
  })
  send({ id, end })
}

parentPort?.on('message', (request: CopyRequest) => {
  run(request).catch((error: unknown) => {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    send({ id: request.id, end: { trouble: 'INTERNAL', message } })
  })
})
