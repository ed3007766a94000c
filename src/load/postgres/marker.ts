import { identifier, literal, qualified } from '../../dump/postgres/identifier.ts'
import type { Facts, PostgresSession } from '../../dump/postgres/session.ts'
import { BackupError } from '../../lib/errors.ts'
import type { Standing } from '../sql-load.ts'
import { loadError, sqlState } from './errors.ts'

/** Where the marker lies; in `public` where the account may make no schema. */
export const OWN_SCHEMA = 'ratchet_restore'
export const SPARE_TABLE = 'ratchet_restore_progress'
const PLACES: readonly (readonly [schema: string, table: string])[] = [
  [OWN_SCHEMA, 'progress'],
  ['public', SPARE_TABLE],
]

/**
 * `loading`: as far as it stands. `emptying`: what is there is on its way out, and nothing of it counts. `swapping`: all
 * of it is loaded, and it takes its name.
 */
export type Phase = 'loading' | 'emptying' | 'swapping'

/** What a load has done to a database, in one row of a table of its own there. */
export class Marker {
  readonly #table: readonly [schema: string, table: string]
  readonly id: string
  readonly phase: Phase
  readonly standing: Standing
  /** Whether the database was made for the load. */
  readonly made: boolean
  /** Extensions that were there before it. */
  readonly kept: readonly string[]

  private constructor(table: readonly [string, string], row: Facts) {
    this.#table = table
    this.id = row['id'] ?? ''
    this.phase = row['phase'] === 'swapping' ? 'swapping' : row['phase'] === 'loading' ? 'loading' : 'emptying'
    this.standing = { file: Number(row['file']), at: Number(row['at']) }
    this.made = row['made'] === 't'
    this.kept = (row['kept'] ?? '').split(' ').filter((name) => name !== '')
  }

  /**
   * Null: there is none. One that belongs to another account, or does more than hold a row, is none of ours: what it
   * says would decide what is dropped.
   */
  static async find(session: PostgresSession): Promise<Marker | null> {
    const rows = await session.facts(`
      SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE (${PLACES.map(([schema, table]) => `n.nspname = '${schema}' AND c.relname = '${table}'`).join(' OR ')})
         AND c.relkind = 'r' AND NOT c.relhastriggers AND NOT c.relhasrules AND NOT c.relrowsecurity
         AND c.relowner = (SELECT r.oid FROM pg_roles r WHERE r.rolname = CURRENT_USER)`)
    for (const { schema, name } of rows) {
      const table = [schema ?? '', name ?? ''] as const
      const [row] = await session.facts(`SELECT id, file, at, made, phase, kept FROM ${qualified(...table)}`)
      if (row !== undefined) return new Marker(table, row)
    }
    return null
  }

  /** DATABASE_DENIED: the account may make nothing in this database. */
  static async make(session: PostgresSession, id: string, made: boolean): Promise<Marker> {
    const extensions = await session.facts('SELECT extname AS name FROM pg_extension ORDER BY 1')
    // A name with a space in it is kept as none that could be dropped.
    const kept = extensions.map(({ name }) => (name ?? '').replaceAll(' ', '?')).join(' ')
    for (const [i, table] of PLACES.entries()) {
      try {
        await session.run('BEGIN')
        if (i === 0) await session.run(`CREATE SCHEMA ${identifier(OWN_SCHEMA)}`)
        await session.run(
          `CREATE TABLE ${qualified(...table)} (id text NOT NULL, file integer NOT NULL, at bigint NOT NULL, made boolean NOT NULL, phase text NOT NULL, kept text NOT NULL)`,
        )
        const values = [literal(id), '0', '0', String(made), "'loading'", literal(kept)]
        await session.run(`INSERT INTO ${qualified(...table)} VALUES (${values.join(', ')})`)
        await session.run('COMMIT')
        const row = { id, file: '0', at: '0', made: made ? 't' : 'f', phase: 'loading', kept }
        return new Marker(table, row)
      } catch (error) {
        if (session.alive) await session.run('ROLLBACK')
        if (sqlState(error) !== '42501') throw loadError(error, 'the database could not be made ready')
      }
    }
    throw new BackupError('DATABASE_DENIED', 'the account may make nothing in this database', {
      hint: 'Let the account own the database, or grant it CREATE on the database or on its schema public.',
    })
  }

  /** In the words of SQL, without anything that could be looked up elsewhere. */
  moved({ file, at }: Standing): string {
    return `UPDATE ${qualified(...this.#table)} SET file = ${file}, at = ${at}`
  }

  /** As it is from now on. */
  async become(
    session: PostgresSession,
    id: string,
    phase: Phase,
    standing: Standing = this.standing,
  ): Promise<Marker> {
    const { file, at } = standing
    await session.run(
      `UPDATE ${qualified(...this.#table)} SET id = ${literal(id)}, phase = '${phase}', file = ${file}, at = ${at}`,
    )
    const row = {
      id,
      phase,
      file: String(file),
      at: String(at),
      made: this.made ? 't' : 'f',
      kept: this.kept.join(' '),
    }
    return new Marker(this.#table, row)
  }

  async drop(session: PostgresSession): Promise<void> {
    const [schema] = this.#table
    const what = schema === OWN_SCHEMA ? `SCHEMA ${identifier(schema)} CASCADE` : `TABLE ${qualified(...this.#table)}`
    await session.run(`DROP ${what}`)
  }
}
