/** Looking into finished archives and giving them out: the words of `Services` for that. Implemented in `contents/`. */

/** An entry as it is shown. Paths are bytes, `/`-separated, without a trailing slash. */
export interface BrowsedEntry {
  readonly path: Buffer
  readonly kind: 'file' | 'dir' | 'symlink'
  /** Of a file's content. Bytes. */
  readonly size: number
  /** Full st_mode; null where nothing is known but that it is there. */
  readonly mode: number | null
  /** Milliseconds since 1970; null: unknown. */
  readonly mtimeMs: number | null
  /** As the manifest has it: `sha256:<hex>`, or `sha256-1m:<hex>` over the digests of its blocks of 1 MiB. */
  readonly digest: string | null
  /** Target of a symlink, where it is known. */
  readonly link?: Buffer
}

export interface BrowseQuery {
  /** Folder whose children are wanted, or a single entry; empty: the archive's top. */
  readonly path: Buffer
  /** Everything below it, in the archive's order. */
  readonly recursive: boolean
  /** Only what comes after this path. */
  readonly after: Buffer | null
  readonly limit: number
}

export interface BrowsePage {
  readonly entries: BrowsedEntry[]
  /** To be given as `after` for the next page; null at the end. A page may be shorter than asked and not the last. */
  readonly next: Buffer | null
}

/** Bytes on their way out. Whoever opened it closes it, whatever happens. */
export interface Outgoing {
  readonly size: number
  /**
   * The next piece, the caller's own; null at the end. What is proven as a whole keeps its last piece back until it
   * is: VERIFY_FAILED, ARCHIVE_DAMAGED.
   */
  read(): Promise<Uint8Array | null>
  close(): void
}

export interface OutgoingEntry extends Outgoing {
  /** As in `BrowsedEntry`. */
  readonly digest: string | null
}

/** A part as the record lists it. */
export interface PartRef {
  readonly name: string
  readonly path: string
  readonly size: number
}

/** The archive of a backup by the backup's number, or one that lies somewhere by its last part's path. */
export type ArchiveHandle = number | string

export interface Archives {
  /** ARCHIVE_NOT_FOUND, ENTRY_NOT_FOUND (nothing has this path), ARCHIVE_DAMAGED. */
  browse(archive: ArchiveHandle, query: BrowseQuery): Promise<BrowsePage>
  /** A file of the archive, proven while it is read. ENTRY_NOT_FOUND also for what is no file. */
  openEntry(archive: ArchiveHandle, path: Buffer): Promise<OutgoingEntry>
  /** Bytes [from, to) of a published part, as it was recorded: ARCHIVE_NOT_FOUND if another file lies there. */
  openPart(part: PartRef, from: number, to: number): Promise<Outgoing>
  close(): Promise<void>
}
