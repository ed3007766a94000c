import type { Lack, ServerTarget } from '../dump/sql-dump.ts'

/**
 * SQL files of a dump, put back into a database of a server: the way back of `dump/sql-dump.ts`, with a folder for each
 * kind of server. What of a load is done stands in the database itself, in a marker that changes in the same transaction
 * as the rows it tells of: so no row comes twice, whoever dies when.
 */

/**
 * `new`: into a database that is absent or holds nothing. `swap`: into one beside it, which takes its name at the end;
 * what was there before is kept under another one.
 */
export type LoadMode = 'new' | 'swap'

export interface LoadOrder {
  /** Where the server is; `database`: the name that it shall have at the end. */
  readonly target: ServerTarget
  readonly mode: LoadMode
  /** Tells this load from every other one: letters, digits, `-`. At most 40. */
  readonly id: string
  /**
   * Name of an empty database that is there already, to be loaded into first (`swap`, where the account may make none).
   */
  readonly scratch?: string
  /** Whether the dump is one of ours, so that objects keep the accounts they ran under, where the server allows it. */
  readonly trusted: boolean
}

/** How far a load has got: whole files before `file`, and the first `at` bytes of it. */
export interface Standing {
  readonly file: number
  readonly at: number
}

export interface LoadFile {
  /** Its place in the order of loading, from 0. */
  readonly index: number
  /** For errors. */
  readonly name: string
  /** Whether it holds rows of a table, or definitions. */
  readonly rows: boolean
  /** Rows of the same table follow in the next file. */
  readonly more: boolean
  /**
   * Where its bytes come from: 0, or, for rows alone, a place between two blocks that is not behind what the database
   * holds already.
   */
  readonly from: number
  /** Its first bytes, where `from` is not 0: what has to be said to a new connection again stands there. */
  readonly head: Buffer | null
}

/** One file on its way into the database. */
export interface FileLoad {
  /** The next bytes. Runs what they complete; what the database holds already is passed over. */
  take(bytes: Buffer): Promise<void>
  /** Nothing follows: what was run stays. ARCHIVE_DAMAGED if a statement is not complete. */
  end(): Promise<void>
  /** Makes all that was run stay, and says how many bytes of the file the database holds now. */
  commit(): Promise<number>
}

export interface SqlLoad extends AsyncDisposable {
  /** For people: `MariaDB 10.11.14`. */
  readonly server: string
  /**
   * Finds the database ready, or makes it so: there, empty but for the marker. Whoever else was loading into it under the
   * same id is cut off first. TARGET_EXISTS: it holds something; DATABASE_DENIED: a right is lacking, by name;
   * DATABASE_BUSY: another load is at it.
   */
  prepare(): Promise<Standing>
  /** Files in the order in which they are loaded, as the order file of a dump names them. ARCHIVE_DAMAGED. */
  filesOf(order: string): string[]
  /** One file at a time, each from its beginning to its end; the last one is followed by `finish`. */
  open(file: LoadFile): Promise<FileLoad>
  /** What could not be put back, though the rest could; since this was asked last. */
  takeLacks(): readonly Lack[]
  /**
   * Takes the marker away, and with `swap` gives the database its name. Each word it yields is a safe point; begun again
   * by anybody, it goes on. Returns the name under which the database of before is kept; null if there was none.
   */
  finish(): AsyncGenerator<string, string | null, undefined>
  /**
   * Leaves nothing behind of a load that is given up, and what was there before as it was. Nothing happens where
   * `finish` has given the database its name already.
   */
  undo(): Promise<void>
}
