import { BackupError } from '../../lib/errors.ts'
import type { Consistency, Lack, RowMark, Section, SqlBlock, SqlDump } from '../sql-dump.ts'
import { textBlocks } from '../text-blocks.ts'
import { readCatalogue, isTransactional, type TableFacts } from './catalogue.ts'
import { definitionsAfter, definitionsOf, type Definition, type Uncovered } from './definitions.ts'
import { readingOf } from './keyset.ts'
import { rowBlocks } from './row-blocks.ts'
import { FOOTER, HEADER, scriptOf } from './script.ts'
import { MysqlSession, type MysqlTarget } from './session.ts'
import { shapeOf } from './shape.ts'

/** Which tables; exact names. */
export interface TableChoice {
  /** Only these; absent: all. */
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  /** Their definition, but no rows. */
  readonly structureOnly?: readonly string[]
}

export interface MysqlDumpOptions extends TableChoice {
  readonly consistency: Consistency
}

const SAVEPOINT = 'ratchet'
/** Everything after the rows. */
const AFTER = 'after'

/** A MySQL or MariaDB database as SQL, over one connection. */
export class MysqlDump implements SqlDump {
  readonly server: string
  readonly consistency: Consistency
  readonly preamble = HEADER
  readonly postamble = FOOTER
  readonly #target: MysqlTarget
  readonly #options: MysqlDumpOptions
  #session: MysqlSession
  #tables: readonly TableFacts[] = []
  readonly #uncovered: Uncovered[] = []
  /** A connection that was left in the middle of a result is used no more. */
  #broken = false

  private constructor(session: MysqlSession, target: MysqlTarget, options: MysqlDumpOptions) {
    this.#session = session
    this.#target = target
    this.#options = options
    this.consistency = options.consistency
    const { vendor, text } = session.version
    this.server = `${vendor === 'mariadb' ? 'MariaDB' : 'MySQL'} ${text.replaceAll(/[^\w.+~-]+/g, ' ').slice(0, 100)}`
  }

