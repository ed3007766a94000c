import { once } from 'node:events'
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { textOf, turn } from './content.ts'
import { faultIn, type Fault, type Faults } from './faults.ts'
import { Fatal, Joined } from './parts.ts'
import { checkContent, Placer, type Task } from './target.ts'

/** Batches that the second thread has got and not finished. */
const QUEUED = 2

export interface CrewData {
  readonly files: readonly string[]
  /** Null: nothing is written. */
  readonly target: string | null
  readonly resumed: boolean
  readonly id: number
}

interface Answer {
  readonly faults: readonly { name: Uint8Array; why: string }[]
  readonly fatal: string | null
}

/** The system does not let it go on: a full disk, a file system that is gone. */
export class Stopped extends Fatal {}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** What each thread does: one batch after the other, in order. */
export function workInThread(): void {
  const data = workerData as CrewData
  const archive = new Joined(data.files)
  const placer = data.target === null ? null : new Placer(archive, data.target, data.id, data.resumed)
  let last: Promise<unknown> = Promise.resolve()
  parentPort?.on('message', (tasks: Task[]) => {
    last = last.then(async () => parentPort?.postMessage(await batch(archive, placer, tasks)))
  })
}

async function batch(archive: Joined, placer: Placer | null, tasks: readonly Task[]): Promise<Answer> {
  const faults: Fault[] = []
  for (const sent of tasks) {
    const task = { ...sent, item: { ...sent.item, name: bufferOf(sent.item.name) } }
    try {
      await (placer === null ? checkContent(archive, task) : placer.place(task))
    } catch (error) {
      const why = faultIn(error)
      if (why === null) return { faults, fatal: textOf(error) }
      faults.push({ name: task.item.name, why })
    }
  }
  return { faults, fatal: null }
}

/** Hands batches to a second thread, does some itself meanwhile, and gathers what comes of them. */
export class Crew {
  readonly #faults: Faults
  readonly #thread: Worker
  readonly #archive: Joined
  readonly #placer: Placer | null
  #waiting = 0
  #failed: Error | null = null

  /** What it cannot do goes into `faults`. */
  constructor(data: Omit<CrewData, 'id'>, faults: Faults) {
    const { files, target, resumed } = data
    this.#faults = faults
    this.#archive = new Joined(files)
    this.#placer = target === null ? null : new Placer(this.#archive, target, 0, resumed)
    const resourceLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 32 }
    this.#thread = new Worker(new URL(import.meta.url), { workerData: { ...data, id: 1 }, resourceLimits })
    this.#thread.on('message', (answer: Answer) => {
      this.#waiting--
      this.#note(answer)
    })
    this.#thread.on('error', (error) => (this.#failed ??= error))
  }

  async give(tasks: readonly Task[]): Promise<void> {
    await turn()
    this.#check()
    if (this.#waiting >= QUEUED) return this.#note(await batch(this.#archive, this.#placer, tasks))
    this.#waiting++
    this.#thread.postMessage(tasks)
  }

  async finish(): Promise<void> {
    try {
      while (this.#failed === null && this.#waiting > 0) await once(this.#thread, 'message')
    } finally {
      await this.#thread.terminate()
      this.#archive.close()
    }
    this.#check()
  }

  #note({ faults, fatal }: Answer): void {
    for (const { name, why } of faults) this.#faults.add(bufferOf(name), why)
    if (fatal !== null) this.#failed ??= new Stopped(fatal)
  }

  #check(): void {
    if (this.#failed !== null) throw this.#failed
  }
}
