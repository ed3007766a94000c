import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes after which short-lived buffers are collected; every second time, what has grown older as well. */
const EVERY = 3 << 20

type Collect = (options: { type: 'minor' | 'major' }) => void

let since = 0
let times = 0
let collect: Collect | null | undefined

function collector(): Collect | null {
  setFlagsFromString('--expose-gc')
  const found: unknown = runInNewContext('typeof gc === "function" ? gc : null')
  setFlagsFromString('--no-expose-gc')
  return typeof found === 'function' ? (found as Collect) : null
}

/** Buffers of so many bytes are garbage now: V8 itself lets tens of megabytes of them wait in each thread. */
export function discarded(bytes: number): void {
  since += bytes
  if (since < EVERY) return
  since = 0
  collect ??= collector()
  collect?.({ type: times++ % 2 === 0 ? 'minor' : 'major' })
}
