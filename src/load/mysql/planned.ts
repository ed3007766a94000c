import { BackupError } from '../../lib/errors.ts'
import { readCatalogue } from '../../dump/mysql/catalogue.ts'
import { definitionsAfter, type Definition, type Uncovered } from '../../dump/mysql/definitions.ts'
import { identifier } from '../../dump/mysql/identifier.ts'
import type { MysqlSession } from '../../dump/mysql/session.ts'

/** What is no table, of one side of a swap: cannot be moved, is made again. */
export interface Planned extends Definition {
  readonly side: 'new' | 'old'
}

/** Views, routines, triggers and events of a database, which the session uses from now on. */
export async function codeOf(
  session: MysqlSession,
  database: string,
): Promise<{ readonly found: readonly Definition[]; readonly uncovered: readonly Uncovered[] }> {
  const uncovered: Uncovered[] = []
  // The server leaves the name of a database out of definitions where it is the one in use.
  await session.run(`USE ${identifier(database)}`)
  const views = (await readCatalogue(session, database)).filter(({ kind }) => kind === 'view')
  return { found: await definitionsAfter({ session, database, uncovered }, views), uncovered }
}

/** What the account is not shown would be gone for good once another database has taken the place. DATABASE_DENIED. */
export async function checkKeepable(session: MysqlSession, database: string): Promise<void> {
  const { uncovered } = await codeOf(session, database)
  // Kinds that it is not shown at all, it cannot remove either.
  const [first] = uncovered.filter(({ name }) => name !== '*')
  if (first === undefined) return
  const { kind, name, why } = first
  throw new BackupError('DATABASE_DENIED', `the ${kind} ${name} of ${database} could not be kept: ${why}`, {
    hint: 'Restore with the account that owns it, or one that may see it (SHOW CREATE ROUTINE, or SELECT on mysql.proc); or drop it first.',
  })
}
