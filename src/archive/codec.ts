/**
 * Compressing and digesting blocks, on all cores. Every block is independent (law 7): no state of
 * deflate survives it, so any process can go on after any block.
 */

export interface PackJob {
  /** Plain bytes, at most 1 MiB. Handed over: the caller does not touch them again until the result is there. */
  readonly bytes: Uint8Array
  /** `whole`: a complete deflate stream. `block`: a byte-aligned piece of a longer one, without final block. */
  readonly mode: 'whole' | 'block'
  /** 1–9; 0 = store only (method 'store' for `whole`; stored deflate blocks for `block`). */
  readonly level: number
}

export interface Packed {
  /** The compressed bytes, or for method 'store' the plain ones. */
  readonly data: Uint8Array
  readonly method: 'store' | 'deflate'
  /** CRC-32 of the plain bytes alone (seed 0). */
  readonly crc: number
  /** SHA-256 of the plain bytes, 32 bytes. */
  readonly sha256: Uint8Array
}

export interface UnpackJob {
  readonly data: Uint8Array
  readonly method: 'store' | 'deflate'
  /** Plain length expected; more is refused before it is inflated. */
  readonly size: number
}

export interface Unpacked {
  readonly bytes: Uint8Array
  readonly crc: number
  readonly sha256: Uint8Array
}

export interface Codec extends Disposable {
  /** Several jobs as one message to one worker; results in the same order. */
  pack(jobs: readonly PackJob[]): Promise<Packed[]>
  unpack(jobs: readonly UnpackJob[]): Promise<Unpacked[]>
  /** How many batches may usefully be in flight. */
  readonly width: number
}
