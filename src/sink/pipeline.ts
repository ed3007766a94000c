import type { Batcher, Underway } from './batcher.ts'
import { weightOf, type Task } from './task.ts'

/** Tasks in flight at most, whatever their size. */
const MOST_TASKS = 512

export interface Room {
  readonly bytes: number
  readonly tasks: number
}

export const contentOf = (task: Task): Underway | null =>
  task.type === 'whole' || task.type === 'block' ? task.content : null

/**
 * What is being prepared ahead: read, and on its way through the codec. Kept between the steps of one
 * process, so that a short slice does not pay for filling and draining it; dropped without loss.
 */
export class Pipeline implements Disposable {
  /** What it prepares, and how many tasks have left it: it fits only where the slot says the same. */
  readonly key: string
  #left: number
  readonly #tasks: AsyncGenerator<Task, void, undefined>
  readonly #batcher: Batcher
  readonly #queue: Task[] = []
  #weight = 0
  #ended = false
  /** What was read last is a moment to wait at: nothing after it is read before it was handed over. */
  #waits = false

  constructor(key: string, left: number, tasks: AsyncGenerator<Task, void, undefined>, batcher: Batcher) {
    this.key = key
    this.#left = left
    this.#tasks = tasks
    this.#batcher = batcher
  }

  fits(key: string, left: number): boolean {
    return this.key === key && this.#left === left
  }

  /** The next task in order, its content on its way; null at the end. Reads ahead up to `room` first. */
  async next(room: Room): Promise<Task | null> {
    const most = Math.min(MOST_TASKS, room.tasks)
    while (
      !this.#ended &&
      !this.#waits &&
      this.#queue.length < most &&
      (this.#queue.length === 0 || this.#weight < room.bytes)
    ) {
      const next = await this.#tasks.next()
      if (next.done === true) this.#ended = true
      else this.#push(next.value)
    }
    const task = this.#queue.shift()
    if (task === undefined) return null
    if (this.#queue.length === 0) this.#waits = false
    this.#weight -= weightOf(task)
    this.#left++
    const content = contentOf(task)
    if (content !== null) this.#batcher.hurry(content.packed)
    return task
  }

  #push(task: Task): void {
    this.#queue.push(task)
    this.#waits = task.type === 'pass' && task.item.type === 'pause' && task.item.waits === true
    this.#weight += weightOf(task)
    contentOf(task)?.packed.catch(() => 'thrown where the task is applied')
  }

  [Symbol.dispose](): void {
    this.#queue.length = 0
    this.#ended = true
    this.#batcher[Symbol.dispose]()
    // Closes the files it has open; nothing waits for that.
    this.#tasks.return().catch((error: unknown) => error)
  }
}
