import type { JobHandle } from './types.ts'

/** What backups hold, as it goes over the wire. Paths: UTF-8, or `b64:` and base64 where their bytes are none. */

export interface BrowsedEntry {
  path: string
  kind: 'file' | 'dir' | 'symlink'
  size: number
  /** Full st_mode; null: the archive says nothing about this folder. */
  mode: number | null
  mtime: number | null
  /** `sha256:<hex>`, or `sha256-1m:<hex>` over the digests of blocks of 1 MiB. */
  digest: string | null
  link?: string
}

/** A backup by its handle, or any archive by the path of its last part. */
export interface BrowseParams {
  backupid?: JobHandle
  archive?: string
  /** Folder; absent: the top. */
  path?: string
  /** Everything below it. */
  recursive?: boolean
  /** `next` of the page before. */
  after?: string
  limit?: number
}

export interface BrowsePage {
  entries: BrowsedEntry[]
  /** Null at the end; a page may be shorter than asked and not the last. */
  next: string | null
}

/** What to download: a part of the archive (number from 1, or name), or a file in it. */
export type DownloadTarget = { part: number | string } | { entry: string }

export interface DownloadTicket {
  /** Absolute address, good once. */
  url: string
  expiresAt: number
}

export interface DownloadOptions {
  /** First byte wanted. */
  from?: number
  /** Goes on only in this very file (the SHA-256 of the part); else it comes from its beginning. */
  sha256?: string
  signal?: AbortSignal
}

export interface Download {
  /** Offset of the first byte that comes: 0 where the server would not go on. */
  from: number
  /** Of the whole. Bytes. */
  size: number
  /** Of the whole part; null for files in the archive, which the server proves. */
  sha256: string | null
  /** Ends with a ConnectionError when not all of it came. */
  body: AsyncIterable<Uint8Array>
}
