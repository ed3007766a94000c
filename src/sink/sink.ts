import type { Steps } from '../engine/stage.ts'
import type { Entry, MadeBlock, OmitReason, SourceItem } from '../source/source.ts'

/** What became of an entry. Told to the stage in the order of the items, at a safe point. */
export type Taken =
  | {
      readonly stored: true
      readonly size: number
      /** `sha256:…` up to 16 MiB, `sha256-1m:…` above; null for folders. */
      readonly digest: string | null
      /** Modification time of what is stored: for a file, of the handle it was read from. */
      readonly mtimeNs: bigint
      /** Changed while it was read, but what is stored is what stood there: as it grew. */
      readonly changed: boolean
    }
  | { readonly stored: false; readonly reason: OmitReason; readonly message: string }

/** A place between two entries of an archive, and what had been counted there. */
export interface SinkPoint {
  readonly part: number
  readonly offset: number
  /** Lengths of its work files. */
  readonly directory: number
  readonly proofs: number
  readonly entries: number
  readonly uncompressed: number
  readonly stored: number
  readonly totals: { readonly entries: number; readonly files: number; readonly bytesRead: number }
}

/**
 * Where entries go. Reading ahead and compressing in parallel are its own affair; what it has
 * taken it reports in order through `taken`, with no yield between the moment its slot says
 * "stored" and that call, so that the stage's mark moves together with it. `items` is asked for only where
 * this process has nothing of `key` in flight from the step before; it must then begin after the last mark told.
 */
export interface Sink {
  feed(
    key: string,
    items: () => AsyncIterable<SourceItem>,
    taken: (item: SourceItem, result: Taken | null) => void,
    /** A block of content that is made is stored; where it is not `safe`, the safe point comes with a later one. */
    block?: (entry: Entry, block: MadeBlock) => void,
  ): Steps
  /** Where the archive stands between two entries: plain JSON, for a record. */
  point(): SinkPoint
  /**
   * Back to a point: what was stored since then never was. `also` does the same for the caller's own work files, at the
   * moment between two safe points at which the sink does it. To be called again if it was cut short.
   */
  rewind(to: SinkPoint, also: () => void): Steps
  /** A file whose content is made should not become longer than this. Bytes, a multiple of a block. */
  readonly longestMade: number
  /** Writes what ends the archive. Afterwards its parts are complete work files. */
  close(): Steps
}
