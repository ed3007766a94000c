import { randomBytes } from 'node:crypto'
import type { SqlLoad } from '../../load/sql-load.ts'
import type { OpenSql } from './open-sql.ts'

/** What this process has open of a load, and goes on with between steps. */
export class KeptLoad implements Disposable {
  readonly id = randomBytes(8).toString('hex')
  load: SqlLoad | null
  open: OpenSql | null

  constructor() {
    this.load = null
    this.open = null
  }

  [Symbol.dispose](): void {
    // Nobody waits for a connection to close.
    const { load, open } = this
    this.load = null
    this.open = null
    open?.close()
    if (load !== null) closed(load).catch((error: unknown) => error)
  }
}

const closed = async (load: SqlLoad): Promise<void> => load[Symbol.asyncDispose]()
