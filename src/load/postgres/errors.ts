import { meaningOf } from '../../dump/postgres/errors.ts'
import { said, serverError, type Meaning } from '../../dump/server-errors.ts'
import { BackupError } from '../../lib/errors.ts'

const failed = (hint: string): Meaning => ({ code: 'DATABASE_FAILED', hint })
const MISSING = failed('Something that it needs is not there: see what else could not be put back.')
const THERE = failed('It is there already: somebody else made it in this database while it was loaded.')
const RULE = failed('The rows break a rule of their own database, as they may where they are not from one moment.')

/** What differs from reading: by SQLSTATE (PostgreSQL manual, appendix A). */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  '42501': {
    code: 'DATABASE_DENIED',
    hint: 'The account has to own the database, or CREATE on it and on its schemas.',
  },
  '53100': { code: 'DISK_FULL', hint: 'Make room on the disk of the database server.' },
  '53200': {
    code: 'DATABASE_FAILED',
    hint: 'The server is out of memory, or of locks (max_locks_per_transaction).',
    retry: 'later',
  },
  '55006': { code: 'DATABASE_BUSY', hint: 'Others are connected to the database: end their sessions.' },
  '25006': failed('The server takes nothing in: it is a standby, or set to read only.'),
  '22021': failed(
    'The bytes are no text in the encoding of this database: make an empty one with the encoding of the old one.',
  ),
  '22P05': failed('A character of the dump has no place in the encoding of this database.'),
  '42601': failed('The server does not know these words: it may be older than the one that was read.'),
  '42P01': MISSING,
  '42703': MISSING,
  '42704': MISSING,
  '42883': MISSING,
  '3F000': MISSING,
  '0A000': failed('The server cannot do this: it may be older, or lack an extension.'),
  '42P04': THERE,
  '42P06': THERE,
  '42P07': THERE,
  '42710': THERE,
  '42723': THERE,
  '23502': RULE,
  '23503': RULE,
  '23505': RULE,
  '23514': RULE,
  '23P01': RULE,
}

/** `what`: which file and line, or what was being done. */
export const loadError = (error: unknown, what: string): BackupError =>
  serverError(error, `${what}${placeIn(error)}`, (symbol, inner) => MEANINGS[symbol] ?? meaningOf(symbol, inner))

/** Where in the rows, without their values. */
function placeIn(error: unknown): string {
  if (!(error instanceof Error) || !('where' in error) || typeof error.where !== 'string') return ''
  const [, place] = /(?:^|\n)(COPY [^\n]{1,200}?, line \d+(?:, column [^:\n]{1,200})?)/.exec(error.where) ?? []
  return place === undefined ? '' : ` (${said(place)})`
}

/** The server's own code for what went wrong, whoever wrapped it; empty: it was not the server. */
export function sqlState(error: unknown): string {
  if (error instanceof BackupError) return sqlState(error.cause)
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** The server's own words. */
export function sayingOf(error: unknown): string {
  if (error instanceof BackupError && error.cause instanceof Error) return sayingOf(error.cause)
  return said(error instanceof Error ? error.message : String(error))
}
