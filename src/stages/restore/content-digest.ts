import { createHash, type Hash } from 'node:crypto'
import type { AppendFile } from '../../lib/append-file.ts'

/** Blocks over which `sha256-1m` is built. Bytes. */
export const BLOCK = 1 << 20

/**
 * A digest as the manifest names it: `sha256:<hex>` over the content, or `sha256-1m:<hex>`: SHA-256
 * over the SHA-256s of the content's 1 MiB blocks, which can go on in another process.
 */
export class ContentDigest {
  readonly blocks: boolean
  readonly #outer: Hash = createHash('sha256')
  #inner: Hash | null = null
  /** Bytes in the block that is open. */
  #filled = 0
  #unsaved: Buffer[] = []

  constructor(blocks: boolean) {
    this.blocks = blocks
  }

  update(bytes: Uint8Array): void {
    if (!this.blocks) {
      this.#outer.update(bytes)
      return
    }
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + BLOCK - this.#filled)
      this.#inner ??= createHash('sha256')
      this.#inner.update(piece)
      this.#filled += piece.length
      at += piece.length
      if (this.#filled === BLOCK) this.#close()
    }
  }

  /** The digest of a whole block, known already (only at a block's boundary). */
  block(sha256: Uint8Array): void {
    this.#outer.update(sha256)
    this.#unsaved.push(Buffer.from(sha256))
  }

  get atBlock(): boolean {
    return this.#filled === 0
  }

  /** Appends the digests of blocks finished since the last call. */
  save(file: AppendFile): void {
    for (const digest of this.#unsaved) file.write(digest)
    this.#unsaved = []
  }

  /** Takes up the digests of `count` blocks from where `save` put them; false if they are not there. */
  load(file: AppendFile, count: number): boolean {
    if (file.length < count * 32) return false
    for (let at = 0; at < count * 32; at += 1 << 20) {
      this.#outer.update(file.read(at, Math.min(1 << 20, count * 32 - at)))
    }
    return true
  }

  /** As the manifest writes it. */
  digest(): string {
    if (this.#filled > 0) this.#close()
    return `${this.blocks ? 'sha256-1m' : 'sha256'}:${this.#outer.digest('hex')}`
  }

  #close(): void {
    if (this.#inner !== null) this.block(this.#inner.digest())
    this.#inner = null
    this.#filled = 0
  }
}

/** The digest to compute for an entry whose manifest line holds `expected`; null: nothing to compare with. */
export function digestFor(expected: string | null): ContentDigest | null {
  if (expected === null) return null
  return new ContentDigest(expected.startsWith('sha256-1m:'))
}
