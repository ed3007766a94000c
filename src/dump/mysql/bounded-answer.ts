import type { Connection } from 'mysql2'

/** Names and definitions of a hundred thousand tables take a tenth of this. Bytes. */
const LONGEST = 64 << 20
/** An answer without rows that takes longer has been forgotten; a lock is waited for a minute at most. Milliseconds. */
const PATIENCE = 5 * 60_000

class Unbounded extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** What comes from the server itself; the driver's types do not name it. */
export const socketOf = (connection: Connection): NodeJS.EventEmitter =>
  (connection as unknown as { stream: NodeJS.EventEmitter }).stream

/**
 * Asks something whose answer is kept in memory. A server that answers without end, or not at all, loses its
 * connection.
 */
export async function boundedAnswer<T>(connection: Connection, ask: () => Promise<T>): Promise<T> {
  const socket = socketOf(connection)
  let bytes = 0
  const { promise: broken, reject } = Promise.withResolvers<never>()
  const give = (code: string, message: string): void => {
    reject(new Unbounded(code, message))
    connection.destroy()
  }
  const count = (piece: Buffer): void => {
    bytes += piece.length
    if (bytes > LONGEST) give('ANSWER_TOO_LONG', `the answer is longer than ${LONGEST >> 20} MiB`)
  }
  const timer = setTimeout(() => give('ETIMEDOUT', 'there is no answer'), PATIENCE)
  timer.unref()
  socket.prependListener('data', count)
  try {
    return await Promise.race([ask(), broken])
  } finally {
    clearTimeout(timer)
    socket.off('data', count)
  }
}
