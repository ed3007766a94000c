import type { BackupError } from '../../lib/errors.ts'
import { DENIED, GONE, serverError, type Meaning } from '../server-errors.ts'

const RIGHTS: Meaning = {
  code: 'DATABASE_DENIED',
  hint: 'Grant the account SELECT, SHOW VIEW, TRIGGER and EVENT on the database, or leave the table out.',
}

/** By the symbols of the server's and the driver's errors (MySQL error message reference; libuv). */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ER_ACCESS_DENIED_ERROR: DENIED,
  ER_ACCESS_DENIED_NO_PASSWORD_ERROR: DENIED,
  ER_HOST_NOT_PRIVILEGED: { code: 'DATABASE_DENIED', hint: 'The server lets nobody in from this machine.' },
  ER_DBACCESS_DENIED_ERROR: RIGHTS,
  ER_TABLEACCESS_DENIED_ERROR: RIGHTS,
  ER_COLUMNACCESS_DENIED_ERROR: RIGHTS,
  ER_SPECIFIC_ACCESS_DENIED_ERROR: RIGHTS,
  ER_BAD_DB_ERROR: { code: 'DATABASE_NOT_FOUND' },
  ER_NO_SUCH_TABLE: {
    code: 'SOURCE_CHANGED',
    hint: 'A table was dropped or renamed while it was read.',
    retry: 'later',
  },
  ER_TABLE_DEF_CHANGED: { code: 'SOURCE_CHANGED', hint: 'A table was altered while it was read.', retry: 'later' },
  ER_LOCK_WAIT_TIMEOUT: { code: 'DATABASE_BUSY' },
  ER_LOCK_DEADLOCK: { code: 'DATABASE_BUSY' },
  ER_CON_COUNT_ERROR: { code: 'DATABASE_BUSY', hint: 'The server has no connection left.' },
  ER_USER_LIMIT_REACHED: { code: 'DATABASE_BUSY', hint: 'The account has no connection left.' },
  ER_SECURE_TRANSPORT_REQUIRED: { code: 'DATABASE_DENIED', hint: 'The server wants TLS: switch it on (tls).' },
  ER_SERVER_SHUTDOWN: GONE,
  ER_CONNECTION_KILLED: GONE,
  ER_QUERY_INTERRUPTED: { code: 'TIMED_OUT' },
  ER_STATEMENT_TIMEOUT: { code: 'TIMED_OUT' },
  ER_QUERY_TIMEOUT: { code: 'TIMED_OUT' },
  PROTOCOL_CONNECTION_LOST: GONE,
  ANSWER_TOO_LONG: { code: 'DATABASE_FAILED', hint: 'Is this a database server?', retry: 'never' },
  ROW_TOO_LONG: {
    code: 'DATABASE_FAILED',
    hint: 'It cannot be read in bounded memory: leave the table out, or keep such values as files.',
    retry: 'never',
  },
  ECONNRESET: GONE,
  EPIPE: GONE,
  ECONNREFUSED: { code: 'UNREACHABLE' },
  ENOENT: { code: 'UNREACHABLE', hint: 'No server listens at this socket.' },
  ENOTFOUND: { code: 'UNREACHABLE', hint: 'This host name is not known here.' },
  EAI_AGAIN: { code: 'UNREACHABLE', hint: 'The name of the host could not be looked up.' },
  EHOSTUNREACH: { code: 'UNREACHABLE' },
  ETIMEDOUT: { code: 'TIMED_OUT' },
  HANDSHAKE_NO_SSL_SUPPORT: { code: 'UNREACHABLE', hint: 'The server speaks no TLS.', retry: 'never' },
  HANDSHAKE_SSL_ERROR: { code: 'UNREACHABLE', hint: 'Its certificate is not trusted: name its CA.', retry: 'never' },
}

/** The driver has no symbol for a connection that ended before it was asked. */
function meaningOf(symbol: string, error: Error): Meaning {
  const unknown: Meaning =
    'fatal' in error && error.fatal === true && symbol === '' ? GONE : { code: 'DATABASE_FAILED' }
  return MEANINGS[symbol] ?? unknown
}

export const databaseError = (error: unknown, what: string): BackupError => serverError(error, what, meaningOf)
