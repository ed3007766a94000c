import { BackupError } from '../../lib/errors.ts'
import type { Lack } from '../../dump/sql-dump.ts'
import { identifier } from '../../dump/mysql/identifier.ts'
import { MysqlSession } from '../../dump/mysql/session.ts'
import { StatementLoad } from '../file-load.ts'
import type { FileLoad, LoadFile, LoadOrder, SqlLoad, Standing } from '../sql-load.ts'
import { contentsOf, emptyDatabase, findDatabase, isEmpty, makeDatabase, runAll } from './contents.ts'
import { loadError } from './errors.ts'
import { hold } from './hold.ts'
import { makeMark, MARKER, MOVED, PLAN, readMark, setMark } from './marker.ts'
import { beside } from './names.ts'
import { emptyTable, MysqlRunner } from './runner.ts'
import { MysqlStatements } from './statements.ts'
import { checkKeepable } from './planned.ts'
import { Swap } from './swap.ts'

/** Beside what every connection of ours has: a table that others use is waited for seconds only, as a step is short. */
const PINS = ['SET SESSION lock_wait_timeout = 5', 'SET SESSION innodb_lock_wait_timeout = 5']
/** What is not the statement in a packet. Bytes. */
const PACKET_REST = 1024

/** A MySQL or MariaDB database that is loaded. */
export class MysqlLoad implements SqlLoad {
  readonly server: string
  readonly #session: MysqlSession
  readonly #order: LoadOrder
  /** The database that is loaded into. */
  readonly #into: string
  /** Where what was there before is kept. */
  readonly #aside: string
  #runner: MysqlRunner | null = null
  #begun = -1
  #standing: Standing = { file: 0, at: 0 }
  readonly #lacks: Lack[] = []

  private constructor(session: MysqlSession, order: LoadOrder) {
    this.#session = session
    this.#order = order
    const { database } = order.target
    this.#aside = beside(database, 'before', order.id)
    this.#into = order.mode === 'new' ? database : (order.scratch ?? beside(database, 'ratchet', order.id))
    const { vendor, text } = session.version
    this.server = `${vendor === 'mariadb' ? 'MariaDB' : 'MySQL'} ${text.replaceAll(/[^\w.+~-]+/g, ' ').slice(0, 100)}`
  }

  /** Errors: those of `MysqlSession.open`. */
  static async open(order: LoadOrder): Promise<MysqlLoad> {
    const { database } = order.target
    if (order.scratch === database) {
      throw new BackupError(
        'BAD_REQUEST',
        `${database} cannot be loaded beside itself: name another database to load into`,
      )
    }
    // It need not be there yet.
    const session = await MysqlSession.open({ ...order.target, database: '' })
    try {
      await runAll(session, PINS)
      return new MysqlLoad(session, order)
    } catch (error) {
      await session[Symbol.asyncDispose]()
      throw error
    }
  }

