import { writeFullyAsync, type Disk } from './disk.ts'

/** Pieces of one file that are written at once, at most: the system lets one after the other in anyway. */
const MOST = 2

/**
 * What the system does with one open file while the thread goes on: pieces being written, and syncing that was begun
 * early. Nothing here rejects: what went wrong is kept, for whoever uses the file next (law 10).
 */
export class WriteBehind {
  readonly #disk: Disk
  readonly #writes = new Set<Promise<void>>()
  #sync: Promise<void> | null = null
  /** What went wrong first; null: nothing. */
  failure: unknown = null

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** Whether anything is under way: until it has settled the handle must not be closed. */
  get busy(): boolean {
    return this.writing || this.#sync !== null
  }
  /** Whether pieces are still to be written: until then nothing may be read, cut or filled. */
  get writing(): boolean {
    return this.#writes.size > 0
  }
  get syncing(): boolean {
    return this.#sync !== null
  }
  /** Null while one more piece may be begun; else what to wait for, and then to ask again. */
  get room(): Promise<void> | null {
    return this.#writes.size < MOST ? null : Promise.race(this.#writes)
  }

  /** The bytes are lent until `done` is called, which happens whatever comes of it. */
  write(fd: number, bytes: Uint8Array, position: number, done: () => void): void {
    const write = writeFullyAsync(this.#disk, fd, bytes, position)
      .catch((error: unknown) => this.#note(error))
      .finally(() => {
        this.#writes.delete(write)
        done()
      })
    this.#writes.add(write)
  }

  /** Begins to make durable what was written until now. */
  sync(fd: number): void {
    this.#sync = this.#disk
      .datasyncAsync(fd)
      .catch((error: unknown) => this.#note(error))
      .finally(() => (this.#sync = null))
  }

  /** Until nothing is under way. */
  async settled(): Promise<void> {
    while (this.busy) await Promise.all([...this.#writes, this.#sync])
  }

  #note(error: unknown): void {
    this.failure ??= error
  }
}
