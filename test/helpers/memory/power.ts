import type { Random } from '../random.ts'
import type { Bytes } from './bytes.ts'
import { applyPending, type Inode, type Pending } from './inode.ts'
import { survivors } from './journal.ts'
import type { MemoryFs } from './fs.ts'

/** `lose`: only what was synced is left. `keep`: everything is. Else a legal state drawn at random. */
export type PowerChoice = 'lose' | 'keep' | Random

const PAGE = 4096

/** Turns a copy of the file system into one state that a power cut may leave. */
export function cutPower(fs: MemoryFs, choice: PowerChoice): void {
  const style = typeof choice === 'string' ? choice : choice.pick(['mixed', 'mixed', 'mixed', 'names', 'data', 'lose'])
  const random = typeof choice === 'string' ? null : choice
  cutNames(fs, style === 'keep' || style === 'names' ? 'keep' : style === 'lose' || style === 'data' ? 'lose' : random)
  const content =
    style === 'keep' || style === 'data' ? 'keep' : style === 'lose' || style === 'names' ? 'lose' : random
  const reachable = walk(fs)
  for (const node of fs.inodes.values()) {
    if (!reachable.has(node.ino)) fs.inodes.delete(node.ino)
    else cutContent(node, content)
  }
  fs.used = [...fs.inodes.values()].reduce((sum, node) => sum + node.data.length, 0)
}

function cutNames(fs: MemoryFs, choice: PowerChoice | null): void {
  const kept = choice === 'keep' || choice === null ? fs.names : choice === 'lose' ? [] : survivors(fs.names, choice)
  fs.apply(kept)
  fs.names = []
  for (const node of fs.inodes.values()) node.entries = new Map(node.durableEntries)
}

function cutContent(node: Inode, choice: PowerChoice | null): void {
  if (choice === 'keep' || choice === null) {
    for (const change of node.pending) applyPending(node.durable, change)
    node.durableMeta = { ...node.meta }
  } else if (choice !== 'lose') {
    for (const change of node.pending) cutChange(node.durable, change, choice)
    if (choice.chance(0.5)) node.durableMeta = { ...node.meta }
  }
  node.pending = []
  node.data = node.durable.clone()
  node.meta = { ...node.durableMeta }
}

/** One write is kept, lost, torn, kept in some of its pages only, or leaves nothing but a longer file. */
function cutChange(bytes: Bytes, change: Pending, random: Random): void {
  if ('truncate' in change) {
    if (random.chance(0.5)) bytes.truncate(change.truncate)
    return
  }
  const { at, bytes: written } = change
  const end = at + written.length
  switch (random.pick(['kept', 'kept', 'lost', 'torn', 'sieve', 'zeros'])) {
    case 'kept':
      return bytes.write(at, written)
    case 'torn':
      return bytes.write(at, written.subarray(0, random.int(written.length + 1)))
    case 'zeros':
      if (end > bytes.length) bytes.truncate(end)
      return
    case 'sieve':
      if (end > bytes.length) bytes.truncate(end)
      for (let from = 0; from < written.length;) {
        const to = Math.min(written.length, from + PAGE - ((at + from) % PAGE))
        if (random.chance(0.5)) bytes.write(at + from, written.subarray(from, to))
        from = to
      }
      return
    default:
      return
  }
}

/** Inodes that still have a name; link counts and parents are set right on the way. */
function walk(fs: MemoryFs): Set<number> {
  const seen = new Set<number>([fs.root])
  for (const node of fs.inodes.values()) node.nlink = node.kind === 'dir' ? 2 : 0
  const todo = [fs.root]
  for (let ino = todo.pop(); ino !== undefined; ino = todo.pop()) {
    for (const [name, child] of fs.inode(ino).entries) {
      const node = fs.inode(child)
      if (node.kind !== 'dir') node.nlink++
      else if (seen.has(child)) {
        fs.inode(ino).entries.delete(name) // a folder has one name only
        fs.inode(ino).durableEntries.delete(name)
        continue
      } else {
        fs.inode(ino).nlink++
        node.parent = ino
        todo.push(child)
      }
      seen.add(child)
    }
  }
  return seen
}
