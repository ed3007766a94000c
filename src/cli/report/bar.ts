import { SingleBar } from 'cli-progress'
import type { Options, Params } from 'cli-progress'
import type { Clock } from '../../lib/clock.ts'
import type { JobState } from '../backend.ts'
import { finalLines } from '../final.ts'
import type { FinalObject } from '../final.ts'
import { printable, tail } from '../format.ts'
import type { Io, TextStream } from '../io.ts'
import { Meter } from '../meter.ts'
import type { Reporter } from './reporter.ts'
import * as text from './text.ts'

interface Payload {
  readonly facts: string
  readonly activity: string
}

const WIDTH = 24

/** One line that never wraps: bar, percentage, amount, rate, time left, and what fits of the activity. */
export function barLine(params: Pick<Params, 'progress'>, payload: Payload, columns: number): string {
  const done = Math.round(params.progress * WIDTH)
  const bar = '█'.repeat(done) + '░'.repeat(WIDTH - done)
  const head = `${bar} ${String(Math.floor(params.progress * 100)).padStart(3)} %  ${payload.facts}`
  const room = columns - head.length - 3
  return room < 12 ? head.slice(0, Math.max(0, columns - 1)) : `${head}  ${tail(payload.activity, room)}`
}

/** On a terminal: a bar on stderr, drawn again as things move; warnings scroll past above it. */
export class BarReporter implements Reporter {
  readonly live = true
  readonly #out: TextStream
  readonly #err: Io['stderr']
  readonly #meter: Meter
  readonly #bar: SingleBar
  #drawn: { percent: number; payload: Payload } | null = null
  #closed = false
  #waiting: string | null = null

  constructor(out: TextStream, err: Io['stderr'], clock: Clock) {
    this.#out = out
    this.#err = err
    this.#meter = new Meter(clock)
    this.#bar = new SingleBar({
      stream: err,
      fps: 8,
      hideCursor: true,
      linewrap: false,
      clearOnComplete: true,
      // Signals are ours: the first one lets the running step finish.
      gracefulExit: false,
      forceRedraw: true,
      format: (_options: Options, params: Params, payload: Payload) => barLine(params, payload, err.columns ?? 80),
    })
  }

  state(state: JobState, live = false): void {
    if (this.#closed) return
    this.#meter.add(state.totals.bytesRead, state.percent)
    if (!live) {
      for (const warning of state.warnings.fresh) this.note(`warning: ${warning}`)
      const waiting = text.waiting(state)
      if (waiting !== null && waiting !== this.#waiting) this.note(waiting)
      this.#waiting = waiting
    }
    this.#draw(state.percent, this.#payload(state))
  }

  note(message: string): void {
    // The bar remembers where its line is: it is taken away and drawn anew below what scrolls past.
    const drawn = this.#drawn
    this.#bar.stop()
    this.#err.write(`${printable(message)}\n`)
    if (drawn !== null && !this.#closed) this.#draw(drawn.percent, drawn.payload)
  }

  final(state: JobState, final: FinalObject): void {
    this.close()
    this.#out.write(`${finalLines(state, final).join('\n')}\n`)
  }

  close(): void {
    this.#bar.stop()
    this.#closed = true
  }

  #draw(percent: number, payload: Payload): void {
    this.#drawn = { percent, payload }
    if (this.#bar.isActive) this.#bar.update(percent, payload)
    else this.#bar.start(100, percent, payload)
  }

  #payload(state: JobState): Payload {
    const facts = [text.amount(state), text.rate(this.#meter), text.left(this.#meter)]
    return { facts: facts.filter((fact) => fact !== '').join('  '), activity: text.activity(state) }
  }
}
