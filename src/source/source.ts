import type { DatabaseFacts } from '../lib/database-facts.ts'
import type { FileStat } from '../lib/disk.ts'

/** Where a source resumes: strictly after this item. Opaque to everybody but the source; ≤ 6 kB as JSON. */
export type Mark = string

/** What proves that a file is still the one whose first bytes were read (R14). Decimal strings: they go into JSON. */
export interface Identity {
  readonly dev: string
  readonly ino: string
  readonly size: number
  readonly mtimeNs: string
  readonly ctimeNs: string
}

export function identityOf(stat: FileStat): Identity {
  return {
    dev: String(stat.dev),
    ino: String(stat.ino),
    size: stat.size,
    mtimeNs: String(stat.mtimeNs),
    ctimeNs: String(stat.ctimeNs),
  }
}

export function sameIdentity(a: Identity, b: Identity): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs
}

/** Why a selected path is not in the backup, or not as it should be. */
export type OmitReason =
  | 'vanished'
  | 'unreadable'
  | 'changed'
  | 'special'
  | 'io_error'
  | 'path_too_long'
  | 'other_file_system'
  | 'own_place'
  | 'loop'
  | 'name_too_long'
  | 'too_large'
  | 'metadata_not_kept'
  /** Databases: damaged; locked for too long; and their logs and journals, whose content is in the copy. */
  | 'database_damaged'
  | 'database_busy'
  | 'database_side_file'
  /** A database with an unfinished transaction beside it: both are in the backup, but as files read one after the other. */
  | 'live_database'

/** A selected path that is left out: becomes a warning (or a note, see `quiet`), a count and a manifest line. */
export interface Omission {
  readonly type: 'omission'
  readonly mark: Mark
  /** Archive-relative path, raw bytes, `/`-separated, beginning with the source's label. */
  readonly path: Buffer
  readonly reason: OmitReason
  readonly message: string
  /** Left out by rule (own places, other file systems): listed in the manifest, no warning. */
  readonly quiet?: true
}

/** A moment at which the source could stop although it has nothing to hand over yet (long listings). */
export interface Pause {
  readonly type: 'pause'
  readonly message: string
  /**
   * Where given: nothing is selected between the item before and this mark. A step that ends here goes on after
   * it, or a million excluded names would be passed over again by each step.
   */
  readonly mark?: Mark
  /** Something is being made ready that the next item needs: nothing more is read before this was handed over. */
  readonly waits?: true
  /** As in `Progress`. */
  readonly done?: number
  readonly total?: number
  readonly durable?: true
  readonly beyond?: true
}

/** An entry whose content is a consistent copy of a database, not the file as it lies there. */
export interface DatabaseContent {
  /** Null: an empty file. */
  readonly facts: DatabaseFacts | null
  /** `dev:ino` of the original. */
  readonly key: string
  /** The copy has been stored, or will not be. */
  done(): void
}

export interface Entry {
  readonly type: 'entry'
  readonly mark: Mark
  /** Archive-relative path, raw bytes, `/`-separated, beginning with the source's label; no trailing slash. */
  readonly path: Buffer
  readonly kind: 'file' | 'dir' | 'symlink'
  readonly stat: FileStat
  /** Target bytes of a symlink. */
  readonly link?: Buffer
  /** Extended attributes (base64 values by name), where they could be read. */
  readonly xattrs?: Readonly<Record<string, string>>
  /**
   * Opens a file's content: no-follow, non-blocking, checked on the handle. Throws SOURCE_CHANGED if it is no
   * longer a regular file or differs from `same`; the system's error if it cannot be opened.
   */
  open(same?: Identity): OpenEntry
  /**
   * Where given, the content has to be made first: pauses while that goes on, and at last what is stored in this
   * entry's place, or why nothing is.
   */
  prepare?(): AsyncGenerator<Pause, Entry | Omission, void>
  /** Where given, to be asked when everything before it has been read: what takes its place, or null. */
  instead?(): Omission | null
  readonly database?: DatabaseContent
  /** Where given, `open` is never called, and the size in `stat` says nothing. */
  readonly made?: MadeContent
  /** It is stored, but not as it should be: a warning and a manifest line of its own. */
  readonly flaw?: Flaw
}

/**
 * Content that is made while it is read: nobody knows its length before its end. `blocks` goes on behind what was
 * stored, in whichever process; all blocks but the last one are as long as what `lend` lends.
 */
export interface MadeContent {
  blocks(lend: () => Buffer): AsyncGenerator<MadeBlock, void, undefined>
}

export interface MadeBlock {
  /** As it was lent. */
  readonly memory: Buffer
  readonly length: number
  /** Whether `blocks` can go on behind it. */
  readonly safe: boolean
}

export interface Flaw {
  readonly reason: OmitReason
  readonly message: string
}

export interface OpenEntry {
  /** From the handle, at opening. */
  readonly identity: Identity
  /** Reads up to `length` bytes at `position`; fewer only at the end. */
  read(into: Uint8Array, length: number, position: number): number
  /** Throws SOURCE_CHANGED if the handle's identity is no longer the one at opening. To be asked after the last byte. */
  prove(): void
  /** Whether the handle's file has only become longer since it was opened (same inode, larger size). */
  grown(): boolean
  close(): void
}

export type SourceItem = Entry | Omission | Pause

export interface Source {
  /** First path component of everything it yields. */
  readonly label: string
  /** One fixed order; resumes strictly after the mark. */
  items(after: Mark | null): AsyncIterable<SourceItem>
}
