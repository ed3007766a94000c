import process from 'node:process'
import { realDisk } from '../lib/disk.ts'
import type { Disk } from '../lib/disk.ts'
import { systemClock } from '../lib/clock.ts'
import type { Clock } from '../lib/clock.ts'
import type { Backend } from './backend.ts'
import type { Reach } from './reach.ts'

export interface TextStream {
  write(text: string | Uint8Array): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** Where passwords come from; `setRawMode` only on a terminal. */
export type SecretStream = NodeJS.ReadableStream & {
  readonly isTTY?: boolean
  setRawMode?(raw: boolean): unknown
}

/** Everything the command line touches; tests hand in their own. */
export interface Io {
  readonly stdout: TextStream
  /** Progress, warnings and errors; the bar is drawn only if it is a terminal. */
  readonly stderr: TextStream & NodeJS.WritableStream
  readonly stdin: SecretStream
  readonly env: Readonly<Record<string, string | undefined>>
  /** Relative paths are meant from here. */
  readonly cwd: string
  readonly clock: Clock
  readonly disk: Disk
  /** `steps`: the command is going to step, so what that takes may be loaded meanwhile. */
  readonly open: (reach: Reach, steps: boolean) => Promise<Backend>
  /** Calls the listener at each SIGINT and SIGTERM until the returned function is called. */
  onSignal(listener: () => void): () => void
  /** Leaves at once (the second Ctrl-C). */
  exit(code: number): void
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

function onSignal(listener: () => void): () => void {
  for (const signal of SIGNALS) process.on(signal, listener)
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener)
  }
}

/** `npm run` changes to the checkout's folder; what the user typed is meant from where they are. */
function startFolder(env: NodeJS.ProcessEnv): string {
  return env['npm_lifecycle_event'] === 'ratchet' && env['INIT_CWD'] ? env['INIT_CWD'] : process.cwd()
}

export function systemIo(open: Io['open']): Io {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: process.env,
    cwd: startFolder(process.env),
    clock: systemClock,
    disk: realDisk,
    open,
    onSignal,
    exit: (code) => process.exit(code),
  }
}
