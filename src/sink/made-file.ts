import type { Entry, Identity, MadeBlock, MadeContent } from '../source/source.ts'
import { BLOCK, type Begun, type ReadOptions } from './read-blocks.ts'
import type { Task } from './task.ts'

/**
 * A file whose content is made as it is read. What comes to one block is complete at once; else a header with holes,
 * the blocks, and the end that fills them, behind the blocks that an earlier step has stored.
 */
export async function* madeFile(
  entry: Entry,
  made: MadeContent,
  options: ReadOptions,
  begun: Begun | null,
): AsyncGenerator<Task, void, undefined> {
  const method = begun?.method ?? (options.level === 0 ? 'store' : 'deflate')
  let started = begun !== null
  let first: MadeBlock | null = null
  for await (const block of made.blocks(() => options.batcher.block(BLOCK))) {
    if (!started && first === null) {
      first = block
      continue
    }
    if (first !== null) {
      yield { type: 'begin', entry, identity: identityOf(entry), method }
      yield blockTask(entry, first, method, options)
      started = true
      first = null
    }
    yield blockTask(entry, block, method, options)
  }
  if (!started) return yield wholeTask(entry, first, options)
  // Its blocks have digests; what it is as a whole, only a process that has seen all of it could say.
  yield { type: 'end', entry, digest: () => Promise.resolve(null), changed: false }
}

function blockTask(entry: Entry, made: MadeBlock, method: 'store' | 'deflate', options: ReadOptions): Task {
  const { memory, length } = made
  const stored = method === 'store'
  const job = {
    bytes: memory.subarray(0, length),
    mode: stored ? 'whole' : 'block',
    level: stored ? 0 : options.level,
  } as const
  const content = options.batcher.alone(job, memory)
  content.packed.catch(() => 'thrown where the block is applied')
  return { type: 'block', entry, content, length, made }
}

function wholeTask(entry: Entry, block: MadeBlock | null, { batcher, level }: ReadOptions): Task {
  const { mtimeNs } = entry.stat
  const memory = block?.memory ?? batcher.block(0)
  const length = block?.length ?? 0
  const content = batcher.alone({ bytes: memory.subarray(0, length), mode: 'whole', level }, memory)
  const task = { type: 'whole', entry, size: length, mtimeNs, content, changed: false } as const
  return block === null ? task : { ...task, made: block }
}

/** Nothing on a disk: the entry's time is all there is to know. */
const identityOf = ({ stat }: Entry): Identity => ({
  dev: '0',
  ino: '0',
  size: 0,
  mtimeNs: String(stat.mtimeNs),
  ctimeNs: String(stat.mtimeNs),
})
