import type { Codec, Packed, PackJob } from '../archive/codec.ts'
import { release } from '../lib/release.ts'
import { SharedPool } from '../lib/shared-pool.ts'

/** Small files share a message to a helper: 67 µs a message would cost more than most of them. */
const BATCH_BYTES = 256 << 10
const BATCH_JOBS = 64
const BLOCK = 1 << 20
/** Something on its way through the codec. `release` once its result has been used: its memory is lent again. */
export interface Underway {
  readonly packed: Promise<Packed>
  readonly release: () => void
}

interface Waiting {
  readonly job: PackJob
  readonly resolve: (packed: Packed) => void
  readonly reject: (error: unknown) => void
}

/** Memory that the files of one batch are read into; lent again when all of them are done. */
interface Arena {
  readonly bytes: Buffer
  readonly pool: SharedPool
  used: number
  files: number
  sent: boolean
  /** What they were packed to, where that lies elsewhere: given back with the arena. */
  packed: readonly Packed[]
}

/** Gathers small jobs into batches, and lends the memory that content is read into. */
export class Batcher implements Disposable {
  readonly #codec: Codec
  readonly #arenas = new SharedPool(BATCH_BYTES)
  readonly #blocks = new SharedPool(BLOCK)
  readonly #promises = new Set<Promise<Packed>>()
  #waiting: Waiting[] = []
  #bytes = 0
  #arena: Arena

  constructor(codec: Codec) {
    this.#codec = codec
    this.#arena = this.#newArena(0)
  }

  /** Memory for a small file of `size` bytes, to be filled and added at once. */
  room(size: number): Buffer {
    if (this.#arena.used + size > this.#arena.bytes.length) {
      this.flush()
      this.#renew(size)
    }
    return this.#arena.bytes.subarray(this.#arena.used, this.#arena.used + size)
  }

  /** Adds what was read into `room`. */
  add(job: PackJob): Underway {
    const arena = this.#arena
    arena.used += job.bytes.length
    arena.files++
    const packed = new Promise<Packed>((resolve, reject) => this.#waiting.push({ job, resolve, reject }))
    this.#promises.add(packed)
    this.#bytes += job.bytes.length
    if (this.#bytes >= BATCH_BYTES || this.#waiting.length >= BATCH_JOBS) this.flush()
    return { packed, release: () => this.#done(arena) }
  }

  /** Memory for a block, to be filled and sent by `alone` or `together`. */
  block(length: number): Buffer {
    return this.#blocks.take(length)
  }

  /** A block that is a batch of its own; `memory` is what `block` lent. */
  alone(job: PackJob, memory: Buffer): Underway {
    return this.together([{ job, memory }])[0] ?? missing()
  }

  /** Blocks that are a batch of their own. */
  together(blocks: readonly { readonly job: PackJob; readonly memory: Buffer }[]): Underway[] {
    this.flush()
    const sent = this.#codec.pack(blocks.map(({ job }) => job))
    let results: readonly Packed[] = []
    let left = blocks.length
    return blocks.map(({ memory }, i) => {
      const packed = sent.then((all) => {
        results = all
        const own = all[i] ?? missing()
        // What was deflated is read no more: its memory is lent again before the result's turn has come.
        if (own.data.buffer !== memory.buffer) this.#blocks.give(memory)
        return own
      })
      const done = (): void => {
        if (results[i]?.data.buffer === memory.buffer) this.#blocks.give(memory)
        if (--left > 0) return
        // Small results may share their memory.
        for (const { data } of results) release(data)
      }
      return { packed, release: done }
    })
  }

  /** Somebody is about to wait for this result: its batch is sent if it still is being gathered. */
  hurry(packed: Promise<Packed>): void {
    if (this.#promises.has(packed)) this.flush()
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#waiting.length === 0) return
    const batch = this.#waiting
    const arena = this.#arena
    this.#waiting = []
    this.#promises.clear()
    this.#bytes = 0
    this.#renew(0)
    this.#codec.pack(batch.map((one) => one.job)).then(
      (packed) => {
        arena.packed = packed
        for (const [i, one] of batch.entries()) one.resolve(packed[i] ?? missing())
      },
      (error: unknown) => {
        for (const one of batch) one.reject(error)
      },
    )
  }

  /** Nothing is added any more; what is in flight may end. */
  [Symbol.dispose](): void {
    this.#arenas[Symbol.dispose]()
    this.#blocks[Symbol.dispose]()
  }

  #renew(size: number): void {
    const arena = this.#arena
    this.#arena = this.#newArena(size)
    arena.sent = true
    if (arena.files === 0) arena.pool.give(arena.bytes)
  }
  #newArena(size: number): Arena {
    const pool = size > BATCH_BYTES ? this.#blocks : this.#arenas
    return { bytes: pool.take(size), pool, used: 0, files: 0, sent: false, packed: [] }
  }
  #done(arena: Arena): void {
    arena.files--
    if (arena.files > 0 || !arena.sent) return
    for (const { data } of arena.packed) if (data.buffer !== arena.bytes.buffer) release(data)
    arena.pool.give(arena.bytes)
  }
}

function missing(): never {
  throw new Error('the codec gave no result')
}
