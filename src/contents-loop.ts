import { parentPort } from 'node:worker_threads'
import { arrivedPath, arrivedQuery, type Answer, type Ask, type Result, type Work } from './contents/messages.ts'
import { LocalShelf } from './contents/shelf.ts'
import type { Outgoing } from './engine/archives.ts'
import { realDisk } from './lib/disk.ts'
import { asBackupError } from './lib/errors.ts'

/** The thread that looks into archives. */
const shelf = new LocalShelf(realDisk)
const streams = new Map<number, Outgoing>()

async function run(work: Work): Promise<Result> {
  switch (work.op) {
    case 'browse':
      return shelf.browse(work.ref, arrivedQuery(work.query))
    case 'entry': {
      const entry = await shelf.entry(work.ref, arrivedPath(work.path))
      streams.set(work.stream, entry)
      return { size: entry.size, digest: entry.digest }
    }
    case 'part': {
      const part = await shelf.part(work.part, work.from, work.to)
      streams.set(work.stream, part)
      return { size: part.size, digest: null }
    }
    case 'read':
      return (await streams.get(work.stream)?.read()) ?? null
  }
}

function send(answer: Answer): void {
  const { result } = answer
  // Pieces are handed over, not copied.
  const moved = result instanceof Uint8Array && result.buffer instanceof ArrayBuffer ? [result.buffer] : []
  parentPort?.postMessage(answer, moved)
}

async function end(): Promise<void> {
  for (const stream of streams.values()) stream.close()
  await shelf.close()
  parentPort?.close()
}

parentPort?.on('message', (ask: Ask) => {
  if ('end' in ask) return void end()
  if ('close' in ask) {
    streams.get(ask.close)?.close()
    streams.delete(ask.close)
    return
  }
  const { id, work } = ask
  run(work).then(
    (result) => send({ id, result, error: null }),
    (error: unknown) => send({ id, result: null, error: asBackupError(error, '').toRecord() }),
  )
})
