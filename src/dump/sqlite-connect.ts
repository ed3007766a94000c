import { DatabaseSync } from 'node:sqlite'

/** SQLite itself waits so long for a lock before it says that it is busy. Milliseconds. */
const LOCK_WAIT = 200

/**
 * A connection that has looked at the database: a lock, a hot journal, damage are told by that, each by its own result.
 * `query`: of the URI. https://www.sqlite.org/uri.html
 */
export function connect(path: Buffer, query: 'mode=ro' | 'mode=ro&readonly_shm=1' | 'mode=rw'): DatabaseSync {
  const options = { readOnly: query !== 'mode=rw', timeout: LOCK_WAIT, enableForeignKeyConstraints: false }
  const db = new DatabaseSync(`file://${encoded(path)}?${query}`, options)
  try {
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Any bytes as the path of a URI. */
function encoded(path: Buffer): string {
  const plain = /[A-Za-z0-9/._-]/
  return [...path.toString('latin1')]
    .map((c) => (plain.test(c) ? c : `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`))
    .join('')
}
