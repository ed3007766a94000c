import { BackupError } from '../lib/errors.ts'
import type { FileLoad, LoadFile } from './sql-load.ts'

/** One statement of a file, found by the reader of its kind, and proven to be one that a dump of ours holds. */
export interface Statement {
  /**
   * `setting`: of the session alone, said again to each new connection. `definition`: changes what is there; a
   * transaction of its own. `rows`: as many as one likes make one transaction.
   */
  readonly kind: 'setting' | 'definition' | 'rows'
  /** Bytes of the file up to its end, and what separates it from the next one. */
  readonly end: number
}

/** Cuts the bytes of a file into statements. ENTRY_REFUSED, with the line, for one that no dump of ours holds. */
export interface StatementReader<S extends Statement> {
  /** Valid until the next call. */
  add(bytes: Buffer): Iterable<S>
  /** Bytes that belong to a statement that is not complete. */
  readonly open: boolean
}

/** Runs statements; `at`: bytes of the file that the database holds with this one. */
export interface StatementRunner<S extends Statement> {
  setting(statement: S): Promise<void>
  /** With its mark. `again`: it may have been run already, by somebody who died before he could say so. */
  definition(statement: S, at: number, again: boolean): Promise<void>
  /** In the open transaction, or the first of a new one. */
  rows(statement: S): Promise<void>
  /** Ends the open transaction, with the mark. */
  commit(at: number): Promise<void>
  /** The whole file is run: the mark stands at the beginning of the next one. */
  ended(): Promise<void>
}

/** What both kinds of server share: what is passed over, what is said again, what may have been done already. */
export class StatementLoad<S extends Statement> implements FileLoad {
  readonly #file: LoadFile
  readonly #reader: StatementReader<S>
  readonly #runner: StatementRunner<S>
  /** Bytes that the database held when this began. */
  readonly #held: number
  #done: number
  /** Bytes up to the end of the last statement that was run, and bytes that came. */
  #run: number
  #taken: number
  #again: boolean

  private constructor(
    file: LoadFile,
    reader: StatementReader<S>,
    runner: StatementRunner<S>,
    held: number,
    again: boolean,
  ) {
    this.#file = file
    this.#reader = reader
    this.#runner = runner
    this.#held = held
    this.#done = held
    this.#run = held
    this.#taken = file.from
    this.#again = again
  }

  /**
   * `reader(from)`: one whose first byte is that of the file. `again`: whoever was at this file before may have died
   * between a definition and its mark.
   */
  static async open<S extends Statement>(
    file: LoadFile,
    held: number,
    reader: (from: number) => StatementReader<S>,
    runner: StatementRunner<S>,
    again: boolean,
  ): Promise<StatementLoad<S>> {
    if (file.from > held) throw new BackupError('INTERNAL', `${file.name}: bytes that were not loaded are left out`)
    if (file.head !== null) await sayAgain(reader(0).add(file.head), runner)
    return new StatementLoad(file, reader(file.from), runner, held, again)
  }

  async take(bytes: Buffer): Promise<void> {
    this.#taken += bytes.length
    for (const statement of this.#reader.add(bytes)) {
      if (statement.kind === 'setting') await this.#runner.setting(statement)
      else if (statement.end > this.#held) await this.#perform(statement)
    }
  }

  async end(): Promise<void> {
    if (!this.#reader.open) {
      await this.commit()
      await this.#runner.ended()
      return
    }
    throw new BackupError('ARCHIVE_DAMAGED', `${this.#file.name} ends within a statement`)
  }

  async commit(): Promise<number> {
    // Where nothing is open, what fills up the last block counts as well: from there on anybody can read.
    await this.#keep(this.#reader.open ? this.#run : Math.max(this.#run, this.#taken))
    return this.#done
  }

  async #keep(at: number): Promise<void> {
    if (this.#run <= this.#done) return
    await this.#runner.commit(at)
    this.#done = at
  }

  async #perform(statement: S): Promise<void> {
    const { end } = statement
    if (statement.kind === 'definition') {
      await this.#keep(this.#run)
      await this.#runner.definition(statement, end, this.#again)
      this.#done = end
    } else await this.#runner.rows(statement)
    this.#again = false
    this.#run = end
  }
}

/** The settings at the beginning of a file, for a connection that goes on in the middle of it. */
async function sayAgain<S extends Statement>(statements: Iterable<S>, runner: StatementRunner<S>): Promise<void> {
  for (const statement of statements) {
    if (statement.kind !== 'setting') return
    await runner.setting(statement)
  }
}
