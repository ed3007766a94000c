import type { DumpEnd, DumpProgress } from './dumper.ts'

/** What passes between us and the process that copies: one JSON object a line. Numbers of files as decimal text. */
export interface CopyRequest {
  readonly id: number
  /** Base64 of the raw path. */
  readonly path: string
  readonly dev: string
  readonly ino: string
  readonly to: string
  readonly limits: CopyLimits
}

export interface CopyLimits {
  /** A database that stays locked for so long is given up. Milliseconds. */
  readonly busyMs: number
  /** Time for counting rows. Milliseconds. */
  readonly countMs: number
  /** A copy that writers made SQLite begin again so often is finished in one go. */
  readonly restarts: number
}

/** Trouble that is not the database's: the copy itself could not be written, or a fault of the program. */
export interface CopyTrouble {
  readonly trouble: 'DISK_FULL' | 'INTERNAL'
  readonly message: string
}

export type CopyReply =
  | { readonly id: number; readonly progress: DumpProgress }
  | { readonly id: number; readonly end: DumpEnd | CopyTrouble }
  /** Once a second: the process is there and runs. */
  | { readonly alive: true }
