import { BackupError } from '../../lib/errors.ts'
import { said, type Meaning } from '../../dump/server-errors.ts'

const RIGHTS: Meaning = {
  code: 'DATABASE_DENIED',
  hint: 'Grant the account ALL PRIVILEGES on the database it loads into.',
}
const OTHER_SERVER: Meaning = {
  code: 'DATABASE_FAILED',
  hint: 'The backup is of a newer or another kind of server: load it into one of that kind.',
}

/** What errors of the server come to where something is put back, and not read. By their symbols. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ER_DBACCESS_DENIED_ERROR: RIGHTS,
  ER_TABLEACCESS_DENIED_ERROR: RIGHTS,
  ER_SPECIFIC_ACCESS_DENIED_ERROR: RIGHTS,
  ER_PROCACCESS_DENIED_ERROR: RIGHTS,
  ER_DISK_FULL: { code: 'DISK_FULL' },
  ER_RECORD_FILE_FULL: { code: 'DISK_FULL', hint: 'Make room where the server keeps its tables.' },
  ER_NET_PACKET_TOO_LARGE: {
    code: 'DATABASE_FAILED',
    hint: 'Raise max_allowed_packet of the server above the length of its longest row.',
  },
  ER_NO_SUCH_TABLE: { code: 'DATABASE_FAILED', hint: 'Does somebody else work in the database that is loaded into?' },
  ER_UNKNOWN_COLLATION: OTHER_SERVER,
  ER_UNKNOWN_CHARACTER_SET: OTHER_SERVER,
  ER_UNKNOWN_STORAGE_ENGINE: OTHER_SERVER,
  ER_PARSE_ERROR: OTHER_SERVER,
}

/** The server's or the driver's own word for what went wrong; empty where it has none. */
export function symbolOf(error: unknown): string {
  const cause = error instanceof BackupError ? error.cause : error
  return cause instanceof Error && !(cause instanceof BackupError) && 'code' in cause && typeof cause.code === 'string'
    ? cause.code
    : ''
}

/** The same trouble, told of what was being put back. */
export function loadError(error: unknown, what: string): unknown {
  // What we found out ourselves is told already.
  const symbol = symbolOf(error)
  if (!(error instanceof BackupError) || symbol === '') return error
  const { code = error.code, ...rest } = MEANINGS[symbol] ?? { hint: error.hint, retry: error.retry }
  const cause = error.cause instanceof Error ? said(error.cause.message) : error.message
  return new BackupError(code, `${what}: ${cause} (${symbol})`, { ...rest, cause: error.cause })
}

/** Somebody was here before: the object that was to be made is there. */
const THERE: ReadonlySet<string> = new Set([
  ...['ER_TABLE_EXISTS_ERROR', 'ER_SP_ALREADY_EXISTS', 'ER_TRG_ALREADY_EXISTS', 'ER_EVENT_ALREADY_EXISTS'],
])
export const isThere = (error: unknown): boolean => THERE.has(symbolOf(error))

/** The connection, not the statement: it is tried again as a whole. */
export const isLost = (error: unknown): boolean => error instanceof BackupError && error.retry === 'later'
