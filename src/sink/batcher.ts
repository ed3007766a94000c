import type { Codec, Packed, PackJob } from '../archive/codec.ts'

/** Small files share a message to a helper: 67 µs a message would cost more than most of them. */
const BATCH_BYTES = 256 << 10
const BATCH_JOBS = 64

interface Waiting {
  readonly job: PackJob
  readonly resolve: (packed: Packed) => void
  readonly reject: (error: unknown) => void
}

/** Gathers small jobs into batches, and lends the memory their bytes are read into. */
export class Batcher {
  readonly #codec: Codec
  #waiting: Waiting[] = []
  readonly #promises = new Set<Promise<Packed>>()
  #bytes = 0
  #arena = Buffer.allocUnsafeSlow(BATCH_BYTES)
  #used = 0

  constructor(codec: Codec) {
    this.#codec = codec
  }

  /** Memory for a file of `size` bytes: part of an arena that belongs to its batch and is written once. */
  room(size: number): Uint8Array {
    if (this.#used + size > this.#arena.length) this.#renew(size)
    const room = this.#arena.subarray(this.#used, this.#used + size)
    this.#used += size
    return room
  }

  add(job: PackJob): Promise<Packed> {
    const packed = new Promise<Packed>((resolve, reject) => this.#waiting.push({ job, resolve, reject }))
    this.#promises.add(packed)
    this.#bytes += job.bytes.length
    if (this.#bytes >= BATCH_BYTES || this.#waiting.length >= BATCH_JOBS) this.flush()
    return packed
  }

  /** A block that is a batch of its own, in memory of its own. */
  alone(job: PackJob): Promise<Packed> {
    this.flush()
    return this.#codec.pack([job]).then(([packed]) => {
      if (packed === undefined) throw new Error('the codec gave no result')
      return packed
    })
  }

  /** Somebody is about to wait for this result: its batch is sent if it still is being gathered. */
  hurry(packed: Promise<Packed>): void {
    if (this.#promises.has(packed)) this.flush()
  }

  #renew(size: number): void {
    this.#arena = Buffer.allocUnsafeSlow(Math.max(BATCH_BYTES, size))
    this.#used = 0
  }

  /** Sends what was gathered. The arena goes along: the next batch gets a new one. */
  flush(): void {
    if (this.#waiting.length === 0) return
    const batch = this.#waiting
    this.#waiting = []
    this.#promises.clear()
    this.#bytes = 0
    this.#renew(0)
    this.#codec.pack(batch.map((one) => one.job)).then(
      (packed) => {
        for (const [i, one] of batch.entries()) {
          const result = packed[i]
          if (result === undefined) one.reject(new Error('the codec gave no result'))
          else one.resolve(result)
        }
      },
      (error: unknown) => {
        for (const one of batch) one.reject(error)
      },
    )
  }
}
