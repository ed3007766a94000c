import { BackupError, type ErrorRecord } from '../lib/errors.ts'
import type { Clock } from '../lib/clock.ts'
import { tidy } from '../lib/scavenge.ts'
import type { Thread } from '../lib/thread.ts'
import type { Job } from './job.ts'
import type { StepRunner } from './runner.ts'
import type { StepOrder } from './take-step.ts'

/** What passes between the main thread and the one that steps. */
export type ToThread =
  /** The first one. */
  | { type: 'open'; data: ThreadData }
  | { type: 'step'; order: StepOrder }
  | { type: 'interrupt'; number: number }
  | { type: 'close' }
export type FromThread = { type: 'done'; job: Job; error: null } | { type: 'done'; job: null; error: ErrorRecord }

/** What a thread that steps has to know; its entry file builds its own store and stages from it. */
export interface ThreadData {
  readonly dataDir: string
  /** Names the engine that the thread belongs to. */
  readonly nonce: string
  /** Helper threads for compression. */
  readonly threads: number
  readonly graceMs: number
}

interface Waiting {
  resolve(job: Job): void
  reject(error: Error): void
}

export interface WorkerOptions {
  /** A new thread, which waits for its first message. */
  readonly start: () => Thread
  readonly data: ThreadData
  /** Threads at most; each runs one step at a time. */
  readonly threads: number
  readonly clock: Clock
}

/**
 * Steps in worker threads, one job a thread: the main thread only serves requests, file calls are
 * synchronous where they run, and a hung mount harms its own job alone. A thread that dies takes
 * nothing with it but the uncommitted part of one step.
 */
export class WorkerRunner implements StepRunner {
  readonly #options: WorkerOptions
  readonly #idle: StepThread[] = []
  readonly #all = new Set<StepThread>()
  readonly #queue: (() => void)[] = []
  /** A job goes back to the thread that kept its warm state. */
  readonly #last = new Map<number, StepThread>()
  #tidied = false

  constructor(options: WorkerOptions) {
    this.#options = options
  }

  prepare(): void {
    if (this.#all.size === 0) this.#idle.push(this.#start())
  }

  async run(order: StepOrder): Promise<Job> {
    const asked = this.#options.clock.mono()
    const thread = await this.#thread(order.number)
    try {
      const stepping = thread.step({ ...order, asked })
      this.#tidy()
      const job = await stepping
      this.#last.set(order.number, thread)
      return job
    } finally {
      if (thread.alive) this.#idle.push(thread)
      this.#queue.shift()?.()
    }
  }

  /** What loading the program left, collected while this thread has nothing to do but to wait. */
  #tidy(): void {
    if (this.#tidied) return
    this.#tidied = true
    tidy()
  }

  interrupt(number: number): void {
    for (const thread of this.#all) thread.interrupt(number)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => thread.close()))
    this.#all.clear()
    this.#idle.length = 0
  }

  async #thread(number: number): Promise<StepThread> {
    for (;;) {
      const warm = this.#last.get(number)
      const at = warm === undefined ? this.#idle.length - 1 : Math.max(this.#idle.indexOf(warm), -1)
      const [thread] = this.#idle.splice(at >= 0 ? at : this.#idle.length - 1, 1)
      if (thread !== undefined) return thread
      if (this.#all.size < this.#options.threads) return this.#start()
      await new Promise<void>((resolve) => this.#queue.push(resolve))
    }
  }

  #start(): StepThread {
    const thread = new StepThread(this.#options, () => {
      this.#all.delete(thread)
      const at = this.#idle.indexOf(thread)
      if (at >= 0) this.#idle.splice(at, 1)
      for (const [number, last] of this.#last) if (last === thread) this.#last.delete(number)
    })
    this.#all.add(thread)
    return thread
  }
}

class StepThread {
  readonly #worker: Thread
  readonly #exited: Promise<void>
  #waiting: Waiting | null = null
  alive = true

  constructor(options: WorkerOptions, gone: () => void) {
    this.#worker = options.start()
    this.#worker.on('message', (message: FromThread) => this.#done(message))
    let last: Error | null = null
    this.#worker.on('error', (error: Error) => {
      last = error
    })
    this.#exited = new Promise((resolve) =>
      this.#worker.on('exit', () => {
        this.alive = false
        gone()
        const cause = last ?? new Error('the step thread ended')
        this.#fail(new BackupError('INTERNAL', `the step was lost: ${cause.message}`, { retry: 'later', cause }))
        resolve()
      }),
    )
    this.#worker.unref()
    this.#send({ type: 'open', data: options.data })
  }

  step(order: StepOrder): Promise<Job> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#worker.ref()
      this.#send({ type: 'step', order })
    })
  }

  interrupt(number: number): void {
    this.#send({ type: 'interrupt', number })
  }

  async close(): Promise<void> {
    // An idle thread keeps no process alive; one that is waited for must, or the process ends in the middle of its end.
    if (this.alive) this.#worker.ref()
    this.#send({ type: 'close' })
    await this.#exited
  }

  #send(message: ToThread): void {
    this.#worker.postMessage(message)
  }

  #done({ job, error }: FromThread): void {
    const waiting = this.#waiting
    this.#waiting = null
    this.#worker.unref()
    if (error === null) waiting?.resolve(job)
    else waiting?.reject(BackupError.fromRecord(error))
  }

  #fail(error: Error): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.reject(error)
  }
}
