import type { BrowsePage, BrowsedEntry, BrowseQuery, PartRef } from '../engine/archives.ts'
import type { ErrorRecord } from '../lib/errors.ts'
import type { ArchiveRef } from './opened.ts'

/** What passes between the main thread and those that look into archives. */

export type Work =
  | { readonly op: 'browse'; readonly ref: ArchiveRef; readonly query: BrowseQuery }
  | { readonly op: 'entry'; readonly ref: ArchiveRef; readonly path: Uint8Array; readonly stream: number }
  | {
      readonly op: 'part'
      readonly part: PartRef
      readonly from: number
      readonly to: number
      readonly stream: number
    }
  | { readonly op: 'read'; readonly stream: number }

export type Ask = { readonly id: number; readonly work: Work } | { readonly close: number } | { readonly end: true }

export type Result = BrowsePage | { readonly size: number; readonly digest: string | null } | Uint8Array | null

export type Answer = { readonly id: number } & (
  | { readonly result: Result; readonly error: null }
  | { readonly result: null; readonly error: ErrorRecord }
)

/** Bytes arrive from another thread as plain arrays. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export function arrivedQuery({ path, after, ...rest }: BrowseQuery): BrowseQuery {
  return { ...rest, path: asBuffer(path), after: after === null ? null : asBuffer(after) }
}

export const arrivedPath = asBuffer

export function arrivedPage({ entries, next }: BrowsePage): BrowsePage {
  return { entries: entries.map(arrivedEntry), next: next === null ? null : asBuffer(next) }
}

function arrivedEntry({ path, link, ...rest }: BrowsedEntry): BrowsedEntry {
  return { ...rest, path: asBuffer(path), ...(link === undefined ? {} : { link: asBuffer(link) }) }
}
