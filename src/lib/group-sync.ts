import { errnoOf } from './errors.ts'
import { systemClock, type Clock } from './clock.ts'
import { startProgram, type RunningProgram, type ProgramOptions } from './program.ts'

/** Others may have much to write on the same file system: then it is left alone. Milliseconds. */
const LIMIT = 2000
const PATIENCE = 500

type Start = (path: string, args: readonly string[], options: ProgramOptions) => RunningProgram

/**
 * Writes back all that waits on one file system, by `sync --file-system`: one commit of its journal where syncing
 * hundreds of new files one by one takes hundreds. No promise: what has to be durable is synced after it by its own
 * handle, which costs little then and reports what went wrong.
 */
export class GroupSync {
  readonly #program: string
  readonly #start: Start
  readonly #clock: Clock
  #slow = false

  constructor(program: string, start: Start = startProgram, clock: Clock = systemClock) {
    this.#program = program
    this.#start = start
    this.#clock = clock
  }

  /** `folder`: as a working folder of a program. */
  async flush(folder: string): Promise<void> {
    if (this.#slow) return
    const begun = this.#clock.mono()
    using running = this.#start(this.#program, ['-f', '.'], { timeoutMs: LIMIT, maxBuffer: 4096, cwd: folder })
    const ended = new AbortController()
    try {
      // Killing it does not end it: who waits for a disk dies only when the disk has answered.
      const late = this.#clock.sleep(LIMIT, ended.signal).then(() => null)
      const done = await Promise.race([running.result, late])
      if (done?.code !== 0) this.#slow = true
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      this.#slow = true
    } finally {
      ended.abort()
    }
    if (this.#clock.mono() - begun > PATIENCE) this.#slow = true
  }
}
