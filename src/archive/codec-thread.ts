import { workerData, type MessagePort } from 'node:worker_threads'
import { release } from '../lib/release.ts'
import { answer, type Request } from './codec-messages.ts'

/** A helper of `createCodec`: answers requests, one after the other, until its port is closed. */
const port: MessagePort = workerData

port.on('message', (request: Request) => {
  const { reply, transfer } = answer(request)
  port.postMessage(reply, transfer)
  // All bytes of a request lie in one buffer. Without this the collector lets dozens of megabytes pile up.
  const [first] = request.work.jobs
  if (first !== undefined) release('bytes' in first ? first.bytes : first.data)
})
