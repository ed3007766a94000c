import { ordered } from '../lib/ordered.ts'
import { release } from '../lib/release.ts'
import type { Codec, Unpacked } from './codec.ts'
import type { ArchiveEntry } from './format.ts'
import { unpackBlock } from './pack-block.ts'
import type { ArchiveReader, Piece, RawBlock, Restart } from './reader.ts'

/** A piece with its digests: `crc` and `sha256` of its bytes alone. */
export interface UnpackedPiece extends Piece {
  readonly crc: number
  readonly sha256: Uint8Array
  /** The bytes lie in memory of their own, which the caller may give back once it is done with them. */
  readonly owned: boolean
}

interface Tried {
  readonly block: RawBlock
  /** Null if the bytes were no block after all. */
  readonly unpacked: Unpacked | null
}

const START: Restart = { stored: 0, plain: 0 }

/**
 * `reader.content`, unpacked and digested by the codec with its width of blocks in flight. Where a
 * supposed block turns out to be none, the reader's own sequential way takes over until there are
 * blocks again. Same pieces, same errors.
 */
export async function* unpackEntry(
  reader: ArchiveReader,
  entry: ArchiveEntry,
  codec: Codec,
  from: Restart = START,
): AsyncGenerator<UnpackedPiece, void, undefined> {
  let at = from
  let begun = false
  while (!begun || at.plain < entry.size) {
    begun = true
    for await (const { block, unpacked } of ordered(blocks(reader, entry, at), codec.width, (b) => attempt(codec, b))) {
      if (unpacked === null) break
      at = block.next
      const bytes = Buffer.from(unpacked.bytes.buffer, unpacked.bytes.byteOffset, unpacked.bytes.byteLength)
      yield {
        bytes,
        next: block.next,
        restartable: true,
        crc: unpacked.crc,
        sha256: unpacked.sha256,
        // What was inflated has its memory to itself; what was stored may share a window of the reader.
        owned: block.method === 'deflate' || isAlone(bytes),
      }
    }
    if (at.plain >= entry.size && at.plain > 0) return
    for await (const piece of reader.content(entry, at)) {
      at = piece.next
      const { crc, sha256 } = unpackBlock({ data: piece.bytes, method: 'store', size: piece.bytes.length })
      yield { ...piece, crc, sha256, owned: false }
      if (piece.restartable) break
    }
  }
}

/** Whether nothing else lies in its ArrayBuffer. */
const isAlone = (bytes: Buffer): boolean => bytes.length > 0 && bytes.length === bytes.buffer.byteLength

/** None where decoding cannot begin: behind a piece of a stream without blocks. */
function blocks(reader: ArchiveReader, entry: ArchiveEntry, at: Restart): Iterable<RawBlock> {
  return at.stored === 0 && at.plain > 0 ? [] : reader.blocksOf(entry, at)
}

async function attempt(codec: Codec, block: RawBlock): Promise<Tried> {
  const unpacked = await codec
    .unpack([{ data: block.data, method: block.method, size: block.plainSize }])
    .then(([first]) => first ?? null)
    .catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ARCHIVE_DAMAGED') return null
      throw error
    })
  // The compressed bytes are a copy of their own; left to the collector, they would cost a full collection each 64 MiB.
  if (unpacked !== null && block.method === 'deflate') release(block.data)
  return { block, unpacked }
}
