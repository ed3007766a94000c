import type { Clock } from '../lib/clock.ts'
import { BackupError } from '../lib/errors.ts'
import { startNode, type NodeChild } from '../lib/node-child.ts'
import type { Dump, DumpEnd, Dumper, DumpOrder, DumpProgress } from './dumper.ts'
import type { CopyLimits, CopyReply, CopyRequest, CopyTrouble } from './messages.ts'

export interface SqliteOptions extends CopyLimits {
  /** The process sends a sign of life each second; after so long without any it is given up. Milliseconds. */
  readonly silenceMs: number
  /** A copy that gets no further for so long is given up: a mount that hangs. Milliseconds. */
  readonly stuckMs: number
}

export const SQLITE_LIMITS: SqliteOptions = {
  busyMs: 60_000,
  countMs: 10_000,
  restarts: 3,
  silenceMs: 30_000,
  stuckMs: 180_000,
}

/** Checking has no progress to tell: it may take so long for each MiB beside `stuckMs`. Milliseconds. */
const CHECK_MS_PER_MIB = 1000

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './copy-process.ts' : './copy-process.js', import.meta.url)

/**
 * SQLite databases, copied by SQLite in a process of its own: wherever this one closes a handle on a database file,
 * for whatever reason, the locks under which a copy is made here would fall.
 */
export class SqliteDumper implements Dumper {
  readonly #clock: Clock
  readonly #options: SqliteOptions
  #process: CopyProcess | null = null

  constructor(clock: Clock, options: Partial<SqliteOptions> = {}) {
    this.#clock = clock
    this.#options = { ...SQLITE_LIMITS, ...options }
  }

  /** Of the process that copies, if there is one. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  begin(order: DumpOrder): Dump {
    if (this.#process !== null && !this.#process.idle) this[Symbol.dispose]()
    this.#process ??= new CopyProcess(this.#clock, this.#options)
    const copier = this.#process
    copier.begin(order)
    return {
      get progress() {
        return copier.progress
      },
      wait: async (ms) => {
        try {
          return await copier.wait(ms)
        } catch (error) {
          copier[Symbol.dispose]()
          if (this.#process === copier) this.#process = null
          throw error
        }
      },
    }
  }

  [Symbol.dispose](): void {
    this.#process?.[Symbol.dispose]()
    this.#process = null
  }
}

/** One process, and the copy it is asked for. */
class CopyProcess implements Disposable {
  readonly #clock: Clock
  readonly #options: SqliteOptions
  readonly #child: NodeChild
  #id = 0
  #order: DumpOrder | null = null
  #end: DumpEnd | CopyTrouble | null = null
  #gone: string | null = null
  #heard: number
  #moved: number
  #wake: (() => void) | null = null
  progress: DumpProgress = { phase: 'copy', done: 0, total: 0 }

  constructor(clock: Clock, options: SqliteOptions) {
    this.#clock = clock
    this.#options = options
    this.#heard = this.#moved = clock.mono()
    this.#child = startNode(ENTRY, {
      line: (text) => this.#hear(JSON.parse(text) as CopyReply),
      gone: (why) => {
        this.#gone = why
        this.#wake?.()
      },
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }
  /** Nothing is under way, and the process is there. */
  get idle(): boolean {
    return this.#gone === null && (this.#id === 0 || this.#end !== null)
  }

  begin(order: DumpOrder): void {
    const { busyMs, countMs, restarts } = this.#options
    this.#id++
    this.#order = order
    this.#end = null
    this.progress = { phase: 'copy', done: 0, total: 0 }
    this.#heard = this.#moved = this.#clock.mono()
    const request: CopyRequest = {
      id: this.#id,
      path: order.path.toString('base64'),
      dev: String(order.dev),
      ino: String(order.ino),
      to: order.to,
      limits: { busyMs, countMs, restarts },
    }
    this.#child.send(JSON.stringify(request))
  }

  async wait(ms: number): Promise<DumpEnd | null> {
    if (this.#end === null && this.#gone === null) await this.#sleep(ms)
    if (this.#end !== null) {
      if ('trouble' in this.#end) throw new BackupError(this.#end.trouble, this.#end.message)
      return this.#end
    }
    if (this.#gone !== null) throw this.#lost(`ended before the copy was complete (${this.#gone})`, 'IO_ERROR')
    const now = this.#clock.mono()
    // Not before its words, which may lie in the pipe, have had a turn to be heard: that was the sleep.
    if (now - this.#heard > this.#options.silenceMs) throw this.#lost('does not answer any more', 'TIMED_OUT')
    if (now - this.#moved > this.#patience) throw this.#lost('gets no further', 'TIMED_OUT')
    return null
  }

  get #patience(): number {
    const { stuckMs, busyMs, countMs } = this.#options
    const mib = (this.progress.total * 4096) / (1 << 20)
    const extra =
      this.progress.phase === 'check' ? mib * CHECK_MS_PER_MIB : this.progress.phase === 'count' ? countMs * 5 : busyMs
    return stuckMs + extra
  }

  #lost(what: string, code: 'IO_ERROR' | 'TIMED_OUT'): BackupError {
    const name = this.#order?.path.toString('utf8') ?? ''
    return new BackupError(code, `the process that copies the database ${name} ${what}`, {
      hint: 'The copy is begun again with the next step. If this goes on, look at the disks and at the memory of this machine.',
    })
  }

  async #sleep(ms: number): Promise<void> {
    const abort = new AbortController()
    await new Promise<void>((resolve, reject) => {
      this.#wake = resolve
      this.#clock.sleep(ms, abort.signal).then(resolve, reject)
    }).finally(() => {
      this.#wake = null
      abort.abort()
    })
  }

  #hear(reply: CopyReply): void {
    this.#heard = this.#clock.mono()
    if ('alive' in reply || reply.id !== this.#id) return
    if ('end' in reply) {
      this.#end = reply.end
      this.#wake?.()
      return
    }
    const { phase, done } = reply.progress
    if (phase !== this.progress.phase || done !== this.progress.done) this.#moved = this.#heard
    this.progress = reply.progress
  }

  [Symbol.dispose](): void {
    this.#child[Symbol.dispose]()
  }
}
