import { BackupError, type ErrorCode } from '../lib/errors.ts'

/** What an error of a server or its driver comes to. */
export interface Meaning {
  readonly code: ErrorCode
  readonly hint?: string
  readonly retry?: 'later' | 'never'
}

export const DENIED: Meaning = { code: 'DATABASE_DENIED' }
export const GONE: Meaning = {
  code: 'UNREACHABLE',
  hint: 'The server ended the connection; see its own log for the reason.',
}

/** Somebody else's text: one line, bounded. */
export const said = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 300)

/**
 * What went wrong with a server, as an error of ours. Faults of this program stay what they are. `symbol` is the error's
 * own code; empty where it has none.
 */
export function serverError(
  error: unknown,
  what: string,
  meaningOf: (symbol: string, error: Error) => Meaning,
): BackupError {
  if (error instanceof BackupError) return error
  if (!(error instanceof Error)) return new BackupError('INTERNAL', `${what}: ${String(error)}`, { cause: error })
  const symbol = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const { code, ...rest } = meaningOf(symbol, error)
  return new BackupError(code, `${what}: ${said(error.message)}${symbol === '' ? '' : ` (${symbol})`}`, {
    ...rest,
    cause: error,
  })
}
