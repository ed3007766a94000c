import { escapeName } from '../lib/entry-path.ts'
import type { EntryHead } from '../archive/format.ts'
import type { Progress } from '../engine/stage.ts'
import type { Entry, SourceItem } from '../source/source.ts'

/** A moment between two entries, with what its source says of it. */
export function passed(item: SourceItem): Progress {
  if (item.type !== 'pause') return { step: 'packing' }
  const { message, done, total, durable, beyond } = item
  return {
    step: message,
    ...(done === undefined || total === undefined ? {} : { done, total }),
    ...(durable === undefined ? {} : { durable }),
    ...(beyond === undefined ? {} : { beyond }),
  }
}

export const nameOf = (entry: Entry): string => escapeName(entry.path)

export function headOf(entry: Entry, mtimeNs: bigint): Omit<EntryHead, 'size' | 'method'> {
  const { mode, uid, gid } = entry.stat
  const name = Buffer.from(escapeName(entry.path), 'utf8')
  return { name, kind: entry.kind, mode, mtime: Number(mtimeNs / 1000n) / 1e6, uid, gid }
}
