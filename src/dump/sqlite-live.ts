import { backup, type DatabaseSync } from 'node:sqlite'
import type { FileStat } from '../lib/disk.ts'
import { DatabaseFault, isBusy } from './faults.ts'
import { connect } from './sqlite-connect.ts'
import { openLog } from './sqlite-log.ts'
import type { CopyOrder, CopyWorld } from './sqlite-order.ts'

/** Read under one lock while writers may want in: a few milliseconds. Bytes. */
const POLITE = 4 << 20
/** Read at once while nobody is kept waiting. Bytes. */
const EAGER = 16 << 20
/** A pause between two batches at most, when writers are about. Milliseconds. */
const LONGEST_PAUSE = 50

/**
 * The copy through SQLite's own locks. With a write-ahead log one read transaction holds one moment of the database
 * and keeps nobody waiting. With a rollback journal a reader does keep writers waiting, so the lock is given back
 * after each batch; a writer that comes in between makes SQLite begin again. After some rounds of that the rest is
 * copied under one lock, and a note says so. `log`: the write-ahead log as it was just found, or null.
 */
export async function copyLive(
  order: CopyOrder,
  world: CopyWorld,
  { log, notes }: { log: FileStat | null; notes: string[] },
): Promise<void> {
  const wal = log !== null
  using db = wal ? openLog(order.path, world.disk, log) : connect(order.path, 'mode=ro')
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
    // No fewer are left: it is locked, or a writer made SQLite begin again, perhaps to come just as far.
    if (left >= this.#left) this.#restarts++
    if (this.#restarts >= restarts && !this.#held && this.#hold()) {
      this.#notes.push('programs kept writing to it: the rest was copied in one go, which kept them waiting')
    }
    if (left === this.#left) {
      if (now - this.#last > busyMs) throw new DatabaseFault('DATABASE_BUSY', 'it stayed locked by another program')
      this.#world.tell({ phase: 'waiting', done: now - this.#last, total: busyMs })
      return
    }
    this.#left = left
    this.#world.tell({ phase: 'copy', done: total - left, total })
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
