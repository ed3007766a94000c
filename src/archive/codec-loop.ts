import { workerData, type MessagePort } from 'node:worker_threads'
import { discarded } from '../lib/scavenge.ts'
import { HashStreams } from './hash-streams.ts'
import { answer, JOB, type Request } from './codec-messages.ts'

/** A helper of `createCodec`: answers requests, one after the other, until its port is closed. */
const port: MessagePort = workerData
const hashes = new HashStreams()

port.on('message', (request: Request) => {
  const { reply, transfer } = answer(request, hashes)
  port.postMessage(reply, transfer)
  discarded(JOB * request.work.jobs.length)
})
