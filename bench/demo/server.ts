import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'

const MAIN = path.join(import.meta.dirname, '../../src/cli/main.ts')
const START_MS = 20_000

/** `ratchet serve` as a process of its own, that can be killed and started again under the same address. */
export class DemoServer {
  readonly dataDir: string
  readonly logFile: string
  url = ''
  token = ''
  #port = 0
  #child: ChildProcess | null = null
  #over = false

  constructor(dataDir: string, logFile: string) {
    this.dataDir = dataDir
    this.logFile = logFile
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Starts the process and waits until it says where it listens. The first start chooses a free port, later ones take it again. */
  async start(): Promise<void> {
    if (this.#over) return
    const log = fs.openSync(this.logFile, 'a')
    const argv = [MAIN, 'serve', '--json', '--data', this.dataDir, '--port', String(this.#port)]
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', log] })
    fs.closeSync(log)
    this.#child = child
    const said = await firstLine(child, this.logFile)
    this.url = said.url
    this.token = said.token ?? this.token
    this.#port = Number(new URL(said.url).port)
  }

  /** SIGKILL: no handler runs, nothing is tidied up. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM: the server finishes its running step and leaves. It is not started again. */
  async stop(): Promise<void> {
    this.#over = true
    await this.#end('SIGTERM')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), START_MS)
    await gone
    clearTimeout(late)
  }
}

async function firstLine(child: ChildProcess, logFile: string): Promise<{ url: string; token?: string }> {
  if (child.stdout === null) throw new Error('the server has no output')
  const lines = createInterface({ input: child.stdout })
  const late = setTimeout(() => child.kill('SIGKILL'), START_MS)
  try {
    for await (const line of lines) {
      const said = JSON.parse(line) as { event?: string; url?: string; token?: string }
      if (said.event === 'listening' && said.url !== undefined) {
        return { url: said.url, ...(said.token === undefined ? {} : { token: said.token }) }
      }
    }
  } finally {
    clearTimeout(late)
    // What it may say later must not fill the pipe and block it.
    child.stdout.resume()
  }
  throw new Error(`the server did not start; see ${logFile}:\n${fs.readFileSync(logFile, 'utf8').slice(-2000)}`)
}
