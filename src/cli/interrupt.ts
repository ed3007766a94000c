import type { Io } from './io.ts'
import { EXIT } from './exit.ts'

/**
 * The first signal asks to stop after the running step: everything done so far is kept. The second
 * leaves at once: what the running step did since its last commit is done again at the next one.
 */
export class Interrupt implements Disposable {
  readonly #asked = new AbortController()
  readonly #off: () => void

  constructor(io: Pick<Io, 'onSignal' | 'exit'>, onFirst: () => void) {
    this.#off = io.onSignal(() => {
      if (this.#asked.signal.aborted) return io.exit(EXIT.interrupted)
      this.#asked.abort()
      onFirst()
    })
  }

  get requested(): boolean {
    return this.#asked.signal.aborted
  }

  get signal(): AbortSignal {
    return this.#asked.signal
  }

  [Symbol.dispose](): void {
    this.#off()
  }
}
