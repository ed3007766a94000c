import { createHash, type Hash } from 'node:crypto'
import type { HashWork } from './codec-messages.ts'

const NONE = new Uint8Array(0)

/** The SHA-256s that a helper thread has begun. */
export class HashStreams {
  readonly #open = new Map<number, Hash>()

  /** Takes more of one; the digest (32 bytes) at its end, else nothing. */
  run({ stream, jobs, end }: HashWork): Uint8Array {
    const hash = this.#open.get(stream) ?? createHash('sha256')
    for (const { data } of jobs) hash.update(data)
    if (end === null) this.#open.set(stream, hash)
    else this.#open.delete(stream)
    return end === 'digest' ? new Uint8Array(hash.digest()) : NONE
  }
}
