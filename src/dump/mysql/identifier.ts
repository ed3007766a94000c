import { BackupError } from '../../lib/errors.ts'

/** The server's own limit is 64 characters; more than this is no name (MySQL reference manual, "Identifier Length Limits"). */
const LONGEST = 256

/**
 * A name as it stands in SQL, whatever it holds: in backticks, those within doubled, which no SQL mode changes.
 * BAD_REQUEST: no server has such a name.
 */
export function identifier(name: string): string {
  if (name === '' || name.length > LONGEST || name.includes('\0') || !name.isWellFormed()) {
    throw new BackupError('BAD_REQUEST', `${JSON.stringify(name.slice(0, LONGEST))} cannot be a name in MySQL`)
  }
  return `\`${name.replaceAll('`', '``')}\``
}

/** `database`.`name`. */
export const qualified = (database: string, name: string): string => `${identifier(database)}.${identifier(name)}`
