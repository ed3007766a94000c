import { backup, DatabaseSync } from 'node:sqlite'
import { DatabaseFault, isBusy, resultOf, SQLITE } from './faults.ts'
import type { CopyOrder, CopyWorld } from './sqlite-order.ts'

/** Read under one lock while writers may want in: a few milliseconds. Bytes. */
const POLITE = 4 << 20
/** Read at once while nobody is kept waiting. Bytes. */
const EAGER = 16 << 20
/** SQLite itself waits so long for a lock before it says that it is busy. Milliseconds. */
const LOCK_WAIT = 200
/** A pause between two batches at most, when writers are about. Milliseconds. */
const LONGEST_PAUSE = 50

/**
 * The copy through SQLite's own locks. With a write-ahead log one read transaction holds one moment of the database
 * and keeps nobody waiting. With a rollback journal a reader does keep writers waiting, so the lock is given back
 * after each batch; a writer that comes in between makes SQLite begin again. After some rounds of that the rest is
 * copied under one lock, and a note says so.
 */
export async function copyLive(
  order: CopyOrder,
  world: CopyWorld,
  { wal, notes }: { wal: boolean; notes: string[] },
): Promise<void> {
  using db = open(order.path, wal)
  if (wal) hold(db)
  const pageSize = Number(db.prepare('PRAGMA page_size').get()?.['page_size'] ?? 4096)
  const rounds = new Rounds(db, order, world, { held: wal, notes })
  await backup(db, order.to, {
    rate: Math.max(1, Math.floor((wal ? EAGER : POLITE) / pageSize)),
    progress: ({ totalPages, remainingPages }) => rounds.note(totalPages, remainingPages),
  })
}

/** Watches the copy between two batches. */
class Rounds {
  readonly #db: DatabaseSync
  readonly #order: CopyOrder
  readonly #world: CopyWorld
  readonly #notes: string[]
  #held: boolean
  #restarts = 0
  #left = Infinity
  #last: number

  constructor(
    db: DatabaseSync,
    order: CopyOrder,
    world: CopyWorld,
    { held, notes }: { held: boolean; notes: string[] },
  ) {
    this.#db = db
    this.#order = order
    this.#world = world
    this.#held = held
    this.#notes = notes
    this.#last = world.clock.mono()
  }

  note(total: number, left: number): void {
    const now = this.#world.clock.mono()
    const { busyMs, restarts } = this.#order.limits
    if (left === this.#left) {
      if (now - this.#last > busyMs) throw new DatabaseFault('DATABASE_BUSY', 'it stayed locked by another program')
      this.#world.tell({ phase: 'waiting', done: now - this.#last, total: busyMs })
      return
    }
    if (left > this.#left) this.#restarts++
    this.#left = left
    this.#world.tell({ phase: 'copy', done: total - left, total })
    if (this.#restarts >= restarts && !this.#held && this.#hold()) {
      this.#notes.push('programs kept writing to it: the rest was copied in one go, which kept them waiting')
    }
    if (this.#restarts > 0 && !this.#held) pause(Math.min(LONGEST_PAUSE, now - this.#last))
    this.#last = this.#world.clock.mono()
  }

  #hold(): boolean {
    try {
      hold(this.#db)
      return (this.#held = true)
    } catch (error) {
      if (!isBusy(error)) throw error
      this.#db.exec('ROLLBACK')
      return false
    }
  }
}

/** From here on until it is closed the connection sees one moment of the database. */
function hold(db: DatabaseSync): void {
  db.exec('BEGIN')
  db.prepare('SELECT count(*) FROM sqlite_schema').get()
}

/** In this thread nothing else is to be done meanwhile. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/**
 * Read-only, and so that not even the index of the log is written where that can be helped: a crashed program's is
 * then worked out in memory. Where writers are alive but no reader has left its mark in the index, we have to.
 */
function open(path: Buffer, wal: boolean): DatabaseSync {
  if (!wal) return prepared(connect(path, 'mode=ro'))
  try {
    return prepared(connect(path, 'mode=ro&readonly_shm=1'))
  } catch (error) {
    const result = resultOf(error)
    if (result !== SQLITE.READONLY_CANTINIT && result !== SQLITE.CANTOPEN) throw error
    return prepared(connect(path, 'mode=ro'))
  }
}

/** A lock, a hot journal, damage: told by the first look, each by its own result. */
function prepared(db: DatabaseSync): DatabaseSync {
  try {
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

function connect(path: Buffer, query: string): DatabaseSync {
  const uri = `file://${encoded(path)}?${query}`
  return new DatabaseSync(uri, { readOnly: true, timeout: LOCK_WAIT, enableForeignKeyConstraints: false })
}

/** Any bytes as the path of a URI. https://www.sqlite.org/uri.html */
function encoded(path: Buffer): string {
  const plain = /[A-Za-z0-9/._-]/
  return [...path.toString('latin1')]
    .map((c) => (plain.test(c) ? c : `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`))
    .join('')
}
