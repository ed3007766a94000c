import { spawn, type ChildProcess } from 'node:child_process'
import os from 'node:os'
import path from 'node:path'
import { readFileSync } from 'node:fs'
import type { Line, StepperOrder, StepReply } from './processes/protocol.ts'

const STEPPER = path.join(import.meta.dirname, 'processes/stepper.ts')
/** Compiled modules of the children, which start many times. */
const CACHE = path.join(os.tmpdir(), `ratchet-compile-cache-${process.getuid?.() ?? 0}`)

/** A stepper in a process of its own. */
export class Stepper {
  readonly lines: Line[] = []
  /** How the process ended; all it has said is in `lines` by then. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  over = false
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()
  #text = ''
  #errors = ''

  constructor(order: StepperOrder) {
    this.#child = spawn(process.execPath, [STEPPER, JSON.stringify(order)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_COMPILE_CACHE: CACHE, NODE_OPTIONS: '' },
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#heard(text))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => void (this.#errors += text))
    this.#child.stdin?.on('error', () => this.#child.stdin?.destroy())
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', (code, signal) => {
        this.over = true
        this.#wake()
        resolve({ code, signal })
      })
    })
    this.ended.catch(() => 'told to whoever awaits it')
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }
  get errors(): string {
    return this.#errors
  }
  get replies(): StepReply[] {
    return this.lines.flatMap((line) => (line.event === 'reply' ? [line.reply] : []))
  }
  get codes(): string[] {
    return this.lines.flatMap((line) => (line.event === 'error' ? [line.code] : []))
  }

  /** Resolves with the `n`-th line of this kind, or null if the process ended before. */
  async heard(event: Line['event'], n = 1): Promise<Line | null> {
    for (;;) {
      const found = this.lines.filter((line) => line.event === event)[n - 1]
      if (found !== undefined) return found
      if (this.over) return null
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  /** `seen`: the last step whose reply was seen. */
  go(seen = 0): void {
    this.#child.stdin?.write(String(seen))
  }
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }
  /** Ended by itself and well; else throws with what it said. */
  async finished(): Promise<void> {
    const { code, signal } = await this.ended
    if (code !== 0) throw new Error(`the stepper ended with ${code ?? signal}: ${this.#errors.slice(0, 4000)}`)
  }
  /** Waits until the system says that the process is stopped; false if it ended instead. */
  async stopped(): Promise<boolean> {
    while (!this.over) {
      if (stateOf(this.pid) === 'T') return true
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return false
  }

  #heard(text: string): void {
    this.#text += text
    const lines = this.#text.split('\n')
    this.#text = lines.pop() ?? '' // a line cut by a kill was never said
    this.lines.push(...lines.map((line) => JSON.parse(line) as Line))
    this.#wake()
  }
  #wake(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }
}

function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
  } catch {
    return '' // it has gone
  }
}
