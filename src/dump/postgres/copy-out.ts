import type { Duplex } from 'node:stream'

/** What of the driver's connection is used here: its socket, and how it sends a query. */
export interface Wire {
  readonly stream: Duplex
  query(text: string): void
}

type Listener = (bytes: Buffer) => void

/** More than this does not lie ready: the socket waits, and then the server. */
const READ_AHEAD = 1 << 19

const ERROR_RESPONSE = 0x45
const COPY_DATA = 0x64
const COPY_DONE = 0x63
const HEAD = 5
const SKIPPED: ReadonlySet<number> = new Set([
  0x48, // CopyOutResponse
  0x53, // ParameterStatus
  0x4e, // NoticeResponse
  0x41, // NotificationResponse
])

/** Whoever takes a copy's rows in. What it makes of them is fetched before it goes on. */
export interface RowTaker<T> {
  /** A row of `length` bytes begins; false: not before something is fetched. */
  begin(length: number): boolean
  /** The next bytes of it, lent; how far it came: less than `to`: something has to be fetched first. */
  take(chunk: Buffer, from: number, to: number): number
  /** What is ready, once; null: nothing is. */
  fetch(): T | null
}

/**
 * A COPY … TO STDOUT, as the driver knows queries. While it runs, the bytes of the socket come here and not to the
 * driver: one message is one row (PostgreSQL manual, "COPY Operations"), and no object is made for any of them. With
 * the message that ends it, or an error, the driver takes over again.
 */
export class CopyOut {
  readonly #text: string
  #wire: Wire | null = null
  #drivers: Listener[] = []
  readonly #listener: Listener = (bytes) => this.#arrived(bytes)
  #queue: Buffer[] = []
  #queued = 0
  #wake: (() => void) | null = null
  #failed: Error | null = null
  #complete = false
  /** Rows as the server counted them, once it is over. */
  rowCount = -1

  constructor(text: string) {
    this.#text = text
  }

  // --- what the driver calls

  submit(connection: Wire): void {
    this.#wire = connection
    this.#drivers = connection.stream.listeners('data') as Listener[]
    connection.stream.removeAllListeners('data')
    connection.stream.on('data', this.#listener)
    connection.query(this.#text)
  }

  handleError(error: Error): void {
    this.#handBack(null)
    this.#failed ??= error
    this.#wake?.()
  }

  handleCommandComplete(message: { readonly text?: string }): void {
    const [, count] = /^COPY (\d+)$/.exec(message.text ?? '') ?? []
    if (count !== undefined) this.rowCount = Number(count)
  }

  handleReadyForQuery(): void {
    this.#complete = true
    this.#wake?.()
  }

  handleRowDescription(): void {
    this.handleError(new Error('the server answered a COPY with a result'))
  }

  handleEmptyQuery(): void {
    this.handleError(new Error('the server answered a COPY with nothing'))
  }

  // --- what the reader calls

  /** Gives all rows to `taker`, and what it makes of them to whoever iterates. Throws the server's or the driver's error. */
  async *rows<T>(taker: RowTaker<T>): AsyncGenerator<T, void, undefined> {
    const frames = new Frames(taker)
    for (;;) {
      const chunk = await this.#next()
      if (chunk === null) return
      let at = 0
      while (at < chunk.length && !frames.over) {
        at = frames.feed(chunk, at)
        const made = taker.fetch()
        if (made !== null) yield made
      }
      if (frames.over) this.#handBack(chunk.subarray(at))
    }
  }

  #arrived(bytes: Buffer): void {
    this.#queue.push(bytes)
    this.#queued += bytes.length
    if (this.#queued > READ_AHEAD) this.#wire?.stream.pause()
    this.#wake?.()
  }

  /** The next bytes; null at the end. */
  async #next(): Promise<Buffer | null> {
    for (;;) {
      if (this.#failed !== null) throw this.#failed
      const chunk = this.#queue.shift()
      if (chunk !== undefined) {
        this.#queued -= chunk.length
        if (this.#queue.length === 0) this.#wire?.stream.resume()
        return chunk
      }
      if (this.#complete) return null
      await new Promise<void>((resolve) => (this.#wake = resolve))
      this.#wake = null
    }
  }

  /** The driver reads again, beginning with what was not ours. */
  #handBack(rest: Buffer | null): void {
    const { stream } = this.#wire ?? {}
    if (stream === undefined || this.#drivers.length === 0) return
    stream.off('data', this.#listener)
    const drivers = this.#drivers
    this.#drivers = []
    for (const driver of drivers) stream.on('data', driver)
    const bytes = rest === null ? [] : [rest, ...this.#queue]
    this.#queue = []
    this.#queued = 0
    for (const piece of bytes) for (const driver of drivers) driver(piece)
    stream.resume()
  }
}

/** Finds the rows in the bytes of the socket. */
class Frames<T> {
  readonly #taker: RowTaker<T>
  readonly #head = Buffer.alloc(HEAD)
  /** Bytes of a head that are there. */
  #have = 0
  /** Bytes of the message that are still to come. */
  #left = 0
  #isRow = false
  #waiting = false
  /** What follows is for the driver. */
  over = false

  constructor(taker: RowTaker<T>) {
    this.#taker = taker
  }

  /** How far it came: to the end, to where something has to be fetched, or to what is not ours. */
  feed(chunk: Buffer, from: number): number {
    const taker = this.#taker
    let at = from
    for (;;) {
      if (this.#waiting) {
        if (!taker.begin(this.#left)) return at
        this.#waiting = false
      }
      if (at === chunk.length) return at
      if (this.#left === 0) {
        at = this.#readHead(chunk, at)
        if (this.over) return at
        continue
      }
      const to = Math.min(chunk.length, at + this.#left)
      const came = this.#isRow ? taker.take(chunk, at, to) : to
      this.#left -= came - at
      at = came
      if (came < to) return at
    }
  }

  #readHead(chunk: Buffer, from: number): number {
    if (this.#have === 0 && chunk[from] === ERROR_RESPONSE) {
      this.over = true
      return from
    }
    const count = Math.min(HEAD - this.#have, chunk.length - from)
    for (let i = 0; i < count; i++) this.#head[this.#have + i] = chunk[from + i] ?? 0
    this.#have += count
    if (this.#have < HEAD) return from + count
    this.#have = 0
    const kind = this.#head[0] ?? 0
    this.#left = this.#head.readUInt32BE(1) - 4
    if (this.#left < 0) throw new Error('the server sent a message of no length')
    this.#isRow = kind === COPY_DATA
    this.#waiting = this.#isRow
    if (kind === COPY_DONE) this.over = true
    else if (!this.#isRow && !SKIPPED.has(kind)) throw new Error('the server sent what is no part of a COPY')
    return from + count
  }
}
