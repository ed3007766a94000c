import type { Worker } from 'node:worker_threads'
import type { BrowsePage, BrowseQuery, Outgoing, OutgoingEntry, PartRef } from '../engine/archives.ts'
import { BackupError } from '../lib/errors.ts'
import { startThread } from '../lib/thread.ts'
import { arrivedPage, type Answer, type Ask, type Result, type Work } from './messages.ts'
import type { ArchiveRef } from './opened.ts'
import type { Shelf } from './shelf.ts'

/** One is enough for the disk; the other answers whoever pages while a large entry is unpacked. */
const THREADS = 2
/** MiB of heap; the rest of their memory are buffers. */
const HEAP = 512

/**
 * Looks into archives in threads of their own: the one that serves requests reads no file and unpacks nothing. A
 * thread that dies takes what it was at with it; the next call starts another.
 */
export class ThreadedShelf implements Shelf {
  readonly #entry: URL
  readonly #threads: ShelfThread[] = []
  #streams = 0

  constructor(entry: URL) {
    this.#entry = entry
  }

  async browse(ref: ArchiveRef, query: BrowseQuery): Promise<BrowsePage> {
    return arrivedPage((await this.#thread().ask({ op: 'browse', ref, query })) as BrowsePage)
  }

  async entry(ref: ArchiveRef, path: Buffer): Promise<OutgoingEntry> {
    const stream = ++this.#streams
    return this.#open(stream, { op: 'entry', ref, path, stream })
  }

  async part(part: PartRef, from: number, to: number): Promise<Outgoing> {
    const stream = ++this.#streams
    return this.#open(stream, { op: 'part', part, from, to, stream })
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()))
  }

  async #open(stream: number, work: Work): Promise<OutgoingEntry> {
    const thread = this.#thread()
    thread.streams++
    try {
      const { size, digest } = (await thread.ask(work)) as { size: number; digest: string | null }
      return new ThreadStream(thread, stream, size, digest)
    } catch (error) {
      thread.streams--
      throw error
    }
  }

  /** The one with least to do. */
  #thread(): ShelfThread {
    const [best] = this.#threads.toSorted((a, b) => a.load - b.load)
    if (best !== undefined && (best.load === 0 || this.#threads.length === THREADS)) return best
    const thread = new ShelfThread(this.#entry, () => this.#threads.splice(this.#threads.indexOf(thread), 1))
    this.#threads.push(thread)
    return thread
  }
}

class ThreadStream implements OutgoingEntry {
  readonly size: number
  readonly digest: string | null
  readonly #thread: ShelfThread
  readonly #stream: number
  #closed = false

  constructor(thread: ShelfThread, stream: number, size: number, digest: string | null) {
    this.#thread = thread
    this.#stream = stream
    this.size = size
    this.digest = digest
  }

  async read(): Promise<Uint8Array | null> {
    return (await this.#thread.ask({ op: 'read', stream: this.#stream })) as Uint8Array | null
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#thread.streams--
    this.#thread.send({ close: this.#stream })
  }
}

interface Waiting {
  resolve(result: Result): void
  reject(error: Error): void
}

class ShelfThread {
  /** Streams that are open in it. */
  streams = 0
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #asked = 0
  #gone: BackupError | null = null

  constructor(entry: URL, gone: () => void) {
    this.#worker = startThread(entry, { resourceLimits: { maxOldGenerationSizeMb: HEAP } })
    this.#worker.on('message', (answer: Answer) => this.#answered(answer))
    let last: Error | null = null
    this.#worker.on('error', (error: Error) => {
      last = error
    })
    this.#exited = new Promise((resolve) =>
      this.#worker.on('exit', () => {
        gone()
        const cause = last ?? new Error('the thread ended')
        this.#gone = new BackupError('INTERNAL', `what was being read is lost: ${cause.message}`, { cause })
        for (const { reject } of this.#waiting.values()) reject(this.#gone)
        this.#waiting.clear()
        resolve()
      }),
    )
    this.#worker.unref()
  }

  get load(): number {
    return this.#waiting.size + this.streams
  }

  ask(work: Work): Promise<Result> {
    if (this.#gone !== null) return Promise.reject(this.#gone)
    const id = ++this.#asked
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.ref() // only while somebody waits: an idle thread keeps no process alive
      this.send({ id, work })
    })
  }

  send(ask: Ask): void {
    this.#worker.postMessage(ask)
  }

  end(): Promise<void> {
    this.#worker.ref()
    this.send({ end: true })
    return this.#exited
  }

  #answered({ id, result, error }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if (error === null) waiting?.resolve(result)
    else waiting?.reject(BackupError.fromRecord(error))
  }
}
