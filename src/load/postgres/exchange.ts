import type { Duplex } from 'node:stream'
import type { Wire } from '../../dump/postgres/copy-out.ts'
import type { PostgresSession, Submitted } from '../../dump/postgres/session.ts'

/** A message in its pieces: either all of it goes, or none. */
type Message = readonly Buffer[]

export interface Outcome {
  /** What the server says it did, one word for each statement: `COPY 12`, `UPDATE 1 COMMIT`. */
  readonly tag: string
  readonly error: Error | null
}

const NOTHING = Buffer.alloc(0)
const END = Buffer.from([0])

/** PostgreSQL manual, "Message Formats": a letter, the length with itself, the content. */
function message(kind: string, ...content: readonly Buffer[]): Message {
  const head = Buffer.alloc(5)
  head.write(kind, 'latin1')
  head.writeUInt32BE(
    content.reduce((sum, { length }) => sum + length, 4),
    1,
  )
  return [head, ...content]
}

/**
 * Messages that are sent at once, without a wait for what the server says to the first of them: what follows one that
 * failed is passed over by it, until the end of the exchange. A long one goes as fast as the socket takes it.
 */
export class Exchange implements Submitted {
  readonly #messages: readonly Message[]
  readonly #settled = Promise.withResolvers<Outcome>()
  #over = false
  #tag = ''
  #wake: (() => void) | null = null

  private constructor(messages: readonly Message[]) {
    this.#messages = messages
  }

  /** Statements of our own. */
  static simple(sql: string): Exchange {
    return new Exchange([message('Q', Buffer.from(sql), END)])
  }

  /**
   * Statements of which one is somebody else's: the server refuses a text that holds two (manual, "Extended Query"), and
   * passes over what follows one that failed.
   */
  static each(...texts: readonly Buffer[]): Exchange {
    const run = (text: Buffer): Message[] => [
      message('P', END, text, END, Buffer.alloc(2)),
      message('B', Buffer.alloc(8)),
      message('E', Buffer.alloc(5)),
    ]
    return new Exchange([...texts.flatMap(run), message('S', NOTHING)])
  }

  /** `COPY … FROM stdin` and its rows. */
  static copy(header: Buffer, rows: readonly Buffer[]): Exchange {
    const data = rows.filter(({ length }) => length > 0).map((piece) => message('d', piece))
    return new Exchange([message('Q', header, END), ...data, message('c', NOTHING)])
  }

  /** Never fails: what went wrong is part of it. */
  get done(): Promise<Outcome> {
    return this.#settled.promise
  }

  over(session: PostgresSession): Promise<Outcome> {
    session.submit(this)
    return this.done
  }

  // --- what the driver calls

  submit({ stream }: Wire): void {
    void this.#send(stream)
  }

  handleError(error: Error): void {
    this.#end({ tag: '', error })
  }

  handleCommandComplete(said: { readonly text?: string }): void {
    this.#tag = `${this.#tag} ${said.text ?? ''}`.trim()
  }

  handleReadyForQuery(): void {
    this.#end({ tag: this.#tag, error: null })
  }

  // Nothing is asked for that gives rows worth reading, and what COPY reads is on its way already.

  handleRowDescription(): void {}

  handleDataRow(): void {}

  handleEmptyQuery(): void {}

  handleCopyInResponse(): void {}

  async #send(stream: Duplex): Promise<void> {
    for (const pieces of this.#messages) {
      if (this.#over) return
      stream.cork()
      const room = pieces.map((piece) => piece.length === 0 || stream.write(piece)).every(Boolean)
      stream.uncork()
      if (!room) await this.#drained(stream)
    }
  }

  async #drained(stream: Duplex): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    stream.once('drain', resolve)
    await promise
    stream.off('drain', resolve)
    this.#wake = null
  }

  #end(outcome: Outcome): void {
    this.#over = true
    this.#wake?.()
    this.#settled.resolve(outcome)
  }
}
