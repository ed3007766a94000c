import { BackupError } from '../../lib/errors.ts'
import { DENIED, GONE, serverError, type Meaning } from '../server-errors.ts'

const CERTIFICATE: Meaning = {
  code: 'UNREACHABLE',
  hint: 'Its certificate is not trusted: name its CA, and whom it is for.',
  retry: 'never',
}
const CHANGED: Meaning = {
  code: 'SOURCE_CHANGED',
  hint: 'A table was altered, dropped or renamed while it was read.',
  retry: 'later',
}
const DAMAGED: Meaning = { code: 'DATABASE_DAMAGED', hint: 'See what the server says; its files are damaged.' }

/** By SQLSTATE (PostgreSQL manual, appendix A) and by the symbols of libuv and OpenSSL. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  '28P01': DENIED,
  '28000': DENIED,
  '3D000': { code: 'DATABASE_NOT_FOUND' },
  '42501': {
    code: 'DATABASE_DENIED',
    hint: 'Grant the account USAGE on the schemas and SELECT on their tables and sequences (pg_read_all_data), BYPASSRLS where row security is on, or leave the table out.',
  },
  '42P01': CHANGED,
  '42703': CHANGED,
  '3F000': CHANGED,
  '55P03': { code: 'DATABASE_BUSY' },
  '40P01': { code: 'DATABASE_BUSY' },
  '40001': {
    code: 'DATABASE_BUSY',
    hint: 'A standby gave up the query for what it replays: raise max_standby_streaming_delay, or ask the primary.',
  },
  '53300': { code: 'DATABASE_BUSY', hint: 'The server has no connection left.' },
  '57014': { code: 'TIMED_OUT' },
  '57P01': GONE,
  '57P02': GONE,
  '57P03': { code: 'UNREACHABLE', hint: 'The server is starting or stopping.' },
  '57P05': GONE,
  '25P03': GONE,
  '25P04': GONE,
  '08000': GONE,
  '08003': GONE,
  '08006': GONE,
  '08P01': { code: 'DATABASE_FAILED', hint: 'What answers there does not speak like a PostgreSQL server.' },
  XX001: DAMAGED,
  XX002: DAMAGED,
  ECONNRESET: GONE,
  EPIPE: GONE,
  ECONNREFUSED: { code: 'UNREACHABLE' },
  ENOENT: { code: 'UNREACHABLE', hint: 'No server listens at this socket.' },
  EACCES: { code: 'UNREACHABLE', hint: 'The service account may not use this socket.', retry: 'never' },
  ENOTFOUND: { code: 'UNREACHABLE', hint: 'This host name is not known here.' },
  EAI_AGAIN: { code: 'UNREACHABLE', hint: 'The name of the host could not be looked up.' },
  EHOSTUNREACH: { code: 'UNREACHABLE' },
  ENETUNREACH: { code: 'UNREACHABLE' },
  ETIMEDOUT: { code: 'TIMED_OUT' },
  ...Object.fromEntries(
    [
      ...['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
      ...['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ].map((symbol) => [symbol, CERTIFICATE]),
  ),
}

/** What the driver has no symbol for: by its words (`pg`, lib/client.js, lib/connection.js, lib/crypto/sasl.js). */
const WORDS: readonly (readonly [RegExp, Meaning])[] = [
  [/^Connection terminated|^Client was closed|not queryable|^write after end|^This socket has been ended/i, GONE],
  [/^timeout expired|^Query read timeout/, { code: 'TIMED_OUT' }],
  [/does not support SSL/, { code: 'UNREACHABLE', hint: 'The server speaks no TLS.', retry: 'never' }],
  [/^SASL: (Only mechanism|.*password must be)/, DENIED],
  [/^SASL:/, { code: 'DATABASE_DENIED', hint: 'The server did not prove that it knows the password.' }],
]

export const databaseError = (error: unknown, what: string): BackupError => serverError(error, what, meaningOf)

/** By the server's or the system's symbol, else by the driver's words. */
export function meaningOf(symbol: string, { message }: Error): Meaning {
  if (symbol === '28000' && /no encryption|SSL off/.test(message))
    return {
      code: 'DATABASE_DENIED',
      hint: 'The server lets nobody in like this: switch TLS on (tls), or see its pg_hba.conf.',
    }
  const known = MEANINGS[symbol] ?? WORDS.find(([words]) => words.test(message))?.[1]
  return known ?? { code: 'DATABASE_FAILED' }
}

export function askedForPassword({ database }: { readonly database: string }): BackupError {
  const what = `the server of ${database} asks for the password itself over a connection without TLS: refused`
  const hint = 'Switch TLS on (tls), or let the server ask for scram-sha-256 (pg_hba.conf).'
  return new BackupError('DATABASE_DENIED', what, { hint })
}
