import type { PostgresSession } from '../../dump/postgres/session.ts'
import type { Lack } from '../../dump/sql-dump.ts'
import { BackupError } from '../../lib/errors.ts'
import { StatementLoad } from '../file-load.ts'
import type { FileLoad, LoadFile, LoadOrder, SqlLoad, Standing } from '../sql-load.ts'
import { attach, checkRights, makeReady, makeWork, openIfThere, type Attached } from './attach.ts'
import { databaseNamed, dropDatabase, limitOf, nameBeside, openHub } from './databases.ts'
import { dropAllIn } from './empty.ts'
import type { Marker } from './marker.ts'
import { filesIn } from './order-file.ts'
import { PgRunner, ROOM } from './runner.ts'
import { PgStatements } from './statements.ts'
import { takeName, type Names } from './swap.ts'

/** More than any file. */
const ALL: Standing = { file: Number.MAX_SAFE_INTEGER, at: 0 }

/** SQL files of a dump, back into a PostgreSQL database. */
export class PostgresLoad implements SqlLoad {
  readonly server: string
  readonly #order: LoadOrder
  readonly #names: Names
  /** A connection that only told who answers. */
  #first: PostgresSession | null
  #attached: Attached | null = null
  #marker: Marker | null = null
  #standing: Standing = { file: 0, at: 0 }
  #settings: ReadonlySet<string> = new Set()
  readonly #lacks: Lack[] = []
  readonly #memory = Buffer.allocUnsafeSlow(ROOM)

  private constructor(order: LoadOrder, names: Names, first: PostgresSession) {
    this.#order = order
    this.#names = names
    this.#first = first
    this.server = `PostgreSQL ${first.versionText}`
  }

  /** Errors: those of `PostgresSession.open`; BAD_REQUEST: an order that cannot be. */
  static async open(order: LoadOrder): Promise<PostgresLoad> {
    const names = namesOf(order)
    const first = (await openIfThere(order, names.work)) ?? (await openHub(order.target, Object.values(names)))
    return new PostgresLoad(order, names, first)
  }

