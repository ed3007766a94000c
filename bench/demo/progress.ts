import { SingleBar } from 'cli-progress'

/** A bar on a terminal; elsewhere a line per quarter. */
export class DemoProgress {
  readonly #label: string
  readonly #bar: SingleBar | null
  #quarter = -1

  constructor(label: string) {
    this.#label = label
    const tty = process.stderr.isTTY
    const format = `${label.padEnd(8)} {bar} {percentage} %  step {step}  {domain}`
    this.#bar = tty ? new SingleBar({ format, stream: process.stderr, hideCursor: true, gracefulExit: false }) : null
    this.#bar?.start(100, 0, { step: 0, domain: '' })
  }

  at(reply: { Progress: number; stepNumber: number; Domain: string }): void {
    const { Progress, stepNumber, Domain } = reply
    if (this.#bar !== null) return this.#bar.update(Progress, { step: stepNumber, domain: Domain })
    const quarter = Math.floor(Progress / 25)
    if (quarter === this.#quarter) return
    this.#quarter = quarter
    process.stderr.write(`${this.#label.padEnd(8)} ${Progress} %  step ${stepNumber}  ${Domain}\n`)
  }

  end(): void {
    this.#bar?.stop()
  }
}