  static async open(target: MysqlTarget, options: MysqlDumpOptions): Promise<MysqlDump> {
    const session = await MysqlSession.open(target)
    const dump = new MysqlDump(session, target, options)
    try {
      if (options.consistency === 'snapshot') {
        await session.run('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
        await session.run(`SAVEPOINT ${SAVEPOINT}`)
      }
      const all = await readCatalogue(session, target.database)
      dump.#tables = all.filter(({ name }) => dump.#isChosen(name))
      dump.#noteUnknown(all)
      dump.#noteHistories()
    } catch (error) {
      await session[Symbol.asyncDispose]()
      throw error
    }
    return dump
  }

  get exceptions(): readonly Lack[] {
    return this.#tables
      .filter((table) => table.kind === 'table' && !isTransactional(table))
      .map(({ name, engine }) => ({ kind: 'table', name, why: `its engine ${engine ?? '?'} knows no transactions` }))
  }

  sections(): Promise<readonly Section[]> {
    const first = this.#tables.filter(({ kind }) => kind === 'sequence')
    const then = this.#tables.filter(({ kind }) => kind === 'table')
    const sections = [...first, ...then].flatMap((table) => this.#sectionsOf(table))
    sections.push({ id: AFTER, kind: 'definitions', unit: AFTER, table: null, estimate: 0, bytes: 0, resumable: false })
    return Promise.resolve(sections)
  }

  takeLacks(): readonly Lack[] {
    return this.#uncovered.splice(0)
  }

  async *read(section: Section, after: RowMark | null, lend: () => Buffer): AsyncGenerator<SqlBlock, void, undefined> {
    await this.#renew()
    this.#broken = true
    const { table } = section
    if (table === null) yield* textBlocks(await this.#afterAll(), lend)
    else {
      const facts = this.#factsOf(table)
      if (section.kind === 'definitions') yield* textBlocks((await this.#definitions(facts)).map(scriptOf), lend)
      else yield* this.#rows(facts, after, lend)
    }
    // The snapshot stays; the lock on the table's definition goes, or whoever alters it would wait for the whole dump.
    if (this.consistency === 'snapshot') await this.#session.run(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`)
    this.#broken = false
  }

  async shape(unit: string): Promise<string> {
    if (unit === AFTER) return '' // read at once
    await this.#renew()
    return shapeOf(this.#session, this.#target.database, tableOf(unit))
  }

  orderFile(files: readonly string[]): string {
    // `source` takes the rest of its line as it is: names are made of harmless letters.
    return files.map((file) => `source ${file}\n`).join('')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]()
  }

  #sectionsOf({ name, kind, rows, bytes, key }: TableFacts): Section[] {
    const common = { unit: unitOf(name), table: name }
    const made: Section = {
      id: `${kind}:${name}`,
      kind: 'definitions',
      estimate: 0,
      bytes: 0,
      resumable: false,
      ...common,
    }
    if (kind !== 'table' || this.#options.structureOnly?.includes(name) === true) return [made]
    return [made, { id: `rows:${name}`, kind: 'rows', estimate: rows, bytes, resumable: key !== null, ...common }]
  }

  async *#rows(
    facts: TableFacts,
    after: RowMark | null,
    lend: () => Buffer,
  ): AsyncGenerator<SqlBlock, void, undefined> {
    const { name, columns, key } = facts
    const reading = readingOf({ database: this.#target.database, table: name, columns, key })
    yield* rowBlocks(name, reading, this.#session.rows(reading.select(after), name), lend)
  }

  async #definitions(table: TableFacts): Promise<Definition[]> {
    const { length } = this.#uncovered
    const found = await definitionsOf(this.#reading, table)
    // A table without its definition is not in the dump at all: that is no gap to be named and passed over.
    if (found.length > 0) return found
    const [why] = this.#uncovered.splice(length)
    throw new BackupError('DATABASE_DENIED', `${table.name} cannot be read: ${why?.why ?? 'it has no definition'}`)
  }

  async #afterAll(): Promise<string[]> {
    const views = this.#tables.filter(({ kind }) => kind === 'view')
    const { length } = this.#uncovered
    const found = await definitionsAfter(this.#reading, views)
    if (this.#options.include !== undefined) this.#forgetOtherTables(length)
    return found.map(scriptOf)
  }

  /** Whoever names the tables does not ask whether there are others. */
  #forgetOtherTables(from: number): void {
    const kept = this.#uncovered.splice(from).filter(({ kind, name }) => kind !== 'table' || name !== '*')
    this.#uncovered.push(...kept)
  }

  get #reading(): { session: MysqlSession; database: string; uncovered: Uncovered[] } {
    return { session: this.#session, database: this.#target.database, uncovered: this.#uncovered }
  }

  #factsOf(name: string): TableFacts {
    const facts = this.#tables.find((table) => table.name === name)
    if (facts === undefined) throw new BackupError('SOURCE_CHANGED', `the table ${name} is gone`)
    return facts
  }

  /** After a reading that was left before its end: another connection, unless that would tear the snapshot. */
  async #renew(): Promise<void> {
    if (!this.#broken) return
    if (this.consistency === 'snapshot') {
      throw new BackupError('UNREACHABLE', 'the connection that held the snapshot was given up')
    }
    await this.#session[Symbol.asyncDispose]()
    this.#session = await MysqlSession.open(this.#target)
    this.#broken = false
  }

  #isChosen(name: string): boolean {
    const { include, exclude } = this.#options
    return (include === undefined || include.includes(name)) && exclude?.includes(name) !== true
  }

  #noteHistories(): void {
    for (const { name, versioned } of this.#tables) {
      if (versioned) this.#uncovered.push({ kind: 'table', name, why: 'its history is not read, only what is current' })
    }
  }

  /** A name in the profile that fits nothing is most likely misspelt. */
  #noteUnknown(all: readonly TableFacts[]): void {
    const known = new Set(all.map(({ name }) => name))
    for (const name of [...(this.#options.include ?? []), ...(this.#options.structureOnly ?? [])]) {
      if (!known.has(name))
        this.#uncovered.push({ kind: 'table', name, why: 'the profile names it, and it is not there' })
    }
  }
}

const unitOf = (table: string): string => `table:${table}`
const tableOf = (unit: string): string => unit.slice('table:'.length)
