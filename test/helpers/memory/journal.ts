import type { Random } from '../random.ts'

/** One name of one folder now means another inode, or none. */
export interface Change {
  readonly folder: number
  readonly name: string
  readonly node: number | null
}

/**
 * A change of names that a power cut keeps or loses as a whole: a rename's two sides are one
 * operation. `empties` is the folder that had to be empty for it, so that no legal state has the
 * folder gone while what was moved out of it before is lost.
 */
export interface NameOp {
  readonly changes: readonly Change[]
  readonly empties: number | null
}

const key = (change: Change): string => `${change.folder}/${change.name}`

/**
 * Splits the pending operations at an fsync of `folder`: those that touch it become durable, and
 * with them every earlier one they build upon.
 */
export function splitAtSync(pending: readonly NameOp[], folder: number): { durable: NameOp[]; left: NameOp[] } {
  const names = new Set<string>()
  const folders = new Set<number>([folder])
  const durable: NameOp[] = []
  const left: NameOp[] = []
  for (const op of pending.toReversed()) {
    const wanted = op.changes.some((c) => folders.has(c.folder) || names.has(key(c)))
    if (!wanted) {
      left.push(op)
      continue
    }
    durable.push(op)
    for (const change of op.changes) names.add(key(change))
    if (op.empties !== null) folders.add(op.empties)
  }
  return { durable: durable.reverse(), left: left.reverse() }
}

/**
 * A legal choice of the operations a power cut keeps: a prefix, or any subset in which nothing
 * survives that builds on something lost (same name, or a folder that had to be emptied first).
 */
export function survivors(pending: readonly NameOp[], random: Random): NameOp[] {
  const style = random.int(4)
  if (style === 0) return pending.slice(0, random.int(pending.length + 1))
  const keep = random.pick([0.15, 0.5, 0.85, 0.97])
  const lostNames = new Set<string>()
  const lostFolders = new Set<number>()
  return pending.filter((op) => {
    const blocked =
      op.changes.some((c) => lostNames.has(key(c))) || (op.empties !== null && lostFolders.has(op.empties))
    if (!blocked && random.chance(keep)) return true
    for (const change of op.changes) {
      lostNames.add(key(change))
      lostFolders.add(change.folder)
    }
    return false
  })
}
