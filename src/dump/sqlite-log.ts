import type { DatabaseSync } from 'node:sqlite'
import type { Disk, FileStat } from '../lib/disk.ts'
import { DatabaseFault, isCorrupt, resultOf, SQLITE } from './faults.ts'
import { connect } from './sqlite-connect.ts'
import { sideFile, statOf } from './sqlite-order.ts'

/**
 * Opens a database with a write-ahead log, read-only, and so that not even the index of the log is written where that
 * can be helped: a crashed program's is then worked out in memory. Where writers are alive but no reader has left its
 * mark in the index, we have to.
 *
 * Whoever closes a database last removes log and index, at any moment, and SQLite makes them anew for a reader, too: in
 * the source's folder, and as files of ours, which the program could then not write. From the moment on that we hold the
 * database nobody removes them: so a log that is not `log`, which lay there before, is taken away again, and
 * DATABASE_BUSY says that everything is to be looked at anew.
 */
export function openLog(path: Buffer, disk: Disk, log: FileStat): DatabaseSync {
  // A new file may have the number of the one before; ours is empty.
  const made = (): boolean => {
    const now = statOf(disk, sideFile(path, '-wal'))
    return now?.ino !== log.ino || (now.size === 0 && log.size > 0)
  }
  let db: DatabaseSync
  try {
    db = connected(path, made)
  } catch (error) {
    if (!made()) throw error
    clear(path, disk)
    throw gone()
  }
  if (!made()) return db
  db.close()
  clear(path, disk)
  throw gone()
}

function connected(path: Buffer, made: () => boolean): DatabaseSync {
  try {
    return connect(path, 'mode=ro&readonly_shm=1')
  } catch (error) {
    const result = resultOf(error)
    if (made() || (result !== SQLITE.READONLY_CANTINIT && result !== SQLITE.CANTOPEN)) throw error
    return connect(path, 'mode=ro')
  }
}

const gone = (): DatabaseFault =>
  new DatabaseFault('DATABASE_BUSY', 'programs keep opening and closing it faster than it can be looked at')

/**
 * An empty log that a look of ours may have made goes as SQLite itself lets it go: whoever has the database for writing,
 * alone, and closes it, removes it. It stays where anybody else has it by now, and where anything is in it.
 */
function clear(path: Buffer, disk: Disk): void {
  if (statOf(disk, sideFile(path, '-wal'))?.size !== 0) return
  try {
    connect(path, 'mode=rw').close()
  } catch (error) {
    if (resultOf(error) === null || isCorrupt(error)) throw error // else it is in use, or not ours to write
  }
}
