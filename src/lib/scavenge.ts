import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of short-lived things after which they are collected. */
const EVERY = 8 << 20
/** The first collection comes soon: loading a program leaves half of its heap to be given back. */
const FIRST = 256 << 10
/** Bytes of them after which the whole heap is. */
const WHOLE_EVERY = 128 << 20

type Collect = (options: { type: 'minor' | 'major'; flavor?: 'last-resort' }) => void

function findCollector(): Collect | null {
  setFlagsFromString('--expose-gc')
  const found: unknown = runInNewContext('typeof gc === "function" ? gc : null')
  setFlagsFromString('--no-expose-gc')
  return typeof found === 'function' ? (found as Collect) : null
}

let collector: Collect | null | undefined
/** Bytes to come before the next collection, and before the next one of the whole heap. */
let until = FIRST
let untilWhole = FIRST

const collect: Collect = (options) => {
  collector ??= findCollector()
  collector?.(options)
}

/**
 * Tells how many bytes of small buffers and objects have just become garbage. V8 frees buffers when it collects its
 * own small objects, and lets what it has promoted wait for long: without this, tens of megabytes wait to be freed in
 * each thread. Large buffers are not counted: whoever used them releases them. A minor collection takes a millisecond.
 */
export function discarded(count: number): void {
  until -= count
  untilWhole -= count
  if (until > 0) return
  until = EVERY
  if (untilWhole > 0) return collect({ type: 'minor' })
  untilWhole = WHOLE_EVERY
  tidy()
}

/**
 * Collects this thread's whole heap and gives the pages that are free then back to the system: 20–40 ms. For a moment
 * at which nobody waits.
 */
export function tidy(): void {
  collect({ type: 'major', flavor: 'last-resort' })
}
