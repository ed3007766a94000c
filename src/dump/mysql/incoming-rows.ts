import type { Connection } from 'mysql2'
import { discarded } from '../../lib/scavenge.ts'
import { LONGEST_ROW } from '../sql-dump.ts'
import { socketOf } from './bounded-answer.ts'
import { RawRow } from './raw-row.ts'

/** Rows that lie ready at most: bytes, and rows of nearly nothing. */
const BUNCH_BYTES = 128 << 10
const BUNCH_ROWS = 1024
/** What stays behind of the objects for a row. Bytes. */
const OBJECT = 200
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

interface Packet {
  readonly buffer: Buffer
  readonly offset: number
  readonly end: number
}

/**
 * The driver makes an object for each value of each row, which costs more than all the rest of reading. Where it would
 * put its parser of rows, ours stands, which leaves them as they came; another one cannot be put there.
 */
function keepWhole(query: object): void {
  const parser = { next: ({ buffer, offset, end }: Packet): RawRow => new RawRow(buffer, offset, end) }
  Object.defineProperty(query, '_rowParser', { get: () => parser, set: () => {} })
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
    socketOf(connection).prependListener('data', this.#count)
    const query = connection.query({ sql, rowsAsArray: true, typeCast: false })
    keepWhole(query)
    query.on('result', (row: unknown) => {
      if (row instanceof RawRow) this.#take(row)
      else this.#fail(new Error('the driver hands rows over in another form'))
    })
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
    // What the driver read them from, and an object or two for each row.
    discarded(this.#bytes + OBJECT * rows.length)
    this.#rows = []
    this.#bytes = 0
    return rows
  }

  [Symbol.dispose](): void {
    this.#connection.off('error', this.#lost).off('end', this.#lost)
    socketOf(this.#connection).off('data', this.#count)
    if (!this.#ended) this.#connection.destroy()
  }

  #take(row: RawRow): void {
    this.#ahead = 0
    this.#rows.push(row)
    this.#bytes += row.end - row.from
    if (this.#bytes < BUNCH_BYTES && this.#rows.length < BUNCH_ROWS) return
    this.#connection.pause()
    this.#wake()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#wake()
  }
}
