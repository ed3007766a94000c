import type { Restart } from '../../archive/reader.ts'
import type { UnpackedPiece } from '../../archive/unpack-entry.ts'

type Pieces = AsyncGenerator<UnpackedPiece, void, undefined>

/**
 * The unpacking of one large entry, kept between the steps of one process. Without it a stream that has
 * no places to begin again is unpacked from its start at each step.
 */
export class WarmContent implements Disposable {
  #index = -1
  #plain = -1
  #pieces: Pieces | null = null

  /** The pieces of entry `index` from `at` on. */
  take(index: number, at: Restart, begin: () => Pieces): Pieces {
    const kept = this.#pieces
    this.#pieces = null
    if (kept !== null && this.#index === index && this.#plain === at.plain) return kept
    end(kept)
    return begin()
  }

  keep(index: number, at: Restart, pieces: Pieces): void {
    end(this.#pieces)
    this.#index = index
    this.#plain = at.plain
    this.#pieces = pieces
  }

  [Symbol.dispose](): void {
    end(this.#pieces)
    this.#pieces = null
  }
}

function end(pieces: Pieces | null): void {
  pieces?.return().catch(() => 'it is given up; what it read is read again')
}
