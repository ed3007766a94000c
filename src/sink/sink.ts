import type { Steps } from '../engine/stage.ts'
import type { OmitReason, SourceItem } from '../source/source.ts'

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
  ): Steps
  /** Writes what ends the archive. Afterwards its parts are complete work files. */
  close(): Steps
}
