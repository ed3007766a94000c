import type { Underway } from './batcher.ts'
import type { Entry, Identity, MadeBlock, OmitReason, SourceItem } from '../source/source.ts'

/** The SHA-256 of a file's content in hex, once all of it was packed; null: only its blocks have digests. */
export type Digest = () => Promise<string | null>

/**
 * What the sink does with items, cut into pieces that are prepared ahead and applied in order. A task
 * in preparation has touched nothing but the source: it can be thrown away at any time.
 */
export type Task =
  | { readonly type: 'pass'; readonly item: SourceItem }
  /** A folder, a link, or a file of at most one block: complete at once. */
  | {
      readonly type: 'whole'
      readonly entry: Entry
      readonly size: number
      readonly mtimeNs: bigint
      readonly content: Underway | null
      readonly changed: boolean
      readonly made?: MadeBlock
    }
  /** A large file: a header with holes, its blocks, and the end that fills them. */
  | { readonly type: 'begin'; readonly entry: Entry; readonly identity: Identity; readonly method: 'store' | 'deflate' }
  | {
      readonly type: 'block'
      readonly entry: Entry
      readonly content: Underway
      readonly length: number
      readonly made?: MadeBlock
    }
  | { readonly type: 'end'; readonly entry: Entry; readonly digest: Digest; readonly changed: boolean }
  /** The large file begun cannot be finished as it was: back to its header. */
  | { readonly type: 'abort'; readonly why: string }
  /** The entry is given up. */
  | { readonly type: 'omit'; readonly entry: Entry; readonly reason: OmitReason; readonly message: string }

/** Bytes that a task holds in memory or in a helper's queue. */
export function weightOf(task: Task): number {
  if (task.type === 'block') return task.length
  return task.type === 'whole' ? task.size : 0
}
