import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of short-lived buffers after which they are collected. */
const EVERY = 16 << 20

type Collect = (options: { type: 'minor' }) => void

function findCollector(): Collect | null {
  setFlagsFromString('--expose-gc')
  const found: unknown = runInNewContext('typeof gc === "function" ? gc : null')
  setFlagsFromString('--no-expose-gc')
  return typeof found === 'function' ? (found as Collect) : null
}

let collect: Collect | null | undefined
let bytes = 0

/**
 * Tells how many bytes of buffers have just become garbage. V8 frees buffers when it collects its own
 * small objects, of which block-wise work makes few: without this, hundreds of megabytes wait to be
 * freed. A minor collection takes about a millisecond.
 */
export function discarded(count: number): void {
  bytes += count
  if (bytes < EVERY) return
  bytes = 0
  collect ??= findCollector()
  collect?.({ type: 'minor' })
}
