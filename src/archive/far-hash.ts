import type { FarHash } from '../lib/resumable-hash.ts'
import type { Helper } from './codec-helper.ts'
import type { HashWork, Reply } from './codec-messages.ts'

/** Pieces under way at most: one being hashed, one so that the helper never runs dry. */
const MOST = 2

let streams = 0

/** A SHA-256 that a helper of the codec takes, piece by piece. */
export class HelpersHash implements FarHash {
  readonly far = true
  readonly #helper: Helper
  readonly #stream = ++streams
  readonly #underway = new Set<Promise<void>>()
  #lost = false
  #ended = false

  constructor(helper: Helper) {
    this.#helper = helper
  }

  get lost(): boolean {
    return this.#lost || !this.#helper.alive
  }
  get room(): Promise<void> | null {
    return this.#underway.size < MOST ? null : Promise.race(this.#underway)
  }

  update(bytes: Uint8Array, done: () => void): void {
    const sent = this.#send({ op: 'hash', stream: this.#stream, end: null, jobs: [piece(bytes)] })
      .finally(done)
      .then(() => void this.#underway.delete(sent))
    this.#underway.add(sent)
  }

  async digest(): Promise<string | null> {
    this.#ended = true
    const reply = await this.#send({ op: 'hash', stream: this.#stream, end: 'digest', jobs: [] })
    const digest = reply?.results[0]?.sha256
    return this.lost || digest === undefined ? null : Buffer.from(digest).toString('hex')
  }

  [Symbol.dispose](): void {
    if (this.#ended) return
    this.#ended = true
    this.#send({ op: 'hash', stream: this.#stream, end: 'forget', jobs: [] }).catch(() => 'it never rejects')
  }

  #send(work: HashWork): Promise<Reply | null> {
    if (this.lost) return Promise.resolve(null)
    return new Promise((resolve) => {
      const settle = (reply: Reply | null): void => {
        if (reply === null || reply.error !== null) this.#lost = true
        resolve(reply)
      }
      this.#helper.send({ work, settle })
    })
  }
}

const piece = (data: Uint8Array): HashWork['jobs'][number] => ({ data, method: 'store', size: data.length })
