import { createHash, type Hash } from 'node:crypto'
import type { IHasher } from 'hash-wasm'

/**
 * SHA-256 over a run of bytes that may be longer than a process lives. `node:crypto` is eight times
 * as fast but cannot hand out its state; the WebAssembly one can (116 bytes). So: fast while one
 * process goes on, exportable from the moment a process was lost.
 */
export class ResumableSha256 {
  readonly #fast: Hash | FarHash | null
  readonly #slow: IHasher | null

  private constructor(fast: Hash | FarHash | null, slow: IHasher | null) {
    this.#fast = fast
    this.#slow = slow
  }

  /** From the first byte; `save` gives null. */
  static fast(): ResumableSha256 {
    return new ResumableSha256(createHash('sha256'), null)
  }
  /** The same in another thread. */
  static far(hash: FarHash): ResumableSha256 {
    return new ResumableSha256(hash, null)
  }
  /** From the first byte; `save` gives the state. */
  static async exportable(): Promise<ResumableSha256> {
    return new ResumableSha256(null, (await slow()).init())
  }
  /** From the byte at which `saved` was taken. Throws if the text is not a state. */
  static async restore(saved: string): Promise<ResumableSha256> {
    return new ResumableSha256(null, (await slow()).load(Buffer.from(saved, 'base64')))
  }

  /** Whether it was lost with the thread it lived in. */
  get lost(): boolean {
    return isFar(this.#fast) && this.#fast.lost
  }
  /** Null, or what to wait for before more is given to another thread. */
  get room(): Promise<void> | null {
    return isFar(this.#fast) ? this.#fast.room : null
  }

  /** The bytes are lent until `done` is called. */
  update(bytes: Uint8Array, done: () => void = () => {}): this {
    if (isFar(this.#fast)) this.#fast.update(bytes, done)
    else {
      this.#fast?.update(bytes)
      this.#slow?.update(bytes)
      done()
    }
    return this
  }
  /** The state as text (156 characters), or null where it cannot be had. */
  save(): string | null {
    return this.#slow === null ? null : Buffer.from(this.#slow.save()).toString('base64')
  }
  /** Hex; ends the hash. Null: it was lost. */
  async digest(): Promise<string | null> {
    if (isFar(this.#fast)) return this.#fast.digest()
    return this.#fast?.digest('hex') ?? this.#slow?.digest('hex') ?? ''
  }
  /** It is not asked for any more. */
  forget(): void {
    if (isFar(this.#fast)) this.#fast[Symbol.dispose]()
  }
}

/** A SHA-256 that another thread takes. It lives as long as that thread. */
export interface FarHash extends Disposable {
  readonly far: true
  readonly lost: boolean
  /** Null, or what to wait for before giving it more. */
  readonly room: Promise<void> | null
  /** The bytes are lent until `done` is called, which happens whatever comes of it. */
  update(bytes: Uint8Array, done: () => void): void
  /** Hex; ends it. Null: it was lost. */
  digest(): Promise<string | null>
}

const isFar = (hash: Hash | FarHash | null): hash is FarHash => hash !== null && 'far' in hash

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
  readonly #far: () => FarHash | null
  #key = ''
  #offset = -1
  #hash: ResumableSha256 | null = null

  /** `far`: a hash in another thread, where there is one. */
  constructor(far: () => FarHash | null = () => null) {
    this.#far = far
  }

  /** Null, or what to wait for before the next `update`, so that no more than a little is under way. */
  get room(): Promise<void> | null {
    return this.#hash?.room ?? null
  }

  /**
   * The hash at `position.offset` of the thing `key`. If this process does not have it and no state
   * was saved, `position` goes back to 0 and becomes exportable: that happens once.
   */
  async resume(key: string, position: HashPosition): Promise<ResumableSha256> {
    const present = this.#hash
    if (present !== null && !present.lost && this.#key === key && this.#offset === position.offset) return present
    if (position.offset > 0 && position.state === null) {
      position.offset = 0
      position.exportable = true
    }
    this.#key = key
    this.#offset = position.offset
    this.#hash = await this.#open(position)
    return this.#hash
  }

  /** Hashes what follows `position` and moves it on. `resume` comes first. The bytes are lent until `done` is called. */
  update(position: HashPosition, bytes: Uint8Array, done?: () => void): void {
    if (this.#hash === null || this.#offset !== position.offset) throw new Error('resume the hash first')
    this.#hash.update(bytes, done)
    position.offset += bytes.length
    position.state = this.#hash.save()
    this.#offset = position.offset
  }

  /** Hex; ends the hash. Null: the thread that took it is gone; `resume` begins it again. */
  async digest(): Promise<string | null> {
    const hash = this.#hash
    this.#hash = null
    this.#offset = -1
    return hash === null ? '' : hash.digest()
  }

  [Symbol.dispose](): void {
    this.#hash?.forget()
    this.#hash = null
    this.#offset = -1
  }

  async #open(position: HashPosition): Promise<ResumableSha256> {
    if (position.state !== null && position.offset > 0) return ResumableSha256.restore(position.state)
    if (position.exportable) return ResumableSha256.exportable()
    const far = this.#far()
    return far === null ? ResumableSha256.fast() : ResumableSha256.far(far)
  }
}
