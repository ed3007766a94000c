import type { Connection } from 'mysql2'
import { LONGEST_ROW } from '../sql-dump.ts'

/** What a server sent for one row: each value as its bytes. */
export type RawRow = readonly (Buffer | null)[]

/** Rows that lie ready at most: bytes, and rows of nearly nothing. */
const BUNCH_BYTES = 128 << 10
const BUNCH_ROWS = 1024
/** What the driver reads before it hands a row over: the row, and what is in one piece with its end. Bytes. */
const MOST_AHEAD = LONGEST_ROW + (2 << 20)

class Lost extends Error {
  readonly code = 'PROTOCOL_CONNECTION_LOST'
  constructor() {
    super('the server closed the connection')
  }
}

class TooLong extends Error {
  readonly code = 'ROW_TOO_LONG'
  constructor() {
    super(`a row is longer than ${LONGEST_ROW >> 20} MiB`)
  }
}

/**
 * The result of one query, taken in bunches; meanwhile the connection is paused, and in the end the server waits. The
 * driver's own stream hands over rows one by one, at twice the cost, and never ends when the connection is lost.
 */
export class IncomingRows implements Disposable {
  readonly #connection: Connection
  #rows: RawRow[] = []
  #bytes = 0
  #ended = false
  #failure: Error | null = null
  #wake: () => void = () => {}
  /** Bytes since the last row: a server may announce a row of a gibibyte. */
  #ahead = 0
  readonly #lost = (error?: unknown): void => this.#fail(error instanceof Error ? error : new Lost())
  readonly #count = (bytes: Buffer): void => {
    this.#ahead += bytes.length
    if (this.#ahead <= MOST_AHEAD) return
    this.#fail(new TooLong())
    this.#connection.destroy()
  }

  constructor(connection: Connection, sql: string) {
    this.#connection = connection
    connection.on('error', this.#lost).on('end', this.#lost)
    this.#socket.prependListener('data', this.#count)
    const query = connection.query({ sql, rowsAsArray: true, typeCast: false })
    query.on('result', (row: unknown) => this.#take(row as RawRow))
    query.on('error', (error: Error) => this.#fail(error))
    query.on('end', () => {
      this.#ended = true
      this.#wake()
    })
  }

  /** Null: there are no more. What the driver reported is thrown. */
  async next(): Promise<readonly RawRow[] | null> {
    while (this.#failure === null && !this.#ended && this.#rows.length === 0) {
      const more = new Promise<void>((resolve) => (this.#wake = resolve))
      this.#connection.resume()
      await more
    }
    if (this.#failure !== null) throw this.#failure
    if (this.#rows.length === 0) return null
    const rows = this.#rows
    this.#rows = []
    this.#bytes = 0
    return rows
  }

  [Symbol.dispose](): void {
    this.#connection.off('error', this.#lost).off('end', this.#lost)
    this.#socket.off('data', this.#count)
    if (!this.#ended) this.#connection.destroy()
  }

  /** The driver's own; its types do not name it. */
  get #socket(): NodeJS.EventEmitter {
    return (this.#connection as unknown as { stream: NodeJS.EventEmitter }).stream
  }

  #take(row: RawRow): void {
    this.#ahead = 0
    this.#rows.push(row)
    for (const value of row) this.#bytes += value?.length ?? 0
    if (this.#bytes < BUNCH_BYTES && this.#rows.length < BUNCH_ROWS) return
    this.#connection.pause()
    this.#wake()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#wake()
  }
}
