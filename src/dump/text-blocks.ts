import type { SqlBlock } from './sql-dump.ts'

/** Definitions as blocks: bytes in a row, since they are read again from the beginning if they are not all there. */
export async function* textBlocks(
  pieces: Iterable<string> | AsyncIterable<string>,
  lend: () => Buffer,
): AsyncGenerator<SqlBlock, void, undefined> {
  let memory: Buffer | null = null
  let length = 0
  for await (const piece of pieces) {
    const bytes = Buffer.from(piece, 'utf8')
    for (let at = 0; at < bytes.length;) {
      if (memory !== null && length === memory.length) {
        yield { memory, length, safe: false, mark: null, rows: 0 }
        memory = null
      }
      if (memory === null) {
        memory = lend()
        length = 0
      }
      const copied = bytes.copy(memory, length, at)
      length += copied
      at += copied
    }
  }
  if (memory !== null) yield { memory, length, safe: true, mark: null, rows: 0 }
}
