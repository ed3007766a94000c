import type { ErrorCode } from '../lib/errors.ts'

/** The server understood and refused. `code` is stable; `hint` says what to do. */
export class RatchetError extends Error {
  readonly code: ErrorCode | 'UNKNOWN'
  readonly rpcCode: number
  readonly hint: string
  readonly data: Readonly<Record<string, unknown>>

  constructor(message: string, rpcCode: number, data: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.name = 'RatchetError'
    this.rpcCode = rpcCode
    this.code = (typeof data['code'] === 'string' ? data['code'] : 'UNKNOWN') as ErrorCode | 'UNKNOWN'
    this.hint = typeof data['hint'] === 'string' ? data['hint'] : ''
    this.data = data
  }
}

/** No answer, or none that could be understood: the call may or may not have been carried out. */
export class ConnectionError extends Error {
  /** How long the server asked us to wait. Milliseconds. */
  readonly retryAfterMs: number | null
  /** The HTTP status of an answer that counts as none; null: nothing was answered, or not by HTTP's rules. */
  readonly status: number | null

  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number | null; status?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ConnectionError'
    this.retryAfterMs = options.retryAfterMs ?? null
    this.status = options.status ?? null
  }
}
