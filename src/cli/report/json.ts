import type { JobState } from '../backend.ts'
import type { FinalObject } from '../final.ts'
import type { TextStream } from '../io.ts'
import { jsonLine } from '../session.ts'
import type { Reporter } from './reporter.ts'

/** One JSON object per line on stdout; `event` tells them apart; the last one is the job's final object. */
export class JsonReporter implements Reporter {
  readonly live = false
  readonly #out: TextStream

  constructor(out: TextStream) {
    this.#out = out
  }

  state(state: JobState): void {
    const { number, id, step, status, percent, domain, activity, detail, sleepMs, totals } = state
    this.#line({ event: 'step', id, number, step, status, percent, domain, activity, detail, sleepMs, totals })
    for (const message of state.warnings.fresh) this.#line({ event: 'warning', id, number, step, message })
  }

  note(text: string): void {
    this.#line({ event: 'note', message: text })
  }

  final(_state: JobState, final: FinalObject): void {
    this.#line(final)
  }

  close(): void {
    // nothing is held
  }

  #line(value: object): void {
    this.#out.write(`${jsonLine(value)}\n`)
  }
}
