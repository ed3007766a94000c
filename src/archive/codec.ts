import { BackupError } from '../lib/errors.ts'
import { OWN_FROM } from '../lib/release.ts'
import { discarded } from '../lib/scavenge.ts'
import type { FarHash } from '../lib/resumable-hash.ts'
import { Helper } from './codec-helper.ts'
import { JOB, runWork, type Reply, type Result, type Work } from './codec-messages.ts'
import { HelpersHash } from './far-hash.ts'

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
  /**
   * False: nobody asks for the SHA-256; the result holds none. `joined`: it goes over all such jobs of the message, in
   * order, and stands in the result of the last one.
   */
  readonly sha256?: false | 'joined'
}

export interface Packed {
  /** The compressed bytes, or for method 'store' the plain ones. */
  readonly data: Uint8Array
  readonly method: 'store' | 'deflate'
  /** CRC-32 of the plain bytes alone (seed 0). */
  readonly crc: number
  /** SHA-256 of the plain bytes, 32 bytes; empty if there is none. */
  readonly sha256: Uint8Array
}

export interface UnpackJob {
  readonly data: Uint8Array
  readonly method: 'store' | 'deflate'
  /** Plain length expected; the data must give exactly that, and end with its last byte. */
  readonly size: number
  /** Only whether it unpacks, and its CRC, are wanted: the result holds neither bytes nor SHA-256. */
  readonly proof?: true
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
  /** A SHA-256 over about `length` bytes that a helper takes; null where no helper is worth it. */
  hash(length: number): FarHash | null
  /** How many batches may usefully be in flight. */
  readonly width: number
}

export interface CodecOptions {
  /** Helper threads beside the calling one; 0: everything is done in the calling thread. */
  readonly threads: number
  /** Aborting fails what is in flight, and every later call, with CANCELLED. */
  readonly signal?: AbortSignal
  /** Another thread entry, for tests. */
  readonly entry?: URL
}

const NONE = new Uint8Array(0)

/** Batches that wait at one helper: one being worked on, one so that it never runs dry. */
const QUEUE = 2
/** Starting a thread costs as much as packing a block: small jobs never need one. Bytes of work. */
const START_AFTER = 8 << 20

/**
 * A codec over `threads` helpers and the calling thread. A batch goes to a helper with room, else it
 * is done at once by the caller, who is thus never idle. Helpers start after 8 MiB of work and end
 * with the codec; if one dies, its batches are done again here. A batch of `unpack` fails as a whole.
 */
export function createCodec(options: CodecOptions): Codec {
  return new ThreadedCodec(options)
}

class ThreadedCodec implements Codec {
  readonly width: number
  readonly #options: CodecOptions
  readonly #abort = new Map<number, (error: BackupError) => void>()
  readonly #onAbort = (): void => this.#close('the job was cancelled')
  #helpers: Helper[] = []
  #next = 1
  #seen = 0
  #started = false
  #closed: BackupError | null = null

  constructor(options: CodecOptions) {
    this.#options = options
    // Results are wanted in order: with room for the queues and one more only, the caller would stand still
    // behind a helper's result every other block. So one more per helper, and one for uneven blocks.
    this.width = options.threads === 0 ? 1 : options.threads * (QUEUE + 1) + 2
    if (options.signal?.aborted === true) this.#onAbort()
    else options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  async pack(jobs: readonly PackJob[]): Promise<Packed[]> {
    const results = await this.#run({ op: 'pack', jobs })
    return jobs.map((job, i) => {
      const { data, method, crc, sha256 } = at(results, i)
      return { data: data ?? job.bytes, method, crc, sha256: asBuffer(sha256) }
    })
  }

  async unpack(jobs: readonly UnpackJob[]): Promise<Unpacked[]> {
    const results = await this.#run({ op: 'unpack', jobs })
    return jobs.map((job, i) => {
      const { data, crc, sha256 } = at(results, i)
      return { bytes: data ?? (job.proof === true ? NONE : job.data), crc, sha256: asBuffer(sha256) }
    })
  }

  hash(length: number): FarHash | null {
    if (this.#closed !== null) throw this.#closed
    this.#seen += length
    const helper = this.#leastBusy()
    return helper === null ? null : new HelpersHash(helper)
  }

  [Symbol.dispose](): void {
    this.#close('the codec is closed')
  }

  #run(work: Work): Result[] | Promise<Result[]> {
    if (this.#closed !== null) throw this.#closed
    const helper = this.#roomy(work)
    if (helper !== null) return this.#ask(helper, work)
    const results = runWork(work)
    discarded(garbageOf(results))
    return results
  }

  #roomy(work: Work): Helper | null {
    for (const job of work.jobs) this.#seen += 'bytes' in job ? job.bytes.length : job.size
    const helper = this.#leastBusy()
    return helper !== null && helper.queued < QUEUE ? helper : null
  }

  #leastBusy(): Helper | null {
    if (!this.#started && this.#seen >= START_AFTER) {
      this.#started = true
      this.#helpers = Array.from({ length: this.#options.threads }, () => new Helper(this.#options.entry))
    }
    for (const helper of this.#helpers) helper.collect()
    this.#helpers = this.#helpers.filter((helper) => helper.alive)
    let best: Helper | null = null
    for (const helper of this.#helpers) {
      if (best === null || helper.queued < best.queued) best = helper
    }
    return best
  }

  #ask(helper: Helper, work: Work): Promise<Result[]> {
    const id = this.#next++
    return new Promise<Result[]>((resolve, reject) => {
      this.#abort.set(id, reject)
      const settle = (reply: Reply | null): void => {
        if (!this.#abort.delete(id)) return // failed already by an abort
        if (reply === null) resolve(new Promise((redo) => redo(runWork(work))))
        else if (reply.error === null) {
          discarded(garbageOf(reply.results))
          resolve([...reply.results])
        } else reject(BackupError.fromRecord(reply.error))
      }
      helper.send({ work, settle })
    })
  }

  #close(why: string): void {
    this.#closed ??= new BackupError('CANCELLED', why)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    const waiting = [...this.#abort.values()]
    this.#abort.clear()
    for (const reject of waiting) reject(this.#closed)
    for (const helper of this.#helpers) helper.end()
    this.#helpers = []
  }
}

/** The same class whichever thread it comes from: bytes that crossed one arrive as plain arrays. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What stays behind of a batch: its objects and its small results. Whoever uses a large one releases it. */
const garbageOf = (results: readonly Result[]): number =>
  results.reduce((sum, { data }) => sum + JOB + (data === null || data.length >= OWN_FROM ? 0 : data.length), 0)

function at(results: readonly Result[], index: number): Result {
  const result = results[index]
  if (result === undefined) throw new BackupError('INTERNAL', 'the codec answered fewer results than it was asked for')
  return result
}
