/**
 * A database of a server, read as SQL text: what each kind of server is asked for, and what the `db` stage makes of it.
 * Each kind is a folder with the same roles (`mysql/`, `postgres/`).
 */

/** Where a server is and who asks. */
export interface ServerTarget {
  /** Name or address; or `socket`. */
  readonly host?: string
  readonly port?: number
  /** Absolute path of its socket on this machine; for PostgreSQL also of the folder that holds it. */
  readonly socket?: string
  readonly user: string
  readonly password: string
  readonly database: string
  /** Absent: no TLS. `ca` in PEM; `name`: whom its certificate is for, where that is not the host. */
  readonly tls?: { readonly ca?: string; readonly name?: string }
}

/** The row read last, by its key: plain JSON, so that it can wait in a work file. */
export type RowMark = readonly string[]

/**
 * `snapshot`: all tables from one moment. `table`: each row as it was when it was read, by key; a table that is read
 * by one query, without an interruption, is from one moment in itself.
 */
export type Consistency = 'snapshot' | 'table'

export type SectionKind = 'definitions' | 'rows'

/**
 * A stretch of a dump that is read by itself, into files of its own. Sections of one `unit` belong together: if the
 * unit changes while it is read, all of them are read again.
 */
export interface Section {
  /** The same in every process as long as the thing exists; unique in the database: `rows:orders`. */
  readonly id: string
  readonly kind: SectionKind
  /** What has to be read again together: a table's definition and its rows. */
  readonly unit: string
  /** Whose rows; null for definitions of more than one thing. */
  readonly table: string | null
  /** Rows as the server estimates them, for the percentage only; 0 for definitions. */
  readonly estimate: number
  /** Bytes that the server says they take, 0 for definitions. */
  readonly bytes: number
  /** Whether its reading can go on in another process, behind a mark. */
  readonly resumable: boolean
}

/** Something of the database that the dump does not hold, or does not hold as it should: by name, and why. */
export interface Lack {
  readonly kind: string
  readonly name: string
  readonly why: string
}

/**
 * SQL text: whole statements, so that reading can go on behind it. Exactly as long as what was lent, filled up behind the
 * last statement with white space, unless it ends its section. A row that is longer spans several blocks: only the last
 * of them is safe then.
 */
export interface SqlBlock {
  /** What was lent. */
  readonly memory: Buffer
  readonly length: number
  /**
   * `safe`: reading can go on behind this block. `mark`: from which row; null: from the beginning of a section without a
   * key, or at the end.
   */
  readonly safe: boolean
  readonly mark: RowMark | null
  /** Rows that end in it. */
  readonly rows: number
}

export const SQL_BLOCK = 1 << 20
/** A longer row is refused by name. Bytes, as the server sends it. */
export const LONGEST_ROW = 64 << 20

export interface SqlDump extends AsyncDisposable {
  /** For people and the manifest: `MariaDB 10.11.14`. */
  readonly server: string
  /** What this instance can promise, for as long as it lives. */
  readonly consistency: Consistency
  /** Tables that no promise covers: engines without transactions. */
  readonly exceptions: readonly Lack[]
  /**
   * What is in the database now (under `snapshot`: at that moment), in an order that restores: definitions, rows, and
   * what has to come after all rows. Errors: those of `errors.ts` of its kind.
   */
  sections(): Promise<readonly Section[]>
  /** What has been found lacking since this was asked last. */
  takeLacks(): readonly Lack[]
  /**
   * Reads a section after a mark; null: from its beginning. `lend` gives the memory of each block, at most `SQL_BLOCK`
   * bytes of it; it is asked for only after the block before has been taken. A file may begin at any safe block.
   * One section at a time; leaving it early is allowed, the next one is then read over a new connection, or refused with
   * UNREACHABLE where that would break the snapshot.
   */
  read(section: Section, after: RowMark | null, lend: () => Buffer): AsyncGenerator<SqlBlock, void, undefined>
  /**
   * A digest of what the unit is now: another one once its definition has changed, or all of it was replaced. Compared
   * before and after its sections are read, also by another process.
   */
  shape(unit: string): Promise<string>
  /** What stands at the beginning and the end of each file, in the words of the vendor's client. At most 64 KiB. */
  readonly preamble: string
  readonly postamble: string
  /** The order file: loads the given files, which lie beside it, in order, by the vendor's client. */
  orderFile(files: readonly string[]): string
}