  async prepare(): Promise<Standing> {
    await this.#detach()
    if (this.#order.mode === 'swap') await checkRights(this.#order, this.#names)
    let attached = await attach(this.#order, this.#names)
    if (attached === null) {
      await makeWork(this.#order, this.#names)
      attached = await attach(this.#order, this.#names)
    }
    if (attached === null) throw this.#lost()
    this.#attached = attached
    const { marker, named, session } = attached
    if (named) {
      this.#marker = marker
      return marker?.standing ?? ALL
    }
    this.#marker = await makeReady(this.#order, attached)
    const settings = await session.facts('SELECT pg_catalog.lower(s.name) AS name FROM pg_settings s')
    this.#settings = new Set(settings.map(({ name }) => name ?? ''))
    this.#standing = this.#marker.standing
    return this.#standing
  }

  filesOf(order: string): string[] {
    return filesIn(order)
  }

  async open(file: LoadFile): Promise<FileLoad> {
    const [attached, marker] = [this.#attached, this.#marker]
    if (attached === null || marker === null || attached.named)
      throw new BackupError('INTERNAL', `${file.name}: the database is not ready for it`)
    const { session } = attached
    const held = this.#heldOf(file.index)
    const { index, name } = file
    const { trusted } = this.#order
    const runner = new PgRunner({
      session,
      marker,
      file: { index, name },
      settings: this.#settings,
      memory: this.#memory,
      lack: (lack) => this.#lacks.push(lack),
      held: (at) => (this.#standing = { file: index, at }),
    })
    // Behind a place in the middle, statements begin where the database's part ends: that may be within a long row's block.
    const reader = (from: number): PgStatements =>
      new PgStatements({ name, from, begin: from === 0 ? 0 : held, trusted })
    return StatementLoad.open(file, held, reader, runner, true)
  }

  #heldOf(index: number): number {
    const { file, at } = this.#standing
    return index < file ? Number.MAX_SAFE_INTEGER : index === file ? at : 0
  }

  takeLacks(): readonly Lack[] {
    return this.#lacks.splice(0)
  }

  /**
   * Also without `prepare`, and so it has to be once it has begun: where the marker is gone, all is done, but `prepare`
   * would find a database that holds something.
   */
  async *finish(): AsyncGenerator<string, string | null, undefined> {
    this.#attached ??= await attach(this.#order, this.#names)
    const attached = this.#attached
    if (attached === null) {
      await this.#needTarget()
      return null
    }
    const { marker, session } = attached
    if (marker !== null || this.#marker !== null) {
      // From now on the server waits for its disk again: with this, all that came before is kept.
      await session.run('SET synchronous_commit = on')
      if (!attached.named && this.#order.mode === 'swap') yield* this.#swap(attached)
      await this.#unmark()
    }
    return this.#kept()
  }

  async *#swap({ session, marker }: Attached): AsyncGenerator<string, void, undefined> {
    const ours = this.#ours(this.#marker ?? marker)
    // Once: whose steps are short would come no further.
    if (ours.phase !== 'swapping') {
      const standing = this.#marker === null ? ours.standing : this.#standing
      this.#marker = await ours.become(session, this.#order.id, 'swapping', standing)
      yield 'all is loaded'
    }
    await this.#detach()
    this.#lacks.push(...(await takeName(this.#order.target, this.#names, this.#order.id)))
    yield `the database ${this.#names.target} is in its place`
    this.#attached = await attach(this.#order, this.#names)
  }

  /** Last of all: until then, whoever looks sees whose it is. */
  async #unmark(): Promise<void> {
    const marker = this.#marker ?? this.#attached?.marker ?? null
    if (marker !== null && this.#attached !== null) await this.#ours(marker).drop(this.#attached.session)
    this.#marker = null
  }

  /** Where nothing of a swap is left to be seen, it has been done, or there never was one. */
  async #needTarget(): Promise<void> {
    const session = this.#order.mode === 'swap' ? await openIfThere(this.#order, this.#names.target) : null
    if (session === null) throw this.#lost()
    await session[Symbol.asyncDispose]()
  }

  #ours(marker: Marker | null): Marker {
    if (marker?.id === this.#order.id) return marker
    throw new BackupError('DATABASE_BUSY', `another load has taken the database ${this.#names.work} over`, {
      retry: 'never',
    })
  }

  /** The name of what was there before. */
  async #kept(): Promise<string | null> {
    const { before } = this.#names
    if (this.#order.mode === 'new' || this.#attached === null) return null
    return (await databaseNamed(this.#attached.session, before)) === null ? null : before
  }

  async undo(): Promise<void> {
    await this.#detach()
    this.#attached = await attach(this.#order, this.#names)
    try {
      if (this.#attached !== null) await this.#undo(this.#attached)
    } finally {
      await this.#detach()
    }
  }

  async #undo({ session, database, marker, named }: Attached): Promise<void> {
    const { id, target } = this.#order
    // One that has its name is not given up any more.
    if (named) return
    if (marker === null ? database.limit !== limitOf(id) : marker.id !== id) return
    if (marker === null || marker.made) {
      await this.#detach()
      await using hub = await openHub(target, Object.values(this.#names))
      await dropDatabase(hub, this.#names.work)
      return
    }
    const going = await marker.become(session, id, 'emptying', { file: 0, at: 0 })
    await dropAllIn(session, marker.kept)
    await going.drop(session)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#detach()
  }

  async #detach(): Promise<void> {
    const sessions = [this.#first, this.#attached?.session]
    this.#first = null
    this.#attached = null
    this.#marker = null
    for (const session of sessions) await session?.[Symbol.asyncDispose]()
  }

  #lost(): BackupError {
    return new BackupError('DATABASE_NOT_FOUND', `there is no database ${this.#names.work} any more`)
  }
}

function namesOf({ id, mode, scratch, target }: LoadOrder): Names {
  if (!/^[A-Za-z0-9-]{1,40}$/.test(id)) throw new BackupError('BAD_REQUEST', 'this cannot be the id of a load')
  const { database } = target
  if (mode === 'swap' && scratch === database)
    throw new BackupError('BAD_REQUEST', `${database} cannot be loaded beside itself: name another database`)
  return {
    target: database,
    work: mode === 'new' ? database : (scratch ?? nameBeside(database, 'ratchet', id)),
    before: nameBeside(database, 'before', id),
  }
}