  async prepare(): Promise<Standing> {
    try {
      this.#standing = await this.#prepare()
    } catch (error) {
      throw loadError(error, `the database ${this.#into} cannot be made ready`)
    }
    const [packet] = await this.#session.facts('SELECT @@SESSION.max_allowed_packet AS bytes')
    this.#runner = new MysqlRunner({
      session: this.#session,
      database: this.#into,
      id: this.#order.id,
      longest: Number(packet?.['bytes']) - PACKET_REST,
      trusted: this.#order.trusted,
      lack: (lack) => this.#lacks.push(lack),
    })
    return this.#standing
  }

  /** Also the one whose place is taken: two swaps at once would mix what each has planned. */
  async #hold(): Promise<void> {
    const { id, mode, target } = this.#order
    await hold(this.#session, this.#into, id)
    if (mode === 'swap') await hold(this.#session, target.database, id)
  }

  async #prepare(): Promise<Standing> {
    const { id } = this.#order
    const session = this.#session
    await this.#hold()
    const there = (await findDatabase(session, this.#into)) !== null
    const mark = there ? await readMark(session, this.#into) : null
    if (mark?.id === id) {
      await session.run(`USE ${identifier(this.#into)}`)
      return await this.#goOn(mark)
    }
    if (there && !isEmpty(await contentsOf(session, this.#into))) throw this.#notEmpty(mark?.id ?? '')
    const made: string[] = []
    try {
      await this.#begin(there, made)
    } catch (error) {
      for (const name of made) await session.run(`DROP DATABASE ${identifier(name)}`)
      throw error
    }
    await session.run(`USE ${identifier(this.#into)}`)
    await makeMark(session, this.#into, id, !there || (mark?.made ?? false))
    return { file: 0, at: 0 }
  }

  /** Whatever could stand in the way of the end is found before the beginning. */
  async #begin(there: boolean, made: string[]): Promise<void> {
    const { mode, target, scratch } = this.#order
    const session = this.#session
    if (!there && scratch !== undefined)
      throw new BackupError('DATABASE_NOT_FOUND', `there is no database ${scratch} to load into`)
    const final = await findDatabase(session, target.database)
    if (mode === 'swap' && final !== null && !isEmpty(await contentsOf(session, target.database))) {
      await checkKeepable(session, target.database)
      await this.#makeDatabase(this.#aside, final)
      made.push(this.#aside)
    }
    if (there) return
    await this.#makeDatabase(this.#into, final)
    made.push(this.#into)
  }

  async #goOn(mark: NonNullable<Awaited<ReturnType<typeof readMark>>>): Promise<Standing> {
    const { loose, file, at, id } = mark
    if (loose === null) return { file, at }
    // Its rows know no transaction: some of those behind the mark may be there.
    await emptyTable(this.#session, loose.table)
    await setMark(this.#session, this.#into, { id, file: loose.file, at: 0, loose: null })
    return { file: loose.file, at: 0 }
  }

  async #makeDatabase(name: string, like: Awaited<ReturnType<typeof findDatabase>>): Promise<void> {
    try {
      await makeDatabase(this.#session, name, like)
    } catch (error) {
      const told = loadError(error, `the database ${name} cannot be made`)
      if (!(told instanceof BackupError) || told.code !== 'DATABASE_DENIED') throw told
      throw new BackupError('DATABASE_DENIED', told.message, { hint: this.#howElse(name), cause: told })
    }
  }

  #howElse(name: string): string {
    const { mode, target, scratch } = this.#order
    if (mode === 'new') return `Make an empty database ${name} by hand (as your host's panel does), or grant CREATE.`
    if (name === this.#aside || scratch !== undefined)
      return `${this.#grant('before')}, where the present ${target.database} is to be kept; or empty it, and restore with mode new.`
    return `${this.#grant('ratchet')}, or name an empty database that it may use (scratch).`
  }

  /** For every restore to come: their names differ in what comes last. */
  #grant(what: 'before' | 'ratchet'): string {
    const pattern = `${this.#order.target.database}_${what}_`.replaceAll(/[_%\\]/g, '\\$&')
    return `GRANT ALL PRIVILEGES ON ${identifier(`${pattern}%`)}.* TO the account`
  }

  /** `left`: the load that has left its marker there; what it has left may be in use by now: that is for people to say. */
  #notEmpty(left: string): BackupError {
    const { mode } = this.#order
    if (left !== '') {
      const what = `the database ${this.#into} holds what the restore ${left} has left, which is not whole`
      const hint = 'Go on with that restore (ratchet restore --resume), cancel it, or drop the database.'
      return new BackupError('TARGET_EXISTS', what, { hint })
    }
    return new BackupError('TARGET_EXISTS', `the database ${this.#into} is not empty`, {
      hint:
        mode === 'new'
          ? 'Name a database that is absent or empty, or ask for a swap: then what is there is kept under another name.'
          : 'Name a database that is empty to be loaded into first.',
    })
  }

  filesOf(order: string): string[] {
    return order.split('\n').flatMap((line) => {
      if (line === '') return []
      const [, file] = /^source ([A-Za-z0-9_.-]+\.sql)$/.exec(line) ?? []
      if (file !== undefined) return [file]
      throw new BackupError('ARCHIVE_DAMAGED', `the order file of the dump holds ${JSON.stringify(line.slice(0, 60))}`)
    })
  }

  open(file: LoadFile): Promise<FileLoad> {
    const { trusted } = this.#order
    if (this.#runner === null || file.index <= this.#begun)
      throw new BackupError('INTERNAL', `${file.name} is out of turn: the database has to be prepared again`)
    this.#begun = file.index
    // In every other file, a table that is there already is another one, whose name the server does not tell from this.
    const again = file.index === this.#standing.file
    const held = again ? this.#standing.at : 0
    const reader = (from: number): MysqlStatements => new MysqlStatements(file.name, from, trusted)
    return StatementLoad.open(file, held, reader, this.#runner.forFile(file), again)
  }

  takeLacks(): readonly Lack[] {
    return this.#lacks.splice(0)
  }

  async *finish(): AsyncGenerator<string, string | null, undefined> {
    const { mode, target } = this.#order
    const session = this.#session
    try {
      await this.#hold()
      if (mode === 'new') {
        await session.run(`DROP TABLE IF EXISTS ${identifier(this.#into)}.${identifier(MARKER)}`)
        return null
      }
      return yield* this.#swap().run()
    } catch (error) {
      throw loadError(error, `the database ${target.database} cannot take the place of the one before`)
    }
  }

  #swap(): Swap {
    const { target, scratch } = this.#order
    return new Swap({
      session: this.#session,
      ...{ scratch: this.#into, final: target.database, aside: this.#aside },
      made: scratch === undefined,
      lack: (lack) => this.#lacks.push(lack),
    })
  }

  async undo(): Promise<void> {
    const { id, mode, scratch } = this.#order
    const session = this.#session
    await this.#hold()
    const there = (await findDatabase(session, this.#into)) !== null
    const mark = there ? await readMark(session, this.#into) : null
    if (mark?.id !== id) {
      // It died before it could say that it was there: what bears its name is its own.
      if (mode === 'swap') await this.#dropEmpty(this.#aside)
      if (mode === 'swap' && scratch === undefined) await this.#dropEmpty(this.#into)
      return
    }
    if (mode === 'swap' && !(await this.#swap().abandon())) return
    if (mode === 'swap') await this.#dropEmpty(this.#aside)
    if (mark.made) return session.run(`DROP DATABASE ${identifier(this.#into)}`)
    await emptyDatabase(session, this.#into)
    for (const name of [PLAN, MOVED, MARKER]) {
      await session.run(`DROP TABLE IF EXISTS ${identifier(this.#into)}.${identifier(name)}`)
    }
  }

  async #dropEmpty(name: string): Promise<void> {
    if ((await findDatabase(this.#session, name)) === null) return
    if (isEmpty(await contentsOf(this.#session, name))) await this.#session.run(`DROP DATABASE ${identifier(name)}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]()
  }
}
