import { createHash, type Hash } from 'node:crypto'
import zlib from 'node:zlib'

const MIB = 1 << 20

/** `zlib.crc32`, where this Node has it (20.15 and later). */
const crcOf = (zlib as { crc32?: (data: Buffer, value: number) => number }).crc32

/** Follows content as it passes, in the way its digest was taken, and says at the end whether it is the one that was backed up. */
export class Proof {
  readonly #wanted: string
  readonly #kind: 'whole' | 'blocks' | 'crc' | 'none'
  readonly #outer: Hash = createHash('sha256')
  #inner: Hash | null = null
  #inBlock = 0
  #crc = 0

  /** `digest` as the manifest has it; without one the CRC, where there is one. */
  constructor(digest: string | null, crc: number | null) {
    const [kind, wanted = ''] = digest?.split(':') ?? []
    if (kind === 'sha256' || kind === 'sha256-1m') this.#kind = kind === 'sha256' ? 'whole' : 'blocks'
    else this.#kind = crc !== null && crcOf !== undefined ? 'crc' : 'none'
    this.#wanted = this.#kind === 'crc' ? String(crc) : wanted
  }

  get isNone(): boolean {
    return this.#kind === 'none'
  }

  update(bytes: Buffer): void {
    if (this.#kind === 'whole') this.#outer.update(bytes)
    else if (this.#kind === 'crc') this.#crc = crcOf?.(bytes, this.#crc) ?? 0
    else if (this.#kind === 'blocks') this.#blocks(bytes)
  }

  holds(): boolean {
    if (this.#kind === 'none') return true
    if (this.#kind === 'crc') return String(this.#crc) === this.#wanted
    if (this.#kind === 'blocks') this.#closeBlock()
    return this.#outer.digest('hex') === this.#wanted
  }

  #blocks(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + MIB - this.#inBlock)
      this.#inner ??= createHash('sha256')
      this.#inner.update(piece)
      this.#inBlock += piece.length
      at += piece.length
      if (this.#inBlock === MIB) this.#closeBlock()
    }
  }

  #closeBlock(): void {
    if (this.#inner === null) return
    this.#outer.update(this.#inner.digest())
    this.#inner = null
    this.#inBlock = 0
  }
}
