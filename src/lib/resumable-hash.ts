import { createHash, type Hash } from 'node:crypto'
import type { IHasher } from 'hash-wasm'

/**
 * SHA-256 over a run of bytes that may be longer than a process lives. `node:crypto` is eight times
 * as fast but cannot hand out its state; the WebAssembly one can (116 bytes). So: fast while one
 * process goes on, exportable from the moment a process was lost.
 */
export class ResumableSha256 {
  readonly #fast: Hash | null
  readonly #slow: IHasher | null

  private constructor(fast: Hash | null, slow: IHasher | null) {
    this.#fast = fast
    this.#slow = slow
  }

  /** From the first byte; `save` gives null. */
  static fast(): ResumableSha256 {
    return new ResumableSha256(createHash('sha256'), null)
  }
  /** From the first byte; `save` gives the state. */
  static async exportable(): Promise<ResumableSha256> {
    return new ResumableSha256(null, (await slow()).init())
  }
  /** From the byte at which `saved` was taken. Throws if the text is not a state. */
  static async restore(saved: string): Promise<ResumableSha256> {
    return new ResumableSha256(null, (await slow()).load(Buffer.from(saved, 'base64')))
  }

  update(bytes: Uint8Array): this {
    this.#fast?.update(bytes)
    this.#slow?.update(bytes)
    return this
  }
  /** The state as text (156 characters), or null where it cannot be had. */
  save(): string | null {
    return this.#slow === null ? null : Buffer.from(this.#slow.save()).toString('base64')
  }
  /** Hex; ends the hash. */
  digest(): string {
    return this.#fast?.digest('hex') ?? this.#slow?.digest('hex') ?? ''
  }
}

/** Loaded when the first process was lost: most jobs never need it, and it takes megabytes. */
async function slow(): Promise<IHasher> {
  const { createSHA256 } = await import('hash-wasm')
  return createSHA256()
}

/** Where hashing stands: goes into a slot. */
export type HashPosition = {
  /** Bytes hashed so far. */
  offset: number
  state: string | null
  /** A process was lost: keep the state from now on. */
  exportable: boolean
}

export const hashStart = (exportable = false): HashPosition => ({ offset: 0, state: null, exportable })

/** What a process keeps between its steps: the hash of one thing, at one offset. */
export class WarmHash implements Disposable {
  #key = ''
  #offset = -1
  #hash: ResumableSha256 | null = null

  /**
   * The hash at `position.offset` of the thing `key`. If this process does not have it and no state
   * was saved, `position` goes back to 0 and becomes exportable: that happens once.
   */
  async resume(key: string, position: HashPosition): Promise<ResumableSha256> {
    if (this.#hash !== null && this.#key === key && this.#offset === position.offset) return this.#hash
    if (position.offset > 0 && position.state === null) {
      position.offset = 0
      position.exportable = true
    }
    this.#key = key
    this.#offset = position.offset
    this.#hash = await open(position)
    return this.#hash
  }

  /** Hashes what follows `position` and moves it on. `resume` comes first. */
  update(position: HashPosition, bytes: Uint8Array): void {
    if (this.#hash === null || this.#offset !== position.offset) throw new Error('resume the hash first')
    this.#hash.update(bytes)
    position.offset += bytes.length
    position.state = this.#hash.save()
    this.#offset = position.offset
  }

  /** Hex; ends the hash. */
  digest(): string {
    const digest = this.#hash?.digest() ?? ''
    this[Symbol.dispose]()
    return digest
  }

  [Symbol.dispose](): void {
    this.#hash = null
    this.#offset = -1
  }
}

async function open(position: HashPosition): Promise<ResumableSha256> {
  if (position.state !== null && position.offset > 0) return ResumableSha256.restore(position.state)
  return position.exportable ? ResumableSha256.exportable() : ResumableSha256.fast()
}
