import type { DatabaseFacts } from '../lib/database-facts.ts'
import type { ErrorCode } from '../lib/errors.ts'

/**
 * What takes a consistent copy out of a database that is in use. SQLite is the first; others are its sisters. The
 * work is done in a process of its own, so that a step only waits for it, as long as it likes.
 */
export interface Dumper extends Disposable {
  /** Begins a copy. One at a time: what is under way is given up. */
  begin(order: DumpOrder): Dump
}

export interface DumpOrder {
  /** Absolute path of the database, raw bytes. */
  readonly path: Buffer
  /** The file that is meant: another one under the same path is not copied. */
  readonly dev: bigint
  readonly ino: bigint
  /** Absolute path of the copy. Nothing lies there yet; beside it, names that begin with it may be used meanwhile. */
  readonly to: string
}

export interface Dump {
  readonly progress: DumpProgress
  /** Its end, or null after `ms` milliseconds. Rejects with DISK_FULL, TIMED_OUT, INTERNAL: trouble of ours, not of the database. */
  wait(ms: number): Promise<DumpEnd | null>
}

export interface DumpProgress {
  readonly phase: 'copy' | 'check' | 'count' | 'waiting'
  readonly done: number
  readonly total: number
}

export type DumpEnd =
  /** `facts`: null for an empty file, which is a database without anything. */
  | {
      readonly ok: true
      readonly size: number
      readonly facts: DatabaseFacts | null
      readonly notes: readonly string[]
    }
  | { readonly ok: false; readonly code: DumpFault; readonly message: string }

/** Why a database could not be copied. */
export type DumpFault = Extract<
  ErrorCode,
  'DATABASE_BUSY' | 'DATABASE_DAMAGED' | 'SOURCE_NOT_FOUND' | 'SOURCE_UNREADABLE' | 'SOURCE_CHANGED'
>
