import { nanoid } from 'nanoid'
import type { ErrorCode } from '../../lib/errors.ts'
import { BackupError, ERROR_RULES } from '../../lib/errors.ts'

/**
 * Our codes on this wire: total, so a new code that has no number does not compile. -32602 and -32603
 * are the protocol's own; the rest lies in the range it leaves to servers, in groups of ten. Numbers
 * are never changed or reused.
 */
export const RPC_CODES: Readonly<Record<ErrorCode, number>> = {
  BAD_REQUEST: -32602,
  INTERNAL: -32603,

  UNAUTHORIZED: -32001,
  FORBIDDEN: -32002,
  TOO_LARGE: -32003,
  LIMIT_EXCEEDED: -32004,
  TOO_MANY_REQUESTS: -32005,
  PASSWORD_REFUSED: -32006,
  USER_NOT_FOUND: -32007,
  TOKEN_NOT_FOUND: -32008,

  PROFILE_NOT_FOUND: -32010,
  PROFILE_INVALID: -32011,
  PATH_OUTSIDE_ROOTS: -32012,
  SETTINGS_CHANGED: -32013,
  PROFILE_EXISTS: -32014,

  JOB_NOT_FOUND: -32020,
  JOB_BUSY: -32021,
  JOB_NOT_RUNNING: -32022,
  JOB_RUNNING: -32023,
  STEP_OUT_OF_ORDER: -32024,
  LEASE_LOST: -32025,
  CANCELLED: -32026,
  FROZEN: -32027,

  STATE_DAMAGED: -32030,
  STATE_TOO_NEW: -32031,
  WORK_FILE_LOST: -32032,

  SOURCE_NOT_FOUND: -32040,
  SOURCE_UNREADABLE: -32041,
  SOURCE_CHANGED: -32042,
  OUTPUT_UNWRITABLE: -32043,
  OUTPUT_IS_SOURCE: -32044,
  TARGET_UNWRITABLE: -32045,
  TARGET_EXISTS: -32046,
  DATABASE_BUSY: -32047,
  DATABASE_DAMAGED: -32048,
  DATABASE_NOT_FOUND: -32049,
  DATABASE_DENIED: -32072,
  DATABASE_FAILED: -32073,

  DISK_FULL: -32050,
  READ_ONLY: -32051,
  TOO_MANY_FILES: -32052,
  IO_ERROR: -32053,
  NAME_TOO_LONG: -32054,

  ARCHIVE_NOT_FOUND: -32060,
  ARCHIVE_DAMAGED: -32061,
  ARCHIVE_UNSUPPORTED: -32062,
  ENTRY_REFUSED: -32063,
  VERIFY_FAILED: -32064,
  ENTRY_NOT_FOUND: -32065,

  UNREACHABLE: -32070,
  TIMED_OUT: -32071,
}

export type RpcId = string | number | null

export interface RpcError {
  code: number
  message: string
  data?: Record<string, string | number | boolean | null>
}

export interface RpcErrorReply {
  jsonrpc: '2.0'
  id: RpcId
  error: RpcError
}

/** Takes what must not go to clients: the error behind an id. */
export type ReportInternal = (id: string, error: unknown) => void

/** Anything thrown, as this wire shows it. What we did not expect shows only an id; the log has the rest. */
export function rpcErrorOf(error: unknown, report: ReportInternal, newId: () => string = nanoid): RpcError {
  if (error instanceof BackupError && error.code !== 'INTERNAL') {
    return {
      code: RPC_CODES[error.code],
      message: error.message,
      data: { ...error.data, code: error.code, hint: error.hint, retry: error.retry },
    }
  }
  const id = newId()
  report(id, error)
  const rule = ERROR_RULES.INTERNAL
  return {
    code: RPC_CODES.INTERNAL,
    message: `Internal error ${id}`,
    data: { code: 'INTERNAL', hint: rule.hint, retry: rule.retry, id },
  }
}

export const errorReply = (id: RpcId, error: RpcError): RpcErrorReply => ({ jsonrpc: '2.0', id, error })

/** A refusal at the door, in the same shape. */
export function refusal(code: ErrorCode, message: string, ownHint?: string): RpcErrorReply {
  const { hint: ofCode, retry } = ERROR_RULES[code]
  const hint = ownHint ?? ofCode
  return errorReply(null, { code: RPC_CODES[code], message, data: { code, hint, retry } })
}

/** The protocol's own errors, for requests that reach no method. */
function protocolError(code: number, message: string, hint: string): RpcError {
  return { code, message, data: { code: 'BAD_REQUEST', hint, retry: 'never' } }
}

export const parseError = (): RpcErrorReply =>
  errorReply(null, protocolError(-32700, 'Parse error', 'Send JSON in UTF-8.'))

export const invalidRequest = (message: string, id: RpcId = null): RpcErrorReply =>
  errorReply(
    id,
    protocolError(-32600, `Invalid Request: ${message}`, 'Send one request object, or an array of at most 20.'),
  )

export const noMethod = (id: RpcId): RpcErrorReply =>
  errorReply(id, protocolError(-32601, 'Method not found', 'Call rpc.discover for the list of methods.'))
