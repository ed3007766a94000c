import { spawn, type ChildProcess } from 'node:child_process'
import { errnoOf } from './errors.ts'

/** A process of our own program. It is told lines and tells lines, and is killed when this is disposed. */
export interface NodeChild extends Disposable {
  readonly pid: number | undefined
  send(line: string): void
}

export interface NodeChildEvents {
  /** Each line it writes. */
  line(text: string): void
  /** It is gone, by itself or killed; `why` for people. Told once. */
  gone(why: string): void
}

/** MiB of heap: it holds nothing. */
const HEAP = 64
/** What it says on its error output, the last of it, for the log. Characters. */
const LAST_WORDS = 2000

/**
 * Runs the module `entry` in a process of its own, under the same Node. It never keeps this process alive, and has to
 * end by itself when its standard input closes: that is how it learns that we were killed. A group of its own, so
 * that an interrupt typed at a terminal reaches us alone and we can end in order.
 */
export function startNode(entry: URL, events: NodeChildEvents): NodeChild {
  const boot = `require('node:module').enableCompileCache(); import(${JSON.stringify(entry.href)})`
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP}`, '--input-type=commonjs', '-e', boot], {
    env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let words = ''
  let gone = false
  const end = (why: string): void => {
    if (gone) return
    gone = true
    events.gone(words === '' ? why : `${why}: ${words}`)
  }
  child.once('error', (error) => end(error.message))
  child.once('close', (code, signal) =>
    end(signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`),
  )
  child.stdin.on('error', () => child.stdin.destroy()) // it is gone: `close` tells
  onLines(child.stdout, (line) => events.line(line))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-LAST_WORDS)
  })
  unref(child)
  return {
    pid: child.pid,
    send: (line) => void child.stdin.write(`${line}\n`),
    [Symbol.dispose]: () => kill(child),
  }
}

function onLines(stream: NodeJS.ReadableStream, tell: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) tell(line)
  })
}

function unref(child: ChildProcess): void {
  child.unref()
  for (const stream of child.stdio) {
    if (stream && 'unref' in stream && typeof stream.unref === 'function') stream.unref()
  }
}

function kill(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return
  try {
    child.kill('SIGKILL')
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error
  }
}
