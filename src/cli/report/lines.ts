import type { Clock } from '../../lib/clock.ts'
import type { JobState } from '../backend.ts'
import { finalLines } from '../final.ts'
import type { FinalObject } from '../final.ts'
import { printable } from '../format.ts'
import type { TextStream } from '../io.ts'
import { Meter } from '../meter.ts'
import type { Reporter } from './reporter.ts'
import * as text from './text.ts'

/** Without a terminal: a line when the phase changes, and one now and then. */
const EVERY_MS = 10_000

export class LineReporter implements Reporter {
  readonly live = false
  readonly #out: TextStream
  readonly #err: TextStream
  readonly #clock: Clock
  readonly #meter: Meter
  #domain = ''
  #last = 0
  #waiting: string | null = null

  constructor(out: TextStream, err: TextStream, clock: Clock) {
    this.#out = out
    this.#err = err
    this.#clock = clock
    this.#meter = new Meter(clock)
  }

  state(state: JobState): void {
    this.#meter.add(state.totals.bytesRead, state.percent)
    for (const warning of state.warnings.fresh) this.note(`warning: ${warning}`)
    const waiting = text.waiting(state)
    if (waiting !== null && waiting !== this.#waiting) this.note(waiting)
    this.#waiting = waiting
    const now = this.#clock.mono()
    if (state.ended || (state.domain === this.#domain && now - this.#last < EVERY_MS)) return
    this.#domain = state.domain
    this.#last = now
    const parts = [`${state.percent} %`, text.amount(state), text.rate(this.#meter), text.left(this.#meter)]
    this.#err.write(`${[...parts, text.activity(state)].filter((part) => part !== '').join('  ')}\n`)
  }

  note(message: string): void {
    this.#err.write(`${printable(message)}\n`)
  }

  final(state: JobState, final: FinalObject): void {
    this.#out.write(`${finalLines(state, final).join('\n')}\n`)
  }

  close(): void {
    // nothing is held
  }
}
