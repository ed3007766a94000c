import { BackupError } from '../lib/errors.ts'
import type { ReaderLimits } from './reader.ts'

/** Ratio is a sign of a bomb only beyond this much output. Bytes. */
const RATIO_FROM = 10 << 20

/** LIMIT_EXCEEDED if `plain` bytes are too many, or too many for the `stored` ones they come from. */
export function checkTotals(what: string, plain: number, stored: number, limits: ReaderLimits): void {
  const data = { plain, stored }
  if (plain > limits.bytes) {
    throw new BackupError('LIMIT_EXCEEDED', `${what} unpacks to ${plain} bytes; the limit is ${limits.bytes}`, { data })
  }
  if (plain <= RATIO_FROM || plain <= stored * limits.ratio) return
  const message = `${what} unpacks to ${plain} bytes from ${stored}, more than ${limits.ratio}:1`
  throw new BackupError('LIMIT_EXCEEDED', message, { data })
}

/** LIMIT_EXCEEDED if there are too many entries. */
export function checkCount(count: number, limits: ReaderLimits): void {
  if (count <= limits.entries) return
  throw new BackupError('LIMIT_EXCEEDED', `the archive holds ${count} entries; the limit is ${limits.entries}`)
}
