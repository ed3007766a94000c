import type { Steps } from '../engine/stage.ts'
import type { Entry, OmitReason, SourceItem } from '../source/source.ts'

/** What became of an entry. Told to the stage in the order of the items, at a safe point. */
export type Taken =
  | {
      readonly stored: true
      readonly size: number
      /** `sha256:…` up to 16 MiB, `sha256-1m:…` above; null for folders. */
      readonly digest: string | null
    }
  | { readonly stored: false; readonly reason: OmitReason; readonly message: string }

/** Bytes of our own (manifest, installer): a file whose content is a committed work file or memory. */
export interface OwnFile {
  readonly name: string
  readonly size: number
  read(position: number, length: number): Uint8Array
}

export interface Artifact {
  readonly name: string
  readonly size: number
  sha256: string | null
}

/**
 * Where entries go. Reading ahead and compressing in parallel are its own affair; what it has
 * taken it reports in order through `taken`, with no yield between the moment its slot says
 * "stored" and that call, so that the stage's mark moves together with it.
 */
export interface Sink {
  feed(items: AsyncIterable<SourceItem>, taken: (item: SourceItem, result: Taken | null) => void): Steps
  /** Adds files of our own at the end; already present ones (by count in the slot) are skipped. */
  own(file: OwnFile): Steps
  /** Writes what ends the archive. Afterwards its parts are complete work files. */
  close(): Steps
}

export type { Entry }
