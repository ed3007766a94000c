import { spawn, spawnSync, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { errnoOf } from './errors.ts'

/**
 * The one door to other programs. No shell: an absolute path and an argument array; operands that
 * come from data go in through the standard input or behind `--`. The environment is empty but for
 * the C locale, so that messages can be read.
 */
export interface ProgramOptions {
  /** Killed after this. Milliseconds. */
  readonly timeoutMs: number
  /** More output than this ends the program. Bytes. */
  readonly maxBuffer: number
  readonly cwd?: string
  readonly input?: Uint8Array
}

export interface ProgramResult {
  readonly stdout: Buffer
  readonly stderr: Buffer
  /** Exit code; null if it was killed: time limit, too much output, or a signal. */
  readonly code: number | null
  /** The output was cut at `maxBuffer`. */
  readonly overflow: boolean
}

const ENVIRONMENT = { LC_ALL: 'C', PATH: '/usr/bin:/bin' }

/** Runs to the end. Throws the system's error if the program cannot be started. */
export function runProgram(path: string, args: readonly string[], options: ProgramOptions): ProgramResult {
  const { timeoutMs, maxBuffer, cwd, input } = options
  const done = spawnSync(path, args, {
    env: ENVIRONMENT,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
    input: input ?? '',
  })
  const code = done.error !== undefined && 'code' in done.error ? done.error.code : undefined
  if (done.error !== undefined && code !== 'ENOBUFS' && code !== 'ETIMEDOUT' && code !== 'EPIPE') throw done.error
  return { stdout: done.stdout, stderr: done.stderr, code: done.status, overflow: code === 'ENOBUFS' }
}

export interface RunningProgram extends Disposable {
  /** Rejects with the system's error if the program could not be started. */
  readonly result: Promise<ProgramResult>
}

/**
 * The same beside our own work. Disposing kills it, with every program it started: one left behind
 * would hold its output open.
 */
export function startProgram(path: string, args: readonly string[], options: ProgramOptions): RunningProgram {
  const { timeoutMs, maxBuffer, cwd, input } = options
  let child: ChildProcessWithoutNullStreams
  try {
    child = spawn(path, args, {
      env: ENVIRONMENT,
      detached: true, // a process group of its own
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
    })
  } catch (error) {
    // Node tells some errors (a working folder that is none, too many arguments) at once, others by an event.
    const result = Promise.reject<ProgramResult>(error)
    result.catch(TOLD_LATER)
    return { result, [Symbol.dispose]: () => undefined }
  }
  const kill = (): void => killGroup(child)
  const timer = setTimeout(kill, timeoutMs)
  const outputs: Buffer[][] = [[], []]
  let size = 0
  ;[child.stdout, child.stderr].forEach((stream, i) =>
    stream.on('data', (bytes: Buffer) => {
      size += bytes.length
      if (size <= maxBuffer) outputs[i]?.push(bytes)
      else kill()
    }),
  )
  const result = new Promise<ProgramResult>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      const [stdout, stderr] = outputs.map((parts) => Buffer.concat(parts))
      resolve({ stdout: stdout ?? NOTHING, stderr: stderr ?? NOTHING, code, overflow: size > maxBuffer })
    })
  }).finally(() => clearTimeout(timer))
  result.catch(TOLD_LATER)
  // A program that ends without reading its input closes the pipe: its exit code says why.
  child.stdin.on('error', () => child.stdin.destroy())
  child.stdin.end(input ?? NOTHING)
  return { result, [Symbol.dispose]: kill }
}

export interface StreamingOptions {
  /** Killed after this. Milliseconds. */
  readonly timeoutMs: number
  /** Beside the C locale; never shown to other accounts of the machine, as arguments are. */
  readonly env?: Readonly<Record<string, string>>
}

export interface StreamingProgram extends Disposable {
  /** Its output as it comes; the program waits for whoever reads. Throws the system's error if it cannot be started. */
  readonly output: AsyncIterable<Buffer>
  /** After the output: exit code, null if it was killed; the beginning of what it said. */
  readonly end: Promise<{ readonly code: number | null; readonly stderr: string }>
}

const MOST_SAID = 64 << 10

/** The same for output of any length. Disposing kills it, with every program it started. */
export function streamProgram(path: string, args: readonly string[], options: StreamingOptions): StreamingProgram {
  const child = spawn(path, args, {
    env: { ...ENVIRONMENT, ...options.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const kill = (): void => {
    killGroup(child)
    child.stdout.destroy()
  }
  const timer = setTimeout(kill, options.timeoutMs)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(0, MOST_SAID)))
  const end = new Promise<{ code: number | null; stderr: string }>((resolve, reject) => {
    child.once('error', (error) => {
      child.stdout.destroy(error)
      reject(error)
    })
    child.once('close', (code) => resolve({ code, stderr: said }))
  }).finally(() => clearTimeout(timer))
  end.catch(TOLD_LATER)
  return { output: child.stdout, end, [Symbol.dispose]: kill }
}

const NOTHING = Buffer.alloc(0)
const TOLD_LATER = (): string => 'told to whoever awaits the result'

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error
  }
}
