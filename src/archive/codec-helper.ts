import { MessageChannel, receiveMessageOnPort, type MessagePort, type Worker } from 'node:worker_threads'
import { startThread } from '../lib/thread.ts'
import { bufferFor, toRequest, type HashWork, type Reply, type Work } from './codec-messages.ts'

/** A batch that waits for its answer. `settle(null)`: the helper died, do it elsewhere. */
export interface Pending {
  readonly work: Work | HashWork
  readonly settle: (reply: Reply | null) => void
}

/** MiB: short-lived buffers are freed when the young generation is full, so it is kept small. */
const YOUNG = 2
/** MiB, a multiple of what a helper needs: how soon V8 collects the old generation depends on it. */
const OLD = 48

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './codec-loop.ts' : './codec-loop.js', import.meta.url)

/**
 * One helper thread. It holds the process alive only while an answer is awaited; an idle one never
 * does. `collect` takes answers that lie ready without a turn of the event loop: whoever computes
 * inline all the time would otherwise never see that the helper has room again.
 */
export class Helper {
  readonly #worker: Worker
  readonly #port: MessagePort
  /** Buffers of requests answered: never more than were in flight at once. */
  readonly #spare: ArrayBuffer[] = []
  readonly #pending = new Map<number, Pending>()
  #next = 1
  #alive = true

  constructor(entry: URL = ENTRY) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.#worker = startThread(entry, {
      workerData: port2,
      transferList: [port2],
      name: 'codec',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG, maxOldGenerationSizeMb: OLD },
    })
    this.#worker.unref()
    this.#worker.once('exit', () => this.#died())
    this.#worker.once('error', () => this.#died())
    this.#port.on('message', (reply: Reply) => this.#take(reply))
    this.#port.unref()
  }

  get alive(): boolean {
    return this.#alive
  }
  get queued(): number {
    return this.#pending.size
  }

  send(pending: Pending): void {
    const id = this.#next++
    const buffer = bufferFor(pending.work, this.#spare)
    this.#pending.set(id, pending)
    this.#hold()
    this.#port.postMessage(toRequest(id, pending.work, buffer), buffer === null ? [] : [buffer])
  }

  collect(): void {
    if (this.#pending.size === 0) return
    for (;;) {
      const message = receiveMessageOnPort(this.#port)
      if (message === undefined) return
      this.#take(message.message)
    }
  }

  /** Ends the thread; what it was asked is given back unanswered. */
  end(): void {
    this.#died()
    this.#worker.terminate().catch((error: unknown) => error) // it is ending anyway
  }

  #take(reply: Reply): void {
    if (reply.buffer !== null) this.#spare.push(reply.buffer)
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    this.#hold()
    pending?.settle(reply)
  }

  /** The worker is held too, so that its death is noticed while somebody waits. */
  #hold(): void {
    if (this.#pending.size > 0) {
      this.#worker.ref()
      this.#port.ref()
    } else {
      this.#worker.unref()
      this.#port.unref()
    }
  }

  #died(): void {
    if (!this.#alive) return
    this.collect() // answers sent before it died still count
    this.#alive = false
    const lost = [...this.#pending.values()]
    this.#pending.clear()
    this.#port.close()
    for (const pending of lost) pending.settle(null)
  }
}
